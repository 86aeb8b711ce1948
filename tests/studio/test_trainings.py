"""Trainings as processes: queued by cores, paused, resumed, and shown whoever started them."""

import errno
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ricorda.errors import ConfigurationError, RunError
from ricorda.runs import RunFolder
from ricorda.studio import trainings as module
from ricorda.studio.settings import TrainingRequest
from ricorda.studio.trainings import Trainings, trainer_of
from ricorda.studio.workspace import Workspace
from ricorda.training.checkpoint.held_folder import RunLock
from tests.rows import append_row

# Stands for `ricorda train`: takes the run's lock, writes rows, saves when interrupted, and comes
# to its end at SIGTERM.
STAND_IN = """
import fcntl, json, os, pathlib, signal, sys
asked = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, asked)  # before anybody sees that it learns
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1] if "--out" in sys.argv else sys.argv[2])
if "--seed" in sys.argv:
    sys.exit("ricorda: it broke")
folder.mkdir(parents=True, exist_ok=True)
lock = os.open(folder / ".ricorda.lock", os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
(folder / "config.json").write_text(json.dumps({"training": {"threads": 1}}))
rows = folder / "samples.jsonl"
rows.write_text('{"step": 0, "text": ""}\\n')
ended = signal.sigtimedwait(asked, 60)
reason = "interrupted" if ended and ended.si_signo == signal.SIGINT else "steps"
row = {"step": 1, "event": "ended", "stopped_because": reason, "validation": None}
with open(folder / "metrics.jsonl", "a") as file:
    file.write(json.dumps(row) + "\\n")
"""


@pytest.fixture
def trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainings]:
    program = tmp_path / "stand_in.py"
    program.write_text(STAND_IN)
    monkeypatch.setattr(module, "PROGRAM", [sys.executable, str(program)])
    found = Trainings(Workspace(tmp_path / "runs", tmp_path / "texts"), cores=2)
    found.workspace.texts.mkdir()
    (found.workspace.texts / "my.txt").write_text("some words " * 50)
    yield found
    for training in found._known.values():
        if training.process is not None:
            training.process.kill()
            training.process.wait()


def finish(trainings: Trainings, name: str) -> None:
    """Have a stand-in come to its end."""
    process = trainings._known[name].process
    assert process is not None
    process.send_signal(signal.SIGTERM)


def wait_for(condition: Callable[[], bool]) -> None:
    """Look at what another process does until it is so; a bound, and no time that must pass."""
    pause, deadline = threading.Event(), time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.01)


def request(threads: int = 1, **options: int) -> TrainingRequest:
    return TrainingRequest(text="my.txt", threads=threads, **options)


def state(trainings: Trainings, name: str) -> str:
    return str(trainings.state(name)["state"])


def begin(trainings: Trainings, threads: int = 1) -> str:
    return trainings.begin(trainings.workspace.texts / "my.txt", request(threads))


def test_as_many_as_there_are_cores(trainings: Trainings) -> None:
    first, second = begin(trainings), begin(trainings)
    third, fourth = begin(trainings, threads=2), begin(trainings)
    assert [first, second, third, fourth] == ["my", "my-2", "my-3", "my-4"]
    for name in (first, second):
        wait_for(lambda name=name: state(trainings, name) == "learning")  # type: ignore[misc]
    assert trainings.state(third) == {"state": "queued", "reason": None, "place": 1}
    assert trainings.state(fourth)["place"] == 2
    assert trainings.waiting() == [third, fourth]
    finish(trainings, first)
    wait_for(lambda: state(trainings, first) == "ended")
    trainings._begin_what_fits()
    assert trainings.waiting() == [third, fourth]  # it wants two cores, and nobody overtakes
    finish(trainings, second)
    wait_for(lambda: state(trainings, second) == "ended")
    trainings._begin_what_fits()
    assert trainings.waiting() == [fourth]
    trainings.pause(fourth)
    assert trainings.waiting() == []


def test_a_pause_and_a_resume(trainings: Trainings) -> None:
    name = begin(trainings)
    wait_for(lambda: state(trainings, name) == "learning")
    trainings.pause(name)
    trainings.pause(name)  # the second signal would have ended it at once
    wait_for(lambda: state(trainings, name) == "paused")
    trainings.pause(name)  # as when the process ends between two clicks
    assert state(trainings, name) == "paused"
    trainings.go_on(name)
    wait_for(lambda: state(trainings, name) == "learning")
    trainings.stop(name)
    wait_for(lambda: state(trainings, name) == "stopped")
    trainings.go_on(name)
    wait_for(lambda: state(trainings, name) == "learning")
    finish(trainings, name)
    wait_for(lambda: state(trainings, name) == "ended")
    with pytest.raises(RunError, match="has ended"):
        trainings.go_on(name)


def test_a_failure_reports_its_last_line(trainings: Trainings) -> None:
    name = trainings.begin(Path("my.txt"), request(seed=1))
    wait_for(lambda: state(trainings, name) == "failed")
    assert trainings.state(name)["reason"] == "ricorda: it broke"


def test_another_studio_sees_and_pauses_it(trainings: Trainings) -> None:
    name = begin(trainings)
    wait_for(lambda: state(trainings, name) == "learning")
    other = Trainings(trainings.workspace, cores=2)
    assert state(other, name) == "learning"
    assert other.running() == [name]
    other.pause(name)
    wait_for(lambda: state(other, name) == "paused")


def test_what_is_not_trained_cannot_be_paused(trainings: Trainings) -> None:
    run = RunFolder(trainings.workspace.runs / "old")
    run.path.mkdir(parents=True)
    run.config.write_text("{}")
    append_row(run.metrics, {"step": 1, "event": "ended", "stopped_because": "steps"})
    with pytest.raises(RunError, match="not being trained"):
        trainings.pause("old")
    assert trainings.state("old")["state"] == "ended"


def test_closing_leaves_them_running(trainings: Trainings) -> None:
    name = begin(trainings)
    process = trainings._known[name].process
    assert process is not None
    wait_for(lambda: state(trainings, name) == "learning")
    trainings.close()
    assert trainer_of(RunFolder(trainings.workspace.runs / name)) == process.pid
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)


def test_the_lock_tells_who_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    assert trainer_of(run) is None
    with RunLock(tmp_path):
        assert trainer_of(run) in (os.getpid(), 0)
        listed = tmp_path / "locks"  # as on btrfs, whose device has another number there
        inode = (tmp_path / ".ricorda.lock").stat().st_ino
        other = f"1: FLOCK  ADVISORY  WRITE 77 00:99:{inode} 0 EOF\n"
        listed.write_text(other)
        monkeypatch.setattr("ricorda.studio.trainings.LOCKS", listed)
        assert trainer_of(run) == 77
        listed.write_text(other + other.replace("77 00:99", "78 00:98"))
        assert trainer_of(run) == 0  # one of the two
        device = (tmp_path / ".ricorda.lock").stat().st_dev
        its_own = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
        listed.write_text(f"{other}2: FLOCK  ADVISORY  WRITE 5 {its_own} 0 EOF\n")
        assert trainer_of(run) == 5
        listed.write_text(other)
        monkeypatch.setattr("ricorda.studio.trainings.LOCKS", tmp_path / "none")
        assert trainer_of(run) == 0  # where the system keeps no list
    monkeypatch.setattr("ricorda.studio.trainings.LOCKS", listed)
    assert trainer_of(run) is None


def test_a_request_as_a_command_line() -> None:
    asked = TrainingRequest(text="x", minutes=0.5, hidden_size=64, cell="gru", learning_rate=1e-3)
    assert asked.words(2) == [
        *("--minutes", "0.5", "--cell", "gru", "--hidden-size", "64"),
        *("--learning-rate", "0.001", "--threads", "2", "--early-samples"),
    ]


def test_documents_on_a_command_line() -> None:
    asked = TrainingRequest(
        text="x", vocabulary="pieces:64", documents="separator:\\n--", split="blocks",
        test_fraction=0.1, min_count=2,
    )  # fmt: skip
    assert asked.words(1) == [
        *("--vocabulary", "pieces:64", "--documents", "separator:\\n--", "--split", "blocks"),
        *("--test-fraction", "0.1", "--min-count", "2", "--threads", "1", "--early-samples"),
    ]
    table = TrainingRequest(text="x", field="name", label_field="2", steps=5)
    options = ["--field", "name", "--label-field", "2", "--threads", "1", "--early-samples"]
    assert table.words(1) == ["--steps", "5", *options]


@pytest.mark.parametrize(
    "options",
    [
        {"vocabulary": "bytes", "min_count": 2},
        {"documents": "chapters"},
        {"label_field": "language"},
        {"vocabulary": "pieces:1"},
    ],
)
def test_options_that_contradict_each_other_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        TrainingRequest(text="x", **options).words(1)


@pytest.mark.parametrize("name", ["documents", "field", "label_field", "vocabulary"])
def test_a_word_with_a_nul_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        TrainingRequest(text="x", **{name: "a\0b"})


def test_a_core_that_another_studio_uses_is_taken(trainings: Trainings) -> None:
    name = begin(trainings, threads=2)
    (trainings.workspace.runs / name).mkdir(parents=True, exist_ok=True)
    wait_for(lambda: state(trainings, name) == "learning")
    (trainings.workspace.runs / name / "config.json").write_text('{"training": {"threads": 2}}')
    other = Trainings(trainings.workspace, cores=2)
    second = begin(other)
    assert other.state(second)["place"] == 1
    finish(trainings, name)
    wait_for(lambda: state(trainings, name) == "ended")


def test_the_queue_is_kept_for_the_next_start(trainings: Trainings) -> None:
    first, second = begin(trainings, threads=2), begin(trainings)
    wait_for(lambda: state(trainings, first) == "learning")
    assert Trainings(trainings.workspace, cores=2).waiting() == []  # the first studio keeps it
    trainings._line.close()
    later = Trainings(trainings.workspace, cores=2)
    assert later.waiting() == [second]
    assert later.arguments(second) == trainings.arguments(second)
    later.pause(second)
    later._line.close()
    assert Trainings(trainings.workspace, cores=2).waiting() == []
    assert state(later, second) == "gone"


def waits(workspace: Workspace, **changes: Any) -> list[str]:
    """The names that a new studio takes up from a line with one training in it."""
    workspace.texts.mkdir(exist_ok=True)
    (workspace.texts / "my.txt").write_text("some words " * 50)
    kept = {"name": "a", "request": {"text": "my.txt"}} | changes
    (workspace.private / "line.json").write_text(json.dumps([kept]))
    found = Trainings(workspace, cores=2)
    found.close()
    return found.waiting()


def test_a_waiting_run_whose_name_has_dots_is_taken_up(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "runs", tmp_path / "texts")
    name = workspace.free_run(Path("my.v2.txt"), set()).name
    assert waits(workspace, name=name) == [name] == ["my.v2"]


WRONG: list[dict[str, Any]] = [
    {"name": "../a"},
    {"name": ".a"},
    {"name": "--config=x"},
    {"name": "taken"},
    {"name": "a", "arguments": ["train", "/etc/passwd"]},
    {"request": {"text": "../secret.txt"}},
    {"request": {"text": "none.txt"}},
    {"request": {"text": "my.txt", "hidden_size": 10**9}},
    {"request": {"text": "my.txt", "out": "/tmp/x"}},
    {"request": None},
    {"request": ["train"]},
]


@pytest.mark.parametrize("changes", WRONG, ids=str)
def test_a_line_is_checked_as_requests_are(tmp_path: Path, changes: dict[str, Any]) -> None:
    workspace = Workspace(tmp_path / "runs", tmp_path / "texts")
    (workspace.runs / "taken").mkdir(parents=True)
    assert waits(workspace) == ["a"]
    assert waits(workspace, **changes) == []


def test_a_queue_that_others_could_write_is_not_used(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "runs", tmp_path / "texts")
    assert waits(workspace) == ["a"]
    (workspace.private / "line.json").chmod(0o666)
    assert waits(workspace) == []
    (workspace.private / "line.json").rename(workspace.private / "other")
    (workspace.private / "line.json").symlink_to("other")
    (workspace.private / "other").chmod(0o600)
    assert Trainings(workspace, cores=2).waiting() == []


@pytest.mark.parametrize("content", ["not JSON", '[{"name": "a"}]', "{}", "[1]"])
def test_a_damaged_queue_is_not_used(tmp_path: Path, content: str) -> None:
    workspace = Workspace(tmp_path / "runs", tmp_path / "texts")
    (workspace.private / "line.json").write_text(content)
    assert Trainings(workspace, cores=2).waiting() == []


def test_a_run_whose_name_begins_with_a_dash_is_no_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunFolder(Path("--config=evil"))
    run.path.mkdir()
    run.config.write_text("{}")
    found = Trainings(Workspace(Path(), Path("texts")), cores=2)
    monkeypatch.setattr(module, "PROGRAM", ["true"])
    found.go_on("--config=evil")
    assert found.arguments("--config=evil") == ["resume", "./--config=evil"]
    wait_for(lambda: not found._known["--config=evil"].alive)


def test_a_training_that_dies_silently_has_a_reason(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRAM", [sys.executable, "-c", "raise SystemExit(3)"])
    name = begin(trainings)
    wait_for(lambda: state(trainings, name) == "failed")
    reason = trainings.state(name)["reason"]
    assert reason == "it ended with exit code 3 and printed nothing"


def test_a_disk_without_room_for_a_log_is_the_reason(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(log: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "_reserve", full)
    name = begin(trainings)
    status = trainings.state(name)
    assert status["state"] == "failed"
    assert status["reason"] == "it could not be started: no space left on device"


def test_a_training_that_the_system_does_not_start_holds_up_no_other(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(module, "PROGRAM", ["/nothing/here"])
        name = trainings.begin(Path("my.txt"), request())
    status = trainings.state(name)
    assert status["state"] == "failed"
    assert "could not be started" in status["reason"]
    other = trainings.begin(Path("my.txt"), request())
    wait_for(lambda: state(trainings, other) == "learning")


def test_what_failed_before_it_began_may_begin_again(trainings: Trainings) -> None:
    name = trainings.begin(Path("my.txt"), request(seed=1))
    wait_for(lambda: state(trainings, name) == "failed")
    trainings._known[name].arguments.remove("--seed")
    trainings.go_on(name)
    wait_for(lambda: state(trainings, name) == "learning")


def test_a_process_that_was_killed_is_reported_as_such(trainings: Trainings) -> None:
    name = begin(trainings)
    wait_for(lambda: state(trainings, name) == "learning")
    process = trainings._known[name].process
    assert process is not None
    process.kill()
    wait_for(lambda: state(trainings, name) == "failed")
    assert trainings.state(name)["reason"] == "its process was ended by a signal (SIGKILL)"


def test_a_name_that_is_free_again_begins_anew(trainings: Trainings) -> None:
    name = begin(trainings)
    wait_for(lambda: state(trainings, name) == "learning")
    trainings.stop(name)
    wait_for(lambda: state(trainings, name) == "stopped")
    shutil.rmtree(trainings.workspace.runs / name)
    assert state(trainings, name) == "gone"
    trainings._known.clear()  # as in a later sitting
    assert begin(trainings) == name
    wait_for(lambda: state(trainings, name) == "learning")
    trainings.pause(name)
    wait_for(lambda: state(trainings, name) == "paused")
