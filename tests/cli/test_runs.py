"""`ricorda runs`: all runs with their figures, however they ended."""

import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.errors import RunError
from ricorda.runs import read_rows
from ricorda.text.document_index import write_document_index
from ricorda.training.checkpoint.held_folder import RunLock
from tests.rows import append_row

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
    assert heading.split() == ["run", "bits/character", "steps", "time", "parameters", "state"]
    bits = tiny.metrics["validation"]["bits_per_character"]
    assert line.split()[:3] == ["runs/tiny", f"{bits:.3f}", "40"]
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
    "damage",
    [
        *("nonsense\n", "[1]\n", '{"step": 1}\n', '{"event": 1}\n', "\xff\n"),
        '{"step": 1, "event": "evaluation", "characters_seen": 1, "seconds": 1, '
        '"nats_per_character": "z"}\n',
        '{"step": 1, "event": "ended", "stopped_because": "steps", "validation": "oops"}\n',
        '{"step": 1, "event": "ended", "stopped_because": "steps", "validation": null, '
        '"parameters": "many"}\n',
    ],
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
def test_what_is_no_folder_is_reported(here: Path, call: Call, name: str) -> None:
    code, out, err = call("runs", name)
    assert (code, out) == (2, "")
    assert (
        err == f"ricorda: expected a folder of runs, but {name} is not a folder; check the name\n"
    )


def test_sorted_by_a_figure(here: Path, call: Call) -> None:
    make_run("good", EVALUATION | {"nats_per_character": 0.5, "step": 7})
    make_run("new")
    names = {
        sort: [Path(run["run"]).name for run in listed(call, "--sort", sort)]
        for sort in ("name", "bits", "steps", "parameters")
    }
    assert names["name"] == ["good", "new", "tiny"]
    assert names["bits"] == ["good", "tiny", "new"]
    assert names["steps"] == ["tiny", "good", "new"]
    assert names["parameters"][0] == "tiny"


def test_what_differs_between_runs(here: Path, call: Call) -> None:
    words = ("--steps", "1", "--hidden-size", "9", "--threads", "1", "--seed", "5", "--quiet")
    assert call("train", "my.txt", *words, "--out", "runs/other")[0] == 0
    other, tiny = listed(call)
    assert other["differs"]["hidden_size"] == 9
    assert tiny["differs"]["hidden_size"] == 12
    assert (other["differs"]["budget"], tiny["differs"]["budget"]) == ("1 step", "40 steps")
    assert "cell" not in other["differs"]  # all alike
    out = call("runs")[1]
    assert "hidden_size=9, budget=1 step" in out
    assert "differs" in out.splitlines()[0]


def test_a_note_is_listed_replaced_and_removed(here: Path, call: Call) -> None:
    assert call("runs", "--note", "tiny", "first try")[0] == 0
    assert listed(call)[0]["note"] == "first try"
    _, out, _ = call("runs", "--note", "runs/tiny", "no dropout")
    assert out.splitlines()[1].endswith("no dropout")
    call("runs", "--note", "tiny", "")
    assert "note" not in listed(call)[0]
    assert not Path("runs/tiny/note.txt").exists()


@pytest.mark.parametrize("note", ["a\nb", "x" * 2000])
def test_a_note_is_one_short_line(here: Path, call: Call, note: str) -> None:
    code, _, err = call("runs", "--note", "tiny", note)
    assert code != 0
    assert "expected a note of one line" in err


def test_a_note_is_not_written_through_a_link(here: Path, call: Call) -> None:
    Path("mine").write_text("kept")
    Path("runs/tiny/note.txt").symlink_to(here / "mine")
    assert call("runs", "--note", "tiny", "hello")[0] != 0
    assert "note" not in listed(call)[0]
    assert call("runs", "--note", "tiny", "")[0] == 0
    assert Path("runs/tiny/note.txt").is_symlink()
    assert Path("mine").read_text() == "kept"


def test_without_a_terminal_nothing_is_deleted_without_yes(here: Path, call: Call) -> None:
    code, _, err = call("runs", "--delete", "tiny")
    assert code == 2
    assert "add --yes" in err
    assert Path("runs/tiny/model.safetensors").is_file()


def test_a_deleted_run_is_gone_whole(here: Path, call: Call) -> None:
    call("runs", "--note", "tiny", "old")
    write_document_index(Path("runs/tiny/documents.index"), ["one", "two"])
    code, _, err = call("runs", "--delete", "tiny", "--yes")
    assert (code, err) == (0, "deleted runs/tiny\n")
    assert not Path("runs/tiny").exists()
    assert Path("runs").is_dir()
    assert Path("my.txt").is_file()


@pytest.mark.parametrize("answer, code", [("n", 1), ("y", 0), ("", 1)])
def test_the_question_decides(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    class Typed(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Typed(f"{answer}\n"))
    found, out, err = call("runs", "--delete", "tiny")
    assert (found, out) == (code, "")
    assert re.search(
        r"Delete runs/tiny \(40 steps, \d\.\d{3} bits per character\) permanently\?", err
    )
    assert Path("runs/tiny").exists() == (answer != "y")


def test_the_deletion_leaves_what_ricorda_did_not_write(here: Path, call: Call) -> None:
    run = Path("runs/tiny")
    (run / "mine.txt").write_text("kept")
    (run / "checkpoints" / "40" / "mine.bin").write_text("kept")
    outside = here / "outside.html"
    outside.write_text("kept")
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(outside)
    code, _, err = call("runs", "--delete", "tiny", "--yes")
    assert code == 0
    assert "runs/tiny was not removed, because it has files that ricorda did not write: " in err
    left = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    assert left == [
        *("checkpoints", "checkpoints/40", "checkpoints/40/mine.bin", "mine.txt", "report.html"),
    ]
    assert outside.read_text() == "kept"


def test_a_file_that_cannot_be_removed_is_named_and_leaves_a_run(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.name == "samples.jsonl":
            raise PermissionError(1, "Operation not permitted")
        remove(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        code, _, err = call("runs", "--delete", "tiny", "--yes")
    assert code == 2
    assert "cannot remove runs/tiny/samples.jsonl" in err
    assert "deleted" not in err
    assert call("runs", "--delete", "tiny", "--yes")[::2] == (0, "deleted runs/tiny\n")
    assert not Path("runs/tiny").exists()


def test_links_strangers_and_running_runs_are_not_deleted(here: Path, call: Call) -> None:
    real = Path("runs/tiny")
    Path("runs/link").symlink_to(real.absolute(), target_is_directory=True)
    stranger = Path("runs/site")
    stranger.mkdir()
    (stranger / "config.json").write_text('{"name": "a site"}')
    (stranger / "report.html").write_text("kept")
    for name in ("link", "site"):
        assert call("runs", "--delete", name, "--yes")[0] != 0
    with RunLock(real):
        code, _, err = call("runs", "--delete", "tiny", "--yes")
    assert code != 0
    assert "another process trains in runs/tiny" in err
    elsewhere = here / "elsewhere"
    (real / "checkpoints").rename(elsewhere)
    (real / "checkpoints").symlink_to(elsewhere, target_is_directory=True)
    assert call("runs", "--delete", "tiny", "--yes")[0] != 0
    assert (stranger / "report.html").read_text() == "kept"
    assert (real / "model.safetensors").is_file()
    assert len(list(elsewhere.iterdir())) == 2


def test_a_run_that_is_not_there(here: Path, call: Call) -> None:
    for words in (("--delete", "none", "--yes"), ("--note", "none", "text"), ("--delete", "")):
        code, _, err = call("runs", *words)
        assert code == 2
        assert "expected a run" in err


LONG = "a-name-that-is-longer-than-a-narrow-terminal"


@pytest.mark.parametrize("width, columns", [(120, 6), (40, 3), (30, 3)])
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
    assert " 3.607 " in lines[0]  # 2.5 nats
    assert "not" in lines[0].split()
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
