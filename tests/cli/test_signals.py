"""Signals during training: the run is saved, the exit code shows the signal, it can be resumed."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]
Call = Callable[..., tuple[int, str, str]]

FOREVER = ["train", "my.txt", "--minutes", "60", "--hidden-size", "4", "--threads", "1"]


def wait_until_it_learns(process: "subprocess.Popen[bytes]") -> None:
    """Read its messages up to the first evaluation."""
    assert process.stderr is not None
    for line in process.stderr:
        if b": validation " in line:
            return
    raise AssertionError("it ended before it learned")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_well(here: Path, start: Start, number: signal.Signals) -> None:
    process = start(*FOREVER, "--json")
    wait_until_it_learns(process)
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 128 + number
    found = json.loads(out)
    assert found["stopped_because"] == "interrupted"
    assert found["validation"] is None
    assert b"continue with: ricorda resume runs/my" in err
    assert b"Traceback" not in err
    run = Path("runs/my")
    assert (run / "checkpoints" / str(found["steps"])).is_dir()
    assert (run / "model.safetensors").is_file()
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_a_run_has_begun_leaves_nothing(
    here: Path, start: Start, number: signal.Signals
) -> None:
    process = start("train", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"more than a pipe holds\n" * 100_000)  # returns once most of it is copied
    process.stdin.flush()
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 128 + number
    assert b"Traceback" not in err
    assert [path.name for path in Path("runs").iterdir()] == ["tiny"]


def test_a_killed_run_shows_as_not_ended_and_still_writes(
    here: Path, start: Start, call: Call
) -> None:
    process = start(*FOREVER)
    wait_until_it_learns(process)
    process.kill()
    process.communicate()
    assert [run["state"] for run in json.loads(call("runs", "--json")[1])["runs"]] == [
        "not ended",
        "ended",
    ]
    assert call("sample", "runs/my", "--length", "9")[0] == 0
    assert call("info", "runs/my")[0] == 0


def test_a_terminal_that_is_closed_does_not_lose_the_run(here: Path, start: Start) -> None:
    terminal, its_end = pty.openpty()
    process = start(*FOREVER, stderr=its_end, stdout=its_end, environment={"TERM": "xterm"})
    os.close(its_end)
    seen = b""
    while b"bits" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 128 + signal.SIGHUP
    ended = Path("runs/my/metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(ended)["stopped_because"] == "interrupted"


def test_a_reader_of_the_messages_that_goes_away_does_not_end_the_run(
    here: Path, start: Start
) -> None:
    process = start("train", "my.txt", "--steps", "20", "--hidden-size", "4", "--json")
    wait_until_it_learns(process)
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdout is not None
    assert json.loads(process.stdout.read())["stopped_because"] == "steps"
    process.stdout.close()
    assert process.wait() == 0


def test_sampling_may_be_interrupted(here: Path, start: Start) -> None:
    process = start("sample", "--length", "100000000")
    assert process.stdout is not None
    assert process.stdout.read(10)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err
