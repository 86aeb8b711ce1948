"""Which lines of a log are unlike the rest: those that a model of the log did not expect.

    ricorda train system.log --minutes 1
    python examples/surprising_lines.py runs/system today.log
    python examples/surprising_lines.py system today.log --server http://127.0.0.1:8000

Prints the most surprising lines, the worst first, with their mean bits a symbol. Characters that
the model never saw cannot be scored; a line's share of them counts as its surprise first of all.
"""

import argparse
import json
import math
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import ricorda

LINES_AT_ONCE = 64


def with_library(path: str, lines: Sequence[str]) -> list[list[float]]:
    """The surprisal in nats of each line's symbols, read after a line end, in this process."""
    model = ricorda.load(path)
    return [model.score(f"\n{line}\n", on_unknown="skip").nats[1:].tolist() for line in lines]


def with_server(name: str, url: str, lines: Sequence[str]) -> list[list[float]]:
    """The same by a server: the prompt is echoed with log-probabilities, nothing is written."""
    found: list[list[float]] = []
    for begin in range(0, len(lines), LINES_AT_ONCE):
        body = {
            "model": name,
            "prompt": [f"\n{line}\n" for line in lines[begin : begin + LINES_AT_ONCE]],
            "max_tokens": 0,
            "echo": True,
            "logprobs": 0,
            "on_unknown": "skip",
        }
        request = urllib.request.Request(
            f"{url}/v1/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            for choice in json.load(answer)["choices"]:
                found.append([-nats for nats in choice["logprobs"]["token_logprobs"][1:]])
    return found


def bits(nats: Sequence[float]) -> float:
    """The mean surprisal of a line's symbols in bits."""
    return sum(nats) / max(1, len(nats)) / math.log(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a run's folder, or with --server a model's name")
    parser.add_argument("log", type=Path)
    parser.add_argument("--server", metavar="URL")
    parser.add_argument("--count", type=int, default=10)
    options = parser.parse_args()
    lines = [line for line in options.log.read_text("utf-8", "replace").splitlines() if line]
    if options.server:
        scores = with_server(options.model, options.server.rstrip("/"), lines)
    else:
        scores = with_library(options.model, lines)
    unseen = [len(line) + 1 - len(nats) for line, nats in zip(lines, scores, strict=True)]
    order = sorted(
        range(len(lines)), key=lambda i: (unseen[i] / len(lines[i]), bits(scores[i])), reverse=True
    )
    for i in order[: options.count]:
        strange = f", {unseen[i]} unseen" if unseen[i] > 0 else ""
        print(f"line {i + 1}: {bits(scores[i]):.2f} bits a symbol{strange}: {lines[i]}")


if __name__ == "__main__":
    main()
