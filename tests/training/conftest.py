"""Runs that several files of tests begin."""

from pathlib import Path
from typing import Any

import pytest

from ricorda.training import Run
from ricorda.training import run as runs
from tests.training.small_runs import BOTTLES, SMALL, Learn


@pytest.fixture
def learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learn:
    """Train a small network on my.txt, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text(BOTTLES)

    def run(**options: Any) -> Run:
        return runs.new_run("my.txt", **({"quiet": True} | SMALL | options))

    return run
