"""`ricorda runs`: all runs with their figures, however they ended."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.errors import RunError
from ricorda.runs import append_row, read_rows

Call = Callable[..., tuple[int, str, str]]


def listed(call: Call, *words: str) -> list[dict[str, Any]]:
    code, out, err = call("runs", *words, "--json")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    found = json.loads(out)
    assert list(found) == ["runs"]
    runs: list[dict[str, Any]] = found["runs"]
    return runs


def make_run(name: str, *rows: dict[str, Any]) -> Path:
    """A run's folder with these rows."""
    folder = Path("runs", name)
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    for row in rows:
        append_row(folder / "metrics.jsonl", row)
    os.utime(folder / "config.json", (2**33, 2**33))  # the newest
    return folder


EVALUATION = {
    "step": 20,
    "seconds": 1.5,
    "characters_seen": 1000,
    "event": "evaluation",
    "nats_per_character": 2.5,
}
TRAINING = {"step": 30, "seconds": 2.0, "characters_seen": 1500, "event": "training"}


def test_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call("runs")
    assert (code, out) == (0, "")
    assert err == "no runs under runs/: train one with `ricorda train my.txt`\n"
    assert listed(call) == []


def test_a_run_that_ended(here: Path, call: Call, tiny: ricorda.Run) -> None:
    (run,) = listed(call)
    assert run["run"] == "runs/tiny"  # where it lies now, not where it was trained
    assert run["model"] == "runs/tiny/model.safetensors"
    assert run["state"] == "ended"
    for name in ("steps", "parameters", "validation", "best_step", "stopped_because"):
        assert run[name] == tiny.metrics[name]
    code, out, err = call("runs")
    assert (code, err) == (0, "")
    heading, line = out.splitlines()
    assert heading.split() == [
        "run",
        "nats",
        "bits/byte",
        "steps",
        "seconds",
        "parameters",
        "state",
    ]
    nats = tiny.metrics["validation"]["nats_per_character"]
    assert line.split()[:2] == ["runs/tiny", f"{nats:.4f}"]
    assert line.split()[-1] == "ended"


def test_a_run_that_has_not_ended(here: Path, call: Call) -> None:
    make_run("begun", EVALUATION, TRAINING)
    newest, _ = listed(call)
    assert newest == {
        "run": "runs/begun",
        "model": "runs/begun/model.safetensors",
        "state": "not ended",
        "steps": 20,
        "characters_seen": 1000,
        "train_seconds": 1.5,
        "validation": {"nats_per_character": 2.5},
    }
    assert "not ended" in call("runs")[1].splitlines()[1]


def test_a_run_that_has_only_begun(here: Path, call: Call) -> None:
    make_run("new")
    assert listed(call)[0]["state"] == "not ended"
    assert call("runs")[0] == 0


def test_an_interrupted_run_keeps_its_last_figure(here: Path, call: Call) -> None:
    ended = {
        "step": 33,
        "event": "ended",
        "stopped_because": "interrupted",
        "validation": None,
        "steps": 33,
    }
    folder = make_run("stopped", EVALUATION, TRAINING, ended)
    newest = listed(call)[0]
    assert newest["state"] == "interrupted"
    assert newest["steps"] == 33
    assert newest["validation"] == {"nats_per_character": 2.5}
    append_row(folder / "metrics.jsonl", {**EVALUATION, "step": 40})  # it was resumed
    assert listed(call)[0]["state"] == "not ended"


@pytest.mark.parametrize(
    "damage", ["nonsense\n", "[1]\n", '{"step": 1}\n', '{"event": 1}\n', "\xff\n"]
)
def test_a_damaged_run_does_not_hide_the_others(here: Path, call: Call, damage: str) -> None:
    folder = make_run("damaged")
    (folder / "metrics.jsonl").write_bytes(damage.encode("latin-1"))
    assert [run["state"] for run in listed(call)] == ["damaged", "ended"]
    assert "runs/tiny" in call("runs")[1]


def test_figures_that_are_no_numbers_stay_json(here: Path, call: Call) -> None:
    make_run("diverged", {**EVALUATION, "nats_per_character": float("nan")})
    assert listed(call)[0]["validation"] == {"nats_per_character": None}
    assert call("runs")[0] == 0


def test_another_folder(here: Path, call: Call) -> None:
    Path("runs").rename("old")
    assert [run["run"] for run in listed(call, "old")] == ["old/tiny"]


def test_a_folder_without_runs(here: Path, call: Call) -> None:
    Path("empty").mkdir()
    assert "no runs under empty/" in call("runs", "empty")[2]


@pytest.mark.parametrize("name", ["nowhere", "my.txt"])
def test_what_is_no_folder_is_told(here: Path, call: Call, name: str) -> None:
    code, out, err = call("runs", name)
    assert (code, out) == (2, "")
    assert err == f"ricorda: expected a folder of runs, {name} is none; check the name\n"


LONG = "a-name-that-is-longer-than-a-narrow-terminal"


@pytest.mark.parametrize("width, columns", [(100, 7), (40, 3), (30, 3)])
def test_a_narrow_terminal_shows_what_matters(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch, width: int, columns: int
) -> None:
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": str(width)}.items():
        monkeypatch.setenv(name, value)
    make_run(LONG, EVALUATION)
    code, out, _ = call("runs")
    assert code == 0
    heading, *lines = re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()
    assert len(heading.split()) == columns
    assert max(map(len, lines)) <= width
    assert re.search(r"2\.5000 .*not ended", lines[0])
    assert "…" not in out


def test_names_are_whole_where_there_is_no_terminal(here: Path, call: Call) -> None:
    make_run(LONG * 4, EVALUATION)
    assert f"runs/{LONG * 4} " in call("runs")[1]


def test_names_are_no_markup(here: Path, call: Call) -> None:
    make_run("[red]", EVALUATION)
    assert "runs/[red]" in call("runs")[1]


def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [row["step"] for row in read_rows(rows)] == [1, 2]
    rows.write_text('{"step": 1}\n{"st\n')
    with pytest.raises(RunError, match=r"line 2 of .* is damaged"):
        list(read_rows(rows))
