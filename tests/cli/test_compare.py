"""`ricorda compare`: the table, JSON, what is refused, and a comparison that is killed."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]
Call = Callable[..., tuple[int, str, str]]

SMALL = ["--steps", "6", "--hidden-size", "8", "--threads", "1", "--batch-size", "4"]


def test_a_table_and_a_folder(here: Path, call: Call) -> None:
    code, out, err = call("compare", "my.txt", "--cells", "lstm,gru", "--seeds", "2", *SMALL)
    assert code == 0
    head, *rows = out.splitlines()
    assert head.split("  ")[0] == "cell"
    assert [row.split()[0] for row in rows] == ["lstm", "gru"]
    assert all("±" in row for row in rows)
    assert "4 trainings: lstm with 8 units, gru with 8 units" in err
    assert "cell gru, seed 2 (4 of 4)" in err
    assert "report: experiments/my-cell/report.html" in err


def test_json(here: Path, call: Call) -> None:
    vary = ["--vary", "learning-rate=1e-3,0.01"]
    code, out, err = call("compare", "my.txt", *vary, "--seeds", "1", *SMALL, "--json", "--quiet")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["option"], found["budget"], found["seeds"]) == ("learning_rate", "6 steps", 1)
    assert [row["value"] for row in found["rows"]] == [0.001, 0.01]
    for row in found["rows"]:
        assert row["nats_per_character"]["standard_deviation"] is None
        assert (Path(row["runs"][0]) / "model.safetensors").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--cells", "lstm,nothing"], "expected cells among"),
        (["--vary", "hidden_size"], "expected OPTION=VALUE,VALUE"),
        (["--vary", "hidden_size=8,x"], "expected a whole number"),
        (["--vary", "colour=red,blue"], "expected an option of `ricorda train`"),
        (["--vary", "minutes=1,2"], "expected an option of `ricorda train`"),
        (["--cells", "lstm,gru", "--minutes", "1"], "expected one budget"),
        (["--vary", "hidden_size=8,16"], "expected hidden_size to be varied or fixed, got both"),
        ([], "expected one option to vary, got none"),
    ],
)
def test_what_is_refused(here: Path, call: Call, words: list[str], message: str) -> None:
    code, out, err = call("compare", "my.txt", *words, *SMALL)
    assert (code, out) == (2, "")
    assert message in err
    assert not Path("experiments").exists()


def test_a_killed_comparison_continues(here: Path, start: Start, call: Call) -> None:
    words = ["compare", "my.txt", "--cells", "lstm,gru", "--seeds", "1", "--out", "both"]
    words += ["--steps", "3000", "--hidden-size", "4", "--threads", "1"]
    process = start(*words)
    assert process.stderr is not None
    for line in process.stderr:
        if b"(2 of 2)" in line:
            break
    process.kill()
    process.communicate()
    begun = {path.name: (path / "config.json").stat().st_mtime_ns for path in runs()}
    code, out, err = call(*words)
    assert code == 0
    assert "(1 of 2)" not in err
    assert [row.split()[0] for row in out.splitlines()[1:]] == ["lstm", "gru"]
    first = next(path for path in runs() if path.name == "cell-lstm-seed-1")
    assert (first / "config.json").stat().st_mtime_ns == begun[first.name]


def runs() -> list[Path]:
    return [path for path in Path("both/trials").iterdir() if (path / "config.json").exists()]


def test_a_signal_saves_and_says_how_to_continue(here: Path, start: Start) -> None:
    words = ["--minutes", "60", "--hidden-size", "4", "--threads", "1"]
    process = start("compare", "my.txt", "--cells", "lstm,gru", *words)
    assert process.stderr is not None
    wait_for_a_checkpoint(Path("experiments/my-cell/trials/cell-lstm-seed-1"), process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert b"interrupted; continue with the same command" in err
    assert Path("experiments/my-cell/report.html").exists()


def wait_for_a_checkpoint(run: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a run has begun to train."""
    while not (run / "checkpoints").is_dir():
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
