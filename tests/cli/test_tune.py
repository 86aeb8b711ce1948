"""`ricorda tune`: the table, JSON, a search that is killed, several processes."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ricorda.experiments.halving import expected_trials

pytest.importorskip("optuna", reason="needs the package optuna")

Start = Callable[..., "subprocess.Popen[bytes]"]
Call = Callable[..., tuple[int, str, str]]

SMALL = ["--hidden-size", "8", "--threads", "1", "--batch-size", "4", "--window", "16"]
all_faults = pytest.mark.skipif(
    os.environ.get("FAULTS") != "all", reason="`make faults` also runs several commands together"
)


def numbers(found: dict[str, Any]) -> list[int]:
    return [trial["number"] for trial in found["trials"]]


def test_a_table_and_a_folder(here: Path, call: Call) -> None:
    code, out, err = call("tune", "my.txt", "--steps", "9", "--trials", "3", *SMALL)
    assert code == 0
    head, _, *others = out.splitlines()
    assert head.split()[:3] == ["trial", "bits/character", "state"]
    assert "planner's settings" in out
    assert len(others) == 2
    assert "3 trials, 9 steps for a whole trial: learning_rate, dropout" in err
    assert "ricorda train TEXT --config experiments/my-tune/best.toml" in err


def test_minutes_are_those_of_the_whole_search(here: Path, call: Call) -> None:
    words = ["--minutes", "0.02", "--trials", "2", *SMALL, "--json", "--quiet"]
    code, out, _ = call("tune", "my.txt", *words)
    assert code == 0
    found = json.loads(out)
    assert found["budget"] == {"minutes": pytest.approx(0.02 / expected_trials(2, 1))}
    assert numbers(found) == [0, 1]


def kill_in_trial(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Kill a search when it says that a trial begins."""
    assert process.stderr is not None
    for line in process.stderr:
        if f"({number} of".encode() in line:
            break
    process.kill()
    process.communicate()


def test_a_killed_search_finishes_the_same_number_of_trials(
    here: Path, start: Start, call: Call
) -> None:
    words = ["tune", "my.txt", "--steps", "400", "--trials", "4", *SMALL]
    kill_in_trial(start(*words), 2)
    code, out, _ = call(*words, "--json", "--quiet")
    assert code == 0
    found = json.loads(out)
    assert numbers(found) == [0, 1, 2, 3]
    assert {trial["state"] for trial in found["trials"]} <= {"complete", "stopped"}
    planned = found["trials"][0]
    assert (planned["is_planned"], planned["state"]) == (True, "complete")
    assert found["best"]["nats_per_character"] <= planned["nats_per_character"]


def test_two_processes_share_the_trials(here: Path, start: Start) -> None:
    words = ["tune", "my.txt", "--steps", "30", "--trials", "4", *SMALL, "--json", "--quiet"]
    process = start(*words, "--processes", "2")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert numbers(json.loads(out)) == list(range(4))


@all_faults
def test_the_same_command_twice_works_together(here: Path, start: Start) -> None:
    words = ["tune", "my.txt", "--steps", "60", "--trials", "6", *SMALL, "--json", "--quiet"]
    both = [start(*words), start(*words)]
    results = []
    for process in both:
        out, err = process.communicate()
        assert (process.returncode, err) == (0, b"")
        results.append(json.loads(out))
    assert results[0]["trials"] == results[1]["trials"]
    assert numbers(results[0]) == list(range(6))


@all_faults
def test_a_killed_command_of_several_processes_is_continued(
    here: Path, start: Start, call: Call
) -> None:
    words = ["tune", "my.txt", "--steps", "2000", "--trials", "6", *SMALL]
    kill_in_trial(start(*words, "--processes", "3"), 1)
    code, out, _ = call(*words, "--json", "--quiet")
    assert code == 0
    found = json.loads(out)
    assert numbers(found) == list(range(6))
    assert {trial["state"] for trial in found["trials"]} <= {"complete", "stopped"}


def test_what_is_refused(here: Path, call: Call) -> None:
    code, out, err = call("tune", "my.txt", "--minutes", "1", "--steps", "5", *SMALL)
    assert (code, out) == (2, "")
    assert "expected one budget" in err
    assert not Path("experiments").exists()
