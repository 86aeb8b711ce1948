"""Compressed texts, folders of many files and the cache, from the command line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import zstandard

from ricorda.text import cached_encoding, reading
from ricorda.training import start
from ricorda.training.report import progress as progress_module
from ricorda.training.report.progress import Bar, Lines, Reporter, Silent

Call = Callable[..., tuple[int, str, str]]
SHORT = ("--steps", "2", "--hidden-size", "4", "--threads", "1", "--seed", "7")


def train(call: Call, *words: str | Path) -> dict[str, Any]:
    code, out, err = call("train", *words, *SHORT, "--json", "--quiet")
    assert (code, err) == (0, "")
    metrics: dict[str, Any] = json.loads(out)
    return metrics


def config(metrics: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(Path(metrics["run"], "config.json").read_text())
    return record


def test_a_compressed_text_is_the_text(here: Path, bottles: str, call: Call) -> None:
    Path("my.txt.gz").write_bytes(gzip.compress(bottles.encode()))
    plain, compressed = train(call, "my.txt"), train(call, "my.txt.gz")
    assert config(plain)["text"]["digest"] == config(compressed)["text"]["digest"]
    code, out, _ = call("evaluate", compressed["run"], "my.txt.gz", "--json")
    assert code == 0
    assert json.loads(out)["characters"] == len(bottles) - 1


def test_compressed_standard_input_is_kept_as_it_came(
    here: Path, bottles: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    data = zstandard.ZstdCompressor().compress(bottles.encode())

    class Stdin:
        buffer = io.BytesIO(data)

    monkeypatch.setattr(sys, "stdin", Stdin)
    metrics = train(call, "-")
    (kept,) = config(metrics)["text"]["texts"]
    assert Path(kept).read_bytes() == data
    code, _, err = call("resume", metrics["run"], "--steps", "4", "--quiet")
    assert (code, err) == (0, "")


def test_compressed_texts_as_they_are(here: Path, bottles: str, call: Call) -> None:
    data = gzip.compress(bottles.encode())
    Path("my.gz").write_bytes(data)
    metrics = train(call, "my.gz", "--decompress", "off", "--vocabulary", "bytes")
    assert config(metrics)["text"]["bytes"] == len(data)
    assert config(metrics)["text"]["decompress"] == "off"
    run_folder = metrics["run"]
    _, out, _ = call("evaluate", run_folder, "my.gz", "--decompress", "off", "--json")
    assert json.loads(out)["bytes"] == len(data) - 1


@pytest.mark.parametrize(
    "words",
    [
        ("train", "my.gz", *SHORT),
        ("evaluate", "runs/tiny", "my.gz"),
        ("score", "runs/tiny", "my.gz"),
        ("units", "runs/tiny", "my.gz"),
        ("step", "runs/tiny", "my.gz"),
        ("influence", "runs/tiny", "my.gz"),
        ("memorised", "my.txt", "my.gz"),
        ("baselines", "my.gz"),
    ],
)
def test_every_command_reads_compressed_texts_as_training_does(
    here: Path, bottles: str, call: Call, words: tuple[str, ...]
) -> None:
    Path("my.gz").write_bytes(gzip.compress(bottles.encode()))
    code, out, err = call(*words, "--max-decompressed", "1kB")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "my.gz: it decompresses to more than --max-decompressed 1 kB" in err
    code, out, err = call(*words, "--max-decompressed", "1kB", "--decompress", "off")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "leave out --decompress off" in err


def test_line_ends_are_kept_where_they_are_wanted(here: Path, bottles: str, call: Call) -> None:
    Path("ends.txt").write_bytes(b"a\r\nb\r\n")
    for ends, characters in (("auto", 4), ("keep", 6)):
        _, out, _ = call("baselines", "ends.txt", "--newlines", ends, "--json")
        assert json.loads(out)["characters"] == characters
        _, out, err = call("score", "runs/tiny", "ends.txt", "--newlines", ends, "--json")
        assert ("left out 2 characters" in err) == (ends == "keep")


def test_a_limit_for_compressed_texts(here: Path, bottles: str, call: Call) -> None:
    Path("my.gz").write_bytes(gzip.compress(bottles.encode()))
    metrics = train(call, "my.gz", "--max-decompressed", "1MB")
    assert config(metrics)["text"]["max_decompressed"] == "1MB"


@pytest.mark.parametrize(
    "words, said",
    [
        (("--max-decompressed", "much"), "--max-decompressed: expected a size"),
        (("--max-decompressed", "1GB", "--decompress", "off"), "leave out --decompress off"),
        (("--cache", ""), "--cache: expected a folder or off"),
    ],
)
def test_wrong_options(here: Path, call: Call, words: tuple[str, ...], said: str) -> None:
    code, out, err = call("train", "my.txt", *SHORT, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_the_cache_is_used_by_training_and_resuming(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_encoding, "SMALLEST", 1)
    first = train(call, "my.txt", "--cache", "cache")
    assert len(list(Path("cache/ricorda/entries").iterdir())) == 1
    assert config(first)["text"]["digest"]

    def refuse(_: object) -> None:
        raise AssertionError("the text was read again")

    monkeypatch.setattr(reading, "_opened", refuse)
    train(call, "my.txt", "--cache", "cache")
    code, _, _ = call("resume", first["run"], "--steps", "4", "--cache", "cache", "--quiet")
    assert code == 0
    with pytest.raises(AssertionError, match="read again"):
        call("train", "my.txt", *SHORT, "--cache", "off")


def test_many_files_are_named_by_their_folder(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "MOST_NAMES", 3)
    Path("texts").mkdir()
    for number in range(8):
        Path("texts", f"{number}.txt").write_text(f"text number {number}, and more of it\n")
    metrics = train(call, "texts", "my.txt")
    assert config(metrics)["text"]["texts"] == [str(here / "texts"), str(here / "my.txt")]
    code, _, err = call("resume", metrics["run"], "--steps", "4", "--quiet")
    assert (code, err) == (0, "")


class Said(Lines):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def test_reading_is_reported_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    report = Said()
    now = iter([0.0, 1.0, 10.0, 12.0, 20.0])
    monkeypatch.setattr(progress_module, "time", Mock(monotonic=lambda: next(now)))
    with report.reading() as progress:
        for done in (1, 2, 3, 4):
            progress(done * 10**9, 5 * 10**9)
    assert report.said == [
        "reading the text: 2 GB of 5 GB, 200 MB/s",
        "reading the text: 4 GB of 5 GB, 200 MB/s",
    ]


def test_reading_is_shown_as_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 0.1, 2.0, 2.01])
    monkeypatch.setattr(progress_module, "time", Mock(monotonic=lambda: next(now)))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with Bar().reading() as progress:
        for done in (1, 2, 3):
            progress(done * 10**6, None)
    assert "2 MB, 1 MB/s" in capsys.readouterr().err


@pytest.mark.parametrize("columns, speed", [(40, ""), (59, ""), (60, ", 27.5 MB/s")])
def test_a_narrow_terminal_shows_the_bar_rather_than_the_speed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
    speed: str,
) -> None:
    now = iter([0.0, 10.0])
    monkeypatch.setattr(progress_module, "time", Mock(monotonic=lambda: next(now)))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    with Bar().reading() as progress:
        progress(275 * 10**6, 300 * 10**6)
    shown = capsys.readouterr().err
    assert f"275 MB of 300 MB{speed}" in shown
    assert "reading the text" in shown
    assert "━" in shown
    assert "…" not in shown


def test_reading_is_not_shown_where_nothing_is() -> None:
    report: Reporter = Silent()
    with report.reading() as progress:
        progress(1, None)
