"""A restarted job finds its own run."""

import os
from pathlib import Path

import pytest

from ricorda.runs import RunFolder
from ricorda.training.checkpoint.held_folder import (
    RunLock,
    belongs_to,
    job_name,
    run_of,
    was_restarted,
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(Path("runs/mine"))
    folder.path.mkdir(parents=True)
    folder.config.write_text("{}")
    return folder


def test_names_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert job_name() == ""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "one")
    assert job_name() == "one"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # torchrun was given no name
    assert str(os.getppid()) in job_name()
    assert not was_restarted()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert was_restarted()


def test_a_run_belongs_to_the_job_that_trained_it_last(run: RunFolder) -> None:
    with RunLock(run.path, "one"):
        assert belongs_to(run, "one")
    assert belongs_to(run, "one")
    assert not belongs_to(run, "other")
    assert not belongs_to(run, "")
    assert run_of("one", None) == run
    assert run_of("one", run.path) == run
    assert run_of("other", None) is None
    assert run_of("", None) is None
    with RunLock(run.path):
        pass
    assert run_of("one", None) is None
