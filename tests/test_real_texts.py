"""The whole path on real texts, a family each: learn for a moment, evaluate, score, sample."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import ricorda
from ricorda.cli.main import main
from ricorda.text import find_sources, read_text

SIZE = {
    "documents": "text",  # a folder too
    "hidden-size": 32,
    "embedding-size": 16,
    "batch-size": 16,
    "window": 32,
    "steps": 60,
    "learning-rate": 0.01,
    "dropout": 0,
    "threads": 1,
}
HELD_BACK = 3_000  # symbols, or a tenth of a short text


class Family(NamedTuple):
    """A kind of text: where it lies, how many characters it has, what must and must not occur."""

    path: str
    characters: int
    different: int
    present: str
    absent: str = "\ufeff\r"


FAMILIES = {
    "English": Family("tinyshakespeare/input.txt", 1_115_394, 65, "aZ\n:"),
    "Italian, with a mark and CR LF": Family("italian/divina_commedia_pg1012.txt", 0, 0, "àèìòù«"),
    "Greek": Family("greek/byz_nt.txt", 0, 184, "αω"),
    "Japanese": Family("japanese/neko.txt", 0, 3_050, "吾輩は猫である。"),
    "Chinese": Family("chinese/wujue-all.txt", 0, 6_257, "春，。"),
    "names": Family("names/names.txt", 228_145, 27, "abcxyz\n"),
    "chess": Family("chess_openings", 0, 0, "\tKQRBN1."),
    "DNA": Family("dna/phix.fa", 0, 0, ">ACGT"),
    "JSON lines": Family("jsonl/gsm8k_train_1200.jsonl", 0, 0, '{}":,'),
}

Command = Callable[..., str]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command line in a folder of its own; hand back what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> str:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return run


def learn(command: Command, text: Path, size: int, **more: Any) -> dict[str, Any]:
    """Train a small network on a text of so many symbols; hand back the run's figures."""
    options = SIZE | {"validation-fraction": min(0.1, HELD_BACK / size)}
    options |= {name.replace("_", "-"): value for name, value in more.items()}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    found: dict[str, Any] = json.loads(command("train", text, *words, "--quiet", "--json"))
    return found


def whole_text(path: Path) -> str:
    return "".join(read_text(find_sources([path])))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_learned(name: str, data: Path, command: Command) -> None:
    family = FAMILIES[name]
    path = data / family.path
    text = whole_text(path)
    run = learn(command, path, len(text))
    held_back = run["validation_characters"]
    assert run["training_characters"] + held_back == len(text)
    assert run["vocabulary_size"] == len(set(text))
    assert set(family.present) <= set(text)
    assert not set(family.absent) & set(text)
    if family.characters:
        assert len(text) == family.characters
    if family.different:
        assert run["vocabulary_size"] == family.different
    Path("held-back.txt").write_text(text[-held_back:], "utf-8")
    figures = json.loads(command("evaluate", run["run"], "held-back.txt", "--json"))
    check_figures(run, figures, text[-held_back:])
    check_scores(command, run["run"], text[-held_back:])
    check_samples(command, run["run"], text)


def check_figures(run: dict[str, Any], figures: dict[str, Any], text: str) -> None:
    """The figures are the training's, agree with each other, and beat a uniform guess by far.

    A network that has not learned is within 1 % of a uniform guess.
    """
    for unit, value in run["validation"].items():
        assert figures[unit] == pytest.approx(value, abs=1e-4)
    assert figures["characters"] == len(text) - 1
    assert figures["bytes"] == len(text[1:].encode())
    bits = figures["bits_per_character"] * figures["characters"]
    assert figures["bits_per_byte"] == pytest.approx(bits / figures["bytes"])
    assert figures["perplexity"] == pytest.approx(2 ** figures["bits_per_character"])
    assert figures["nats_per_character"] == pytest.approx(math.log(figures["perplexity"]))
    assert 0 < figures["bits_per_character"] < 0.95 * math.log2(run["vocabulary_size"])


def check_scores(command: Command, run: str, text: str) -> None:
    """Each character of a stretch has its surprisal; together they are what evaluate says."""
    Path("stretch.txt").write_text(text[:300], "utf-8")
    scores = json.loads(command("score", run, "stretch.txt", "--html", "page.html", "--json"))
    figures = json.loads(command("evaluate", run, "stretch.txt", "--json"))
    assert len(scores["nats"]) == len(scores["symbols"]) == 300
    assert all(nats > 0 for nats in scores["nats"][1:])
    mean = math.fsum(scores["nats"][1:]) / 299
    assert mean == pytest.approx(figures["nats_per_character"], rel=1e-5)
    assert "stretch.txt" in Path("page.html").read_text("utf-8")


def check_samples(command: Command, run: str, text: str) -> None:
    """It writes characters of the text, whatever part of the text it continues."""
    for prompt in (text[:20], text[-20:], ""):
        sample = command("sample", run, "--prompt", prompt, "--length", "80", "--seed", "1")
        assert sample.startswith(prompt)
        assert len(sample) == len(prompt) + 80 + 1
        assert set(sample) <= set(text) | {"\n"}


@pytest.mark.parametrize("path", ["italian/divina_commedia_pg1012.txt", "japanese/neko.txt"])
def test_any_text_is_learned_by_bytes(path: str, data: Path, command: Command) -> None:
    content = (data / path).read_bytes()
    run = learn(command, data / path, len(content), vocabulary="bytes")
    assert run["vocabulary_size"] == 256
    assert run["validation"]["bits_per_byte"] < 0.8 * 8
    assert run["validation"]["perplexity"] < 256 * 0.8
    model = ricorda.load(run["run"])
    middle = len(content) // 2
    figures = model.evaluate(content[middle : middle + 3000])
    assert figures.bytes == 2999
    assert 0 < figures.bits_per_byte < 0.8 * 8
    assert figures.nats_per_character > figures.nats / figures.bytes  # characters of several bytes
    sample = command("sample", run["run"], "--length", "300", "--seed", "1", "--prompt", "é世😀")
    assert sample.startswith("é世😀")
    page = command("score", run["run"], data / "names" / "by_language" / "Italian.txt", "--json")
    assert json.loads(page)["nats"][0] is None


def test_malformed_bytes_are_learned_by_bytes(data: Path, command: Command) -> None:
    path = data / "malformed" / "kuhn-baddata.txt"
    run = learn(command, path, path.stat().st_size, vocabulary="bytes")
    assert run["training_characters"] + run["validation_characters"] > 0
    assert json.loads(command("evaluate", run["run"], path, "--json"))["bits_per_byte"] < 8
    assert command("sample", run["run"], "--length", "50", "--seed", "3")
