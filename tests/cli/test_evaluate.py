"""`ricorda evaluate`: figures, protocols, what is left out."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ricorda

Call = Callable[..., tuple[int, str, str]]

KEYS = [
    "nats_per_character",
    "bits_per_character",
    "bits_per_byte",
    "perplexity",
    "characters",
    "bytes",
    "unseen_characters",
    "left_out",
    "protocol",
]


def figures(call: Call, *words: str) -> dict[str, Any]:
    code, out, _ = call("evaluate", "runs/tiny", *words, "--json")
    assert code == 0
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    return found


def test_it_gives_the_figure_of_the_training(
    here: Path, call: Call, tiny: ricorda.Run, bottles: str
) -> None:
    Path("validation.txt").write_text(bottles[-tiny.metrics["validation_characters"] :])
    found = figures(call, "validation.txt")
    for name, value in tiny.metrics["validation"].items():
        assert found[name] == pytest.approx(value, abs=1e-4)


def test_json_has_the_promised_keys(here: Path, call: Call, bottles: str) -> None:
    found = figures(call, "my.txt")
    assert list(found) == KEYS
    assert found["characters"] == found["bytes"] == len(bottles) - 1
    assert found["protocol"] == "carried"
    assert found["bits_per_character"] == pytest.approx(found["nats_per_character"] / math.log(2))
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_character"]))


def test_windows_start_cold(here: Path, call: Call) -> None:
    carried, cold = figures(call, "my.txt"), figures(call, "my.txt", "--window", "8")
    assert cold["protocol"] == "window 8"
    assert cold["characters"] == carried["characters"]
    assert cold["nats_per_character"] > carried["nats_per_character"]
    whole = figures(call, "my.txt", "--window", "100000")
    assert whole["nats_per_character"] == pytest.approx(carried["nats_per_character"], abs=1e-6)


def test_a_person_reads_the_same_figures(here: Path, call: Call, bottles: str) -> None:
    code, out, err = call("evaluate", "runs/tiny", "my.txt")
    assert (code, err) == (0, "")
    found = figures(call, "my.txt")
    size = f"{len(bottles) - 1:,}"
    assert out.splitlines() == [
        f"{found['bits_per_character']:.4f} bits per character",
        f"{found['nats_per_character']:.4f} nats per character",
        f"{found['bits_per_byte']:.4f} bits per byte",
        f"{found['perplexity']:.4f} perplexity",
        f"{size} characters, {size} bytes; state carried through the text",
    ]


def test_unknown_characters_are_left_out_and_reported(here: Path, call: Call) -> None:
    Path("known.txt").write_text("5 bottles of ber\n")
    Path("more.txt").write_text("5 bottlées Zof béer\n")
    code, out, err = call("evaluate", "runs/tiny", "more.txt", "--json")
    assert code == 0
    assert err == "left out 3 characters of the text that the model never saw: 'é' and 'Z'\n"
    found = json.loads(out)
    scored = json.loads(call("score", "runs/tiny", "known.txt", "--json")[1])
    counted = [nats for place, nats in enumerate(scored["nats"]) if place not in (0, 7, 10, 14)]
    assert found["nats_per_character"] == pytest.approx(sum(counted) / len(counted))
    assert found["characters"] == len(counted)
    assert (found["unseen_characters"], found["left_out"]) == (3, 3)
    assert found["unseen"] == [
        {"before": 7, "characters": "é"},
        {"before": 10, "characters": "Z"},
        {"before": 14, "characters": "é"},
    ]
    text = call("evaluate", "runs/tiny", "more.txt")[1]
    assert text.splitlines()[-2:] == [
        "not counted: 3 characters that the model never saw, and 3 that follow them",
        "positions: after symbol 7 'é', after symbol 10 'Z', after symbol 14 'é'",
    ]


def test_several_texts_are_one(here: Path, call: Call) -> None:
    for name, text in {"a.txt": "5 bottles", "b.txt": "of beer\n"}.items():
        Path(name).write_text(text)
    Path("both.txt").write_text("5 bottles\nof beer\n")
    assert figures(call, "a.txt", "b.txt") == figures(call, "both.txt")


def test_encoding_and_line_ends(here: Path, call: Call) -> None:
    plain = figures(call, "my.txt")
    Path("utf16.txt").write_text(Path("my.txt").read_text(), "utf-16")
    assert figures(call, "utf16.txt", "--encoding", "utf-16") == plain
    Path("dos.txt").write_bytes(Path("my.txt").read_bytes().replace(b"\n", b"\r\n"))
    assert figures(call, "dos.txt") == plain
    _, _, err = call("evaluate", "runs/tiny", "dos.txt", "--newlines", "keep")
    assert "100 characters" in err
    assert r"'\r'" in err


def test_bytes_are_counted_as_characters_and_as_bytes(here: Path, call: Call) -> None:
    text = "perché così è più bello\n" * 30
    Path("italian.txt").write_text(text)
    ricorda.train("italian.txt", vocabulary="bytes", steps=2, hidden_size=4, threads=1, quiet=True)
    code, out, err = call("evaluate", "runs/italian", "italian.txt", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["characters"] == len(text) - 1
    assert found["bytes"] == len(text.encode()) - 1
    nats = found["nats_per_character"] * found["characters"]
    assert found["bits_per_byte"] == pytest.approx(nats / found["bytes"] / math.log(2))


def test_nothing_to_predict_is_reported(here: Path, call: Call) -> None:
    Path("unknown.txt").write_text("ZZZZ")
    for command in ("evaluate", "score"):
        code, out, err = call(command, "runs/tiny", "unknown.txt")
        assert (code, out) == (2, "")
        assert "that the model knows" in err
        assert err.count("\n") == 1
