"""Runs, reports and caches of ricorda are never part of a text found in a folder."""

import json
from pathlib import Path

import pytest

from ricorda.errors import TextError
from ricorda.pages.document import document
from ricorda.text import LeftOut, find_sources

CONFIG = {"format": 1, "text": {}, "training": {}, "made_with": {}}


def run_in(folder: Path, config: str = json.dumps(CONFIG, indent=2)) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config)
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 3.2}\n')
    (folder / "samples.jsonl").write_text('{"step": 1, "text": "abc"}\n')
    (folder / "report.html").write_text(document("run", "<p>text</p>"))
    (folder / "input-1.txt").write_text("what was piped in")
    (folder / "checkpoints" / "000005").mkdir(parents=True)
    (folder / "checkpoints" / "000005" / "state.json").write_text("{}")
    return folder


def found_in(*names: Path | str) -> tuple[list[str], list[tuple[str, str]]]:
    left_out: list[LeftOut] = []
    found = find_sources(names, on_left_out=left_out.append)
    return [source.name for source in found], [(str(item.path), item.reason) for item in left_out]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    return tmp_path


@pytest.mark.parametrize("name", ["runs/a", "elsewhere", "deep/er/run"])
def test_a_run_is_left_out_wherever_it_is(here: Path, name: str) -> None:
    run_in(here / name)
    assert found_in(".") == (["a.txt"], [(name, "a run of ricorda")])


def test_a_run_that_lost_its_configuration_is_left_out(here: Path) -> None:
    run_in(here / "runs" / "a", config="damaged")
    run_in(here / "runs" / "b")
    (here / "runs" / "b" / "config.json").unlink()
    assert found_in(".")[0] == ["a.txt"]


@pytest.mark.parametrize(
    "config", ["{}", "[]", "not JSON", '{"format": 1, "text": "x"}', "[" * 9999]
)
def test_a_config_of_something_else_is_a_text(here: Path, config: str) -> None:
    (here / "app").mkdir()
    (here / "app" / "config.json").write_text(config)
    assert found_in(".") == (["a.txt", "app/config.json"], [])


def test_the_name_runs_alone_leaves_nothing_out(here: Path) -> None:
    (here / "runs").mkdir()
    (here / "runs" / "marathon.txt").write_text("42 km")
    assert found_in(".") == (["a.txt", "runs/marathon.txt"], [])


def test_a_page_of_ricorda_is_left_out_and_others_are_not(here: Path) -> None:
    (here / "surprise.html").write_text(document("<&>", "<p>text</p>"))
    (here / "mine.html").write_text("<!DOCTYPE html><p>made with ricorda</p>")
    assert found_in(".") == (["a.txt", "mine.html"], [("surprise.html", "a page of ricorda")])


def test_a_cache_is_left_out(here: Path) -> None:
    (here / "cache").mkdir()
    (here / "cache" / "known.txt").write_text("digest")
    assert found_in(".")[0] == ["a.txt", "cache/known.txt"]
    (here / "cache" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert found_in(".") == (["a.txt"], [("cache", "a cache")])


def test_what_a_shell_or_a_pattern_names_leaves_runs_out(here: Path) -> None:
    run_in(here / "runs" / "a")
    assert found_in("a.txt", "runs") == (["a.txt"], [("runs/a", "a run of ricorda")])
    for pattern in ("**/*", "**/*.txt", "*", "**"):
        names, left_out = found_in(pattern)
        assert names == ["a.txt"]
        assert ("runs/a", "a run of ricorda") in left_out
    assert found_in("runs/a/*.jsonl")[0] == ["runs/a/metrics.jsonl", "runs/a/samples.jsonl"]


def test_a_file_of_a_run_is_read_where_it_is_named(here: Path) -> None:
    run_in(here / "runs" / "a")
    assert found_in("runs/a/input-1.txt") == (["runs/a/input-1.txt"], [])


@pytest.mark.parametrize("name", ["runs", "runs/a"])
def test_nothing_but_a_run_is_refused(here: Path, name: str) -> None:
    run_in(here / "runs" / "a")
    with pytest.raises(TextError, match=r"runs/a \(a run of ricorda\)"):
        find_sources([name])


def test_a_run_that_has_only_begun_is_left_out(here: Path) -> None:
    (here / "young").mkdir()
    (here / "young" / "config.json").write_text(json.dumps(CONFIG))
    (here / "young" / "input-1.txt").write_text("what was piped in")
    assert found_in(".") == (["a.txt"], [("young", "a run of ricorda")])
