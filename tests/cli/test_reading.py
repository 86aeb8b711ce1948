"""Later texts and prompts are read as training read its text."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.model import read_model_file
from tests.cli.conftest import Ran

CRLF = "".join(f"{number} citt\u00e0\r\n" for number in range(2000))

Call = Callable[..., Ran]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that read the same file in several ways."""
    folder = tmp_path_factory.mktemp("reading")
    text = folder / "crlf.txt"
    text.write_bytes(CRLF.encode("latin-1"))
    ways: dict[str, dict[str, Any]] = {
        "keep": {"encoding": "latin-1", "newlines": "keep"},
        "plain": {"encoding": "latin-1"},
        "bytes": {"vocabulary": "bytes", "newlines": "normalise"},
    }
    for name, options in ways.items():
        ricorda.train(
            text, out=folder / name, steps=10, hidden_size=8, threads=1, quiet=True, **options
        )
    return folder


def evaluated(call: Call, runs: Path, run: str, *more: str) -> tuple[dict[str, float], str]:
    code, out, err = call("evaluate", runs / run, runs / "crlf.txt", "--json", *more)
    assert code == 0, err
    return json.loads(out), err


@pytest.mark.parametrize("run, characters", [("keep", len(CRLF)), ("plain", len(CRLF) - 2000)])
def test_evaluate_reads_as_training_did(call: Call, runs: Path, run: str, characters: int) -> None:
    figures, err = evaluated(call, runs, run)
    assert figures["characters"] == characters - 1
    assert err == ""


def test_evaluate_reads_bytes_as_training_did(call: Call, runs: Path) -> None:
    figures, _ = evaluated(call, runs, "bytes")
    assert figures["bytes"] == len(CRLF) - 2000 - 1


def test_an_option_wins_over_training_and_says_so(call: Call, runs: Path) -> None:
    figures, err = evaluated(call, runs, "keep", "--newlines", "normalise")
    assert figures["characters"] == len(CRLF) - 2000 - 1
    assert err == "--newlines normalise: differs from the model's training, which used keep\n"
    _, err = evaluated(call, runs, "keep", "--newlines", "auto")
    assert err == (
        "--newlines auto (normalise): differs from the model's training, which used keep\n"
    )
    _, err = evaluated(call, runs, "keep", "--newlines", "keep", "--encoding", "latin-1")
    assert err == ""


@pytest.mark.parametrize("command", ["score", "units", "step", "influence"])
def test_other_commands_read_as_training_did(
    call: Call, runs: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = call(command, runs / "keep", runs / "crlf.txt", "--json")
    assert (code, err) == (0, "")
    if command == "score":
        assert json.loads(out)["symbols"][:8] == ["0", " ", "c", "i", "t", "t", "à", "\\r"]


def test_memorised_reads_as_training_did(call: Call, runs: Path) -> None:
    words = ("memorised", runs / "keep", runs / "crlf.txt", "--length", "50", "--json")
    code, out, err = call(*words)
    assert code == 0, err
    assert json.loads(out)["written"]["training_characters"] == len(CRLF)


def test_the_model_file_says_how_its_text_was_read(runs: Path) -> None:
    found = read_model_file(runs / "keep" / "model.safetensors").training["reading"]
    assert found == {"encoding": "latin-1", "newlines": "keep", "decompress": "auto"}


def test_python_reads_as_training_did(runs: Path) -> None:
    plain, keep = ricorda.load(runs / "plain"), ricorda.load(runs / "keep")
    np.testing.assert_array_equal(plain.score("1\r\n2\r").nats, plain.score("1\n2\n").nats)
    assert len(keep.score("1\r\n2\r").nats) == 5
    pieces = ["\ufeff1", "\r", "\n2 citta", "\u0300\r"]
    np.testing.assert_array_equal(plain.score(pieces).nats, plain.score("1\n2 città\n").nats)
    as_bytes = [piece.encode() for piece in pieces]
    np.testing.assert_array_equal(plain.score(as_bytes).nats, plain.score("1\n2 città\n").nats)
    assert plain.trace("1\r\n2").symbols == ("1", "\\n", "2")


def test_python_reads_bytes_as_training_did(runs: Path) -> None:
    model = ricorda.load(runs / "bytes")
    assert model.score(b"1\r\n2\r").ids.tolist() == list(b"1\n2\n")


@pytest.mark.parametrize("prompt", ["1 citta\u0300\r\n", "\ufeff1 città\r"])
def test_prompts_are_read_as_training_read_the_text(call: Call, runs: Path, prompt: str) -> None:
    words = ("sample", runs / "plain", "--seed", "1", "--length", "20", "--on-unknown", "error")
    expected = call(*words, "--prompt", "1 città\n")
    assert expected[0] == 0
    assert call(*words, "--prompt", prompt) == expected


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-32-le"])
def test_a_file_of_prompts_has_the_encoding_of_the_training_text(
    call: Call, tmp_path: Path, encoding: str
) -> None:
    text, prompts = tmp_path / "text", tmp_path / "prompts"
    text.write_bytes(CRLF.encode(encoding))
    prompts.write_bytes("1 città\r\n2".encode(encoding))
    ricorda.train(text, out=tmp_path / "run", encoding=encoding, steps=1, hidden_size=8, quiet=True)
    options = ("--prompts", prompts, "--seed", "1", "--length", "5", "--json")
    code, out, err = call("sample", tmp_path / "run", *options)
    assert code == 0, err
    found = [json.loads(line)["prompt"] for line in out.splitlines()]
    assert found == ["1 città", "2"]


def test_stop_strings_are_read_as_training_read_the_text(runs: Path) -> None:
    model = ricorda.load(runs / "plain")
    texts = {model.generate("1", length=300, seed=3, stop=stop) for stop in ("\n", "\r\n", "\r")}
    assert len(texts) == 1
    assert len(texts.pop()) < 300


def test_clamp_reads_its_prompt_as_training_did(call: Call, runs: Path) -> None:
    words = ("clamp", runs / "plain", "3", "--seed", "1", "--length", "20")
    assert call(*words, "--prompt", "1 \r\n") == call(*words, "--prompt", "1 \n")


@pytest.mark.parametrize("data", [b"1 citt", b"1 citt\n", b"\xef\xbb\xbf1 citt\r\n"])
@pytest.mark.parametrize("command", ["sample", "clamp"])
def test_a_dash_reads_the_prompt_from_standard_input(
    call: Call, runs: Path, command: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (command, runs / "plain", *(["3"] if command == "clamp" else []), "--seed", "1")
    expected = call(*words, "--prompt", "1 citt")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert call(*words, "--prompt", "-") == expected


def test_a_prompt_from_standard_input_that_is_not_text_is_refused(
    call: Call, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"citt\xe0 ")))
    code, _, err = call("sample", runs / "plain", "--prompt", "-")
    assert code == 2
    assert "standard input: expected UTF-8 text" in err


def test_a_prompt_of_which_nothing_is_left_is_not_shown_before_an_unrelated_start(
    call: Call, runs: Path
) -> None:
    words = ("sample", runs / "plain", "--seed", "1", "--length", "20")
    code, out, err = call(*words, "--prompt", "XYZ")
    assert code == 0
    assert out == call(*words)[1]
    assert "No character of the prompt is known: starting on a new line" in err


@pytest.mark.parametrize("command", ["evaluate", "score", "units", "step", "influence"])
def test_help_says_that_a_text_is_read_as_the_models_own(call: Call, command: str) -> None:
    _, out, _ = call(command, "--help")
    words = " ".join(out.split())
    assert "[default: as in training]" in words
    assert "[default: auto]" not in words.partition("--newlines")[2].partition("--max")[0]
