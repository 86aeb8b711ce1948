"""Autocomplete in a terminal: type the beginning of a line, see how a model would continue it.

    python examples/autocomplete.py runs/my                            through the library
    python examples/autocomplete.py my --server http://127.0.0.1:8000  through `ricorda serve`

Each line of the input is continued in several ways; an empty line ends it.
"""

import argparse
import json
import sys
import urllib.request
from collections.abc import Callable

import ricorda

Complete = Callable[[str], list[str]]


def with_library(path: str, ways: int) -> Complete:
    """Complete by a model in this process."""
    model = ricorda.load(path, "auto")

    def complete(beginning: str) -> list[str]:
        return [
            model.generate(beginning, length=60, temperature=0.5, stop="\n", seed=way)
            for way in range(ways)
        ]

    return complete


def with_server(name: str, url: str, ways: int) -> Complete:
    """Complete by a model that a server has, in one request."""

    def complete(beginning: str) -> list[str]:
        body = {
            "model": name,
            "prompt": beginning,
            "max_tokens": 60,
            "temperature": 0.5,
            "stop": "\n",
            "n": ways,
            "on_unknown": "skip",
        }
        request = urllib.request.Request(
            f"{url}/v1/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return [choice["text"] for choice in json.load(answer)["choices"]]

    return complete


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a run's folder, or with --server a model's name")
    parser.add_argument("--server", metavar="URL")
    parser.add_argument("--ways", type=int, default=3)
    options = parser.parse_args()
    if options.server:
        complete = with_server(options.model, options.server.rstrip("/"), options.ways)
    else:
        complete = with_library(options.model, options.ways)
    for line in sys.stdin:
        beginning = line.rstrip("\n")
        if not beginning:
            break
        for ending in dict.fromkeys(complete(beginning)):  # each once
            print(f"  {beginning}\033[1m{ending}\033[0m" if sys.stdout.isatty() else ending)


if __name__ == "__main__":
    main()
