"""The lock of a run's folder."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.errors import RunError
from ricorda.training.checkpoint.held_folder import RunLock
from tests.training.reporters import Recorder

fcntl = pytest.importorskip("fcntl")


def fail(monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    def refuse(*_: object) -> None:
        number = getattr(errno, error)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK", "ENOTSUP", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_reported_once_and_the_run_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    fail(monkeypatch, error)
    (tmp_path / "my.txt").write_text("0123456789" * 30)
    first, second = Recorder(), Recorder()
    small: dict[str, Any] = {"hidden_size": 4, "threads": 1, "window": 8, "batch_size": 2}
    run = ricorda.train(tmp_path / "my.txt", out=tmp_path / "run", steps=3, reporter=first, **small)
    assert ricorda.resume(run.folder, steps=5, reporter=second).metrics["steps"] == 5
    for said in (first, second):
        assert [line for line in said.lines if "has no locks" in line] == [
            f"warning: the file system of {tmp_path / 'run'} has no locks: make sure that no other "
            "process trains in this folder"
        ]


def test_another_error_of_the_lock_is_still_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, "EIO")
    with pytest.raises(RunError, match=r"cannot lock the run .*: Input/output error"):
        RunLock(tmp_path).__enter__()


def test_a_lock_that_is_held_is_an_error(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(RunError, match="another process trains"):
        RunLock(tmp_path).__enter__()
