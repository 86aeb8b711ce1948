"""Runs of ricorda to which something happens, and what is left of them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ricorda.runs import RunFolder, ended, read_rows
from ricorda.training.checkpoint.folder import Broken, Checkpoint, Newer

REPOSITORY = Path(__file__).resolve().parent.parent.parent
WALL_CLOCK = {"seconds", "characters_per_second", "train_seconds"}
BOTTLES = "".join(f"{number} bottles of beer on the wall\n" for number in range(100, 0, -1))

TINY = [
    *("--hidden-size", "4", "--embedding-size", "3", "--batch-size", "4", "--window", "8"),
    *("--threads", "1", "--steps", "4", "--dropout", "0.3"),
]


@dataclass(frozen=True)
class Done:
    """What a command line came to."""

    place: Path
    status: int
    output: str

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.place / "run"

    @property
    def fault(self) -> dict[str, int]:
        """How many calls there were and whether the fault came about."""
        found: dict[str, int] = json.loads((self.place / "fault.json").read_text())
        return found


class Forge:
    """A server of command lines with faults, and folders to run them in."""

    def __init__(self, shim: Path, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        # No more threads than one, so that forks are whole.
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        path = os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads | {"LD_PRELOAD": str(shim), "PYTHONPATH": path},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def place(self, text: str = BOTTLES) -> Path:
        """Make a new folder with a text in it."""
        self._number += 1
        place = self._folder / str(self._number)
        place.mkdir()
        (place / "my.txt").write_text(text)
        return place

    def call(self, place: Path, *words: str, **request: Any) -> Done:
        """Run a command line in a folder."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        message = {"cwd": str(place), "words": list(words), **request}
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        status = json.loads(self._process.stdout.readline())["status"]
        output = place / "output.txt"  # not there if it was killed before it began
        return Done(place, status, output.read_text() if output.exists() else "")

    def train(self, place: Path, *words: str, **request: Any) -> Done:
        """Train in place/run."""
        return self.call(
            place, "train", "my.txt", "--out", "run", *(words or TINY), "--quiet", **request
        )

    def resume(self, place: Path, *words: str, **request: Any) -> Done:
        """Go on with place/run."""
        return self.call(place, "resume", "run", *words, **request)

    def finish(self, place: Path, *words: str) -> Done:
        """Go on with place/run, or begin it if it never began, until it has ended.

        A run that wrote its last row before it was killed has ended.
        """
        begun = (place / "run" / "config.json").exists()
        if begun and ended(RunFolder(place / "run")) is not None:
            return Done(place, 0, "")
        done = self.resume(place) if begun else self.train(place, *words)
        assert done.status == 0, f"exit code {done.status}: {done.output}"
        return done


def remains(run: Path) -> dict[str, Any]:
    """All of a run that must not depend on what happened to it."""
    named = [path for path in good_checkpoints(run) if not path.name.startswith(".")]
    newest = max(named, key=lambda path: int(path.name.split(".")[0]))
    return {
        "model": (run / "model.safetensors").read_bytes(),
        "metrics": [_without_clock(row) for row in read_rows(run / "metrics.jsonl")],
        "samples": (run / "samples.jsonl").read_bytes(),
        "learner": (newest / "tensors.safetensors").read_bytes(),
        "progress": _without_clock(json.loads((newest / "progress.json").read_bytes())["progress"]),
    }


def _without_clock(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_clock(each) for name, each in value.items() if name not in WALL_CLOCK}


def differences(run: Path, other: Path) -> list[str]:
    """What differs between two runs; nothing if the second was done as well as the first."""
    one, two = remains(run), remains(other)
    return [name for name in one if one[name] != two[name]]


def good_checkpoints(run: Path) -> list[Path]:
    """The checkpoints that are whole."""
    good = []
    for place in (run / "checkpoints").iterdir() if (run / "checkpoints").is_dir() else []:
        try:
            Checkpoint(place).check()
        except (Broken, Newer, OSError):
            continue
        good.append(place)
    return good


def leftovers(run: Path) -> list[str]:
    """Whatever a process left unfinished."""
    return [path.name for path in run.rglob("*") if path.name.endswith(".partial")]


def copy(place: Path, to: Path) -> Path:
    """Another folder like this one."""
    shutil.copytree(place, to, dirs_exist_ok=True)
    return to
