"""One tiny model, trained once, and ways to run the command line."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.cli.main import main

BOTTLES = "".join(f"{number} bottles of beer on the wall\n" for number in range(100, 0, -1))

Ran = tuple[int, str, str]
"""The exit code, standard output and standard error of a command line."""


@pytest.fixture(scope="session")
def bottles() -> str:
    """A text of 24 different characters."""
    return BOTTLES


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ricorda.Run:
    """A run of 40 steps on it."""
    folder = tmp_path_factory.mktemp("tiny")
    text = folder / "my.txt"
    text.write_text(BOTTLES)
    return ricorda.train(text, out=folder / "run", steps=40, hidden_size=12, threads=1, quiet=True)


@pytest.fixture
def here(tiny: ricorda.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: my.txt, and runs/tiny, which learned it."""
    (tmp_path / "my.txt").write_text(BOTTLES)
    shutil.copytree(tiny.folder, tmp_path / "runs" / "tiny")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line in this process."""

    def run(*words: str | Path) -> Ran:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Run a command line in a process of its own, with pipes unless other streams are given.

    What a test that failed left behind is ended.
    """
    begun: list[subprocess.Popen[bytes]] = []

    def begin(
        *words: str | Path, environment: dict[str, str] | None = None, **options: Any
    ) -> "subprocess.Popen[bytes]":
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [sys.executable, "-m", "ricorda", *map(str, words)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | (environment or {}),
            **{**pipes, **options},
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        with process:
            process.kill()


NAMES = {"Irish": ["aine", "cian", "niall"], "Italian": ["anna", "dino", "carla", "lucia"]}
"""Short documents by label."""


@pytest.fixture(scope="session")
def tiny_names(tmp_path_factory: pytest.TempPathFactory) -> ricorda.Run:
    """A run on short lines with labels."""
    folder = tmp_path_factory.mktemp("tiny_names")
    for label, names in NAMES.items():
        (folder / f"{label}.txt").write_text("\n".join(names * 20) + "\n")
    return ricorda.train(
        [folder / f"{label}.txt" for label in NAMES],
        documents="lines",
        label_from="file",
        out=folder / "run",
        steps=150,
        hidden_size=16,
        threads=1,
        quiet=True,
    )


@pytest.fixture
def names_here(tiny_names: ricorda.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: runs/names, which learned lines with labels, and names.txt."""
    shutil.copytree(tiny_names.folder, tmp_path / "runs" / "names")
    lines = [name for names in NAMES.values() for name in names]
    (tmp_path / "names.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
