"""A run's folder: where each file lies, how a new one is named, how rows are appended."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ricorda.errors import RunError

RUNS = Path("runs")
LONGEST_NAME = 60  # characters of a run's name; a system's limit is often 255 bytes


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """All that repeats the run."""
        return self.path / "config.json"

    @property
    def model(self) -> Path:
        """The best model so far."""
        return self.path / "model.safetensors"

    @property
    def metrics(self) -> Path:
        """One row for each report and evaluation."""
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """What the model wrote at each evaluation, from the same seed."""
        return self.path / "samples.jsonl"

    @property
    def checkpoints(self) -> Path:
        """What resuming needs, a folder a step."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.path / "report.html"

    @property
    def is_run(self) -> bool:
        """Whether a run has begun here."""
        return self.config.is_file()


def new_run_folder(out: Path | None, text_name: str) -> RunFolder:
    """Make the folder of a new run: out, else runs/ and the text's name, numbered if taken.

    Raises RunError if out holds a run or anything else already.
    """
    if out is None:
        return _numbered(_name_for(text_name))
    folder = RunFolder(out)
    try:
        if folder.is_run:
            raise RunError(
                f"{out} already holds a run: give another --out, "
                f"or go on with `ricorda resume {out}`"
            )
        if out.exists() and not out.is_dir():
            raise RunError(f"expected a new or an empty folder for the run, {out} is a file")
        if out.exists() and any(out.iterdir()):
            raise RunError(
                f"expected a new or an empty folder for the run, {out} holds other files"
            )
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _cannot_make(out, error) from error
    return folder


def find_run(path: Path | None, root: Path = RUNS) -> RunFolder:
    """The run at path, or the newest one under runs/. Raises RunError if there is none."""
    if path is not None:
        folder = RunFolder(path)
        if not folder.is_run:
            raise RunError(f"expected a run's folder with a config.json, found none at {path}")
        return folder
    runs = list_runs(root)
    if not runs:
        raise RunError(f"no run found under {root}/: train one with `ricorda train my.txt`")
    return runs[0]


def list_runs(root: Path = RUNS) -> list[RunFolder]:
    """Every run directly under a folder, the newest first."""
    if not root.is_dir():
        return []
    runs = [RunFolder(path) for path in root.iterdir() if RunFolder(path).is_run]
    return sorted(runs, key=lambda run: (-run.config.stat().st_mtime_ns, run.path.name))


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add one JSON line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON lines of a file; a last line that was cut off is left out.

    Numbers that are not finite are None. Raises RunError if a line is damaged.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line, parse_constant=lambda _: None)
            except (ValueError, RecursionError) as error:
                raise RunError(f"line {number} of {path} is damaged: {error}") from error
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                raise RunError(f"line {number} of {path} is damaged: it tells of no step")
            yield row


def keep_rows_until(path: Path, step: int) -> None:
    """Drop the rows of later steps, which a resumed run is about to repeat."""
    rows = [row for row in read_rows(path) if row["step"] <= step]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def _name_for(text_name: str) -> str:
    """A folder's name from a text's: its stem, or for a pattern the folder's, fit for shells."""
    if text_name == "-":
        return "stdin"
    path = Path(os.path.normpath(Path(text_name).absolute()))
    names = (path.stem, *reversed(path.parent.parts))
    usable = (re.sub(r"[^\w.-]+", "-", name).strip("-.")[:LONGEST_NAME] for name in names)
    return next(filter(None, usable), "run")


def _numbered(name: str) -> RunFolder:
    """The first of NAME, NAME-2, NAME-3 ... that is free, made."""
    number = 1
    while True:
        path = RUNS / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            if not path.is_dir() and path.parent == RUNS and not RUNS.is_dir():
                raise RunError(f"expected a folder at {RUNS}, found a file") from None
        except OSError as error:
            raise _cannot_make(path, error) from error
        else:
            return RunFolder(path)


def _cannot_make(folder: Path, error: Exception) -> RunError:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return RunError(f"cannot make the run's folder {folder}: {reason}; name another with --out")
