"""A run's folder: where each file lies, how a new one is named, how rows are appended."""

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ricorda.durable import (
    flush_folder,
    is_partial,
    make_folder,
    open_untrusting,
    refuse_link,
    remove_file,
    write_atomically,
)
from ricorda.errors import RunError
from ricorda.shell import command_line
from ricorda.validation import parse_json

RUNS = Path("runs")
LOCK = ".ricorda.lock"
EVENTS = re.compile(r"events\.out\.tfevents\.[0-9]{10}\.ricorda")
"""The names of event files, which TensorBoard reads in their alphabetical order."""

LONGEST_ROW = 16 * 1024 * 1024  # bytes
LONGEST_NOTE = 1000  # bytes
PIPED_TEXT = re.compile(r"input-[0-9]{1,9}\.txt")
"""The names of texts that came through a pipe and are kept in the run's folder."""

LONGEST_NAME = 60  # characters of a run's name; a system's limit is often 255 bytes


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    made: tuple[Path, ...] = field(default=(), compare=False)
    """The folders that this process made for it, the outermost first."""

    @property
    def config(self) -> Path:
        """All that repeats the run."""
        return self.path / "config.json"

    @property
    def model(self) -> Path:
        """The best model so far."""
        return self.path / "model.safetensors"

    @property
    def start(self) -> Path:
        """The model that the run started from, with the new symbols of its text."""
        return self.path / "start.safetensors"

    @property
    def documents(self) -> Path:
        """The index of the documents of the text."""
        return self.path / "documents.index"

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
        """What resuming needs: a folder for each step."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.path / "report.html"

    @property
    def note(self) -> Path:
        """A line that its owner wrote about the run."""
        return self.path / "note.txt"

    @property
    def dashboards(self) -> Path:
        """By which names dashboards of other programs know the run."""
        return self.path / "dashboards.json"

    @property
    def events(self) -> list[Path]:
        """The event files that TensorBoard reads, in the order in which they were begun."""
        return sorted(path for path in self.path.iterdir() if EVENTS.fullmatch(path.name))

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
        refuse_run(folder)
        if out.exists() and not out.is_dir():
            raise RunError(f"expected a new or an empty folder for the run, {out} is a file")
        if out.exists() and any(map(_is_foreign, out.iterdir())):
            raise RunError(
                f"expected a new or an empty folder for the run, {out} holds other files"
            )
        made = make_folder(out)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _cannot_make(out, error) from error
    return RunFolder(out, tuple(made))


def new_branch_folder(out: Path | None, run: RunFolder) -> RunFolder:
    """Make the folder of a branch of a run: out, else RUN-branch beside it, numbered if taken.

    Raises RunError as `new_run_folder`.
    """
    if out is not None:
        return new_run_folder(out, "")
    path = run.path if run.path.name else run.path.resolve()
    return _numbered(f"{path.name}-branch", path.parent)


def refuse_run(folder: RunFolder) -> None:
    """Raise RunError, which says what to do, for a folder that holds a run already."""
    if not folder.is_run:
        return
    resume = command_line(["ricorda", "resume", folder.path])
    try:
        reason = ended(folder)
    except RunError:
        reason = None
    if reason is not None:
        raise RunError(
            f"{folder.path} already holds a run, which has ended ({reason}): give another --out, "
            f"or a larger budget, such as `{resume} --minutes 10`"
        )
    raise RunError(
        f"{folder.path} already holds a run, which is not finished: continue it with "
        f"`{resume}`, or give another --out"
    )


def ended(folder: RunFolder) -> str | None:
    """Why a run has ended; None if it may continue. Raises RunError if its rows are damaged."""
    rows = [row for row in read_rows(folder.metrics) if row.get("event") == "ended"]
    reason = str(rows[-1].get("stopped_because")) if rows else "interrupted"
    return None if reason == "interrupted" else reason


def _is_foreign(path: Path) -> bool:
    """Whether it is something else than what a run that never began leaves in its folder."""
    if _precedes_config(path.name):
        return not path.with_name(LOCK).exists()
    return path.name != LOCK and not is_partial(path.name)


def _precedes_config(name: str) -> bool:
    """Whether a run writes a file of this name before its config.json."""
    return name == RunFolder(Path()).start.name or PIPED_TEXT.fullmatch(name) is not None


def made_before_config(folder: Path) -> list[str]:
    """Return the names of the files in a folder that a run writes before its config.json."""
    return [path.name for path in folder.iterdir() if _precedes_config(path.name)]


def find_run(path: Path | None) -> RunFolder:
    """The run at path, or the newest one under runs/. Raises RunError if there is none."""
    if path is not None:
        folder = RunFolder(path)
        if not folder.is_run:
            raise RunError(f"expected a run's folder with a config.json, found none at {path}")
        return folder
    runs = list_runs()
    if not runs:
        raise RunError(f"no run found under {RUNS}/: train one with `ricorda train my.txt`")
    return runs[0]


def list_runs(root: Path = RUNS) -> list[RunFolder]:
    """Every run directly under a folder, the newest first."""
    if not root.is_dir():
        return []
    found = []
    for path in root.iterdir():
        run = RunFolder(path)
        if run.is_run:
            with contextlib.suppress(OSError):  # moved or deleted meanwhile
                found.append((-run.config.stat().st_mtime_ns, path.name, run))
    return [run for _, _, run in sorted(found, key=lambda each: each[:2])]


def json_line(row: dict[str, Any]) -> bytes:
    """A row as it is written to a file.

    A file's name that is not UTF-8 has lone surrogates, which JSON can escape and UTF-8 lacks.
    """
    return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON lines of a file; a last line that was cut off is left out.

    Numbers that are not finite become None. Raises RunError if a line is damaged, or if the file is
    a link, a pipe or a device.
    """
    try:
        opened = open_untrusting(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    with io.BufferedReader(cast(io.FileIO, opened)) as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_ROW + 1), b""), 1):
            if len(line) > LONGEST_ROW:
                raise RunError(
                    f"line {number} of {path} is damaged: it is longer than {LONGEST_ROW} bytes"
                )
            if not line.endswith(b"\n"):
                return
            try:
                yield parse_row(line)
            except ValueError as error:
                raise RunError(f"line {number} of {path} is damaged: {error}") from error


def parse_row(line: bytes) -> dict[str, Any]:
    """One JSON line that may come from anybody; numbers that are not finite are None.

    Raises ValueError, saying what is wrong.
    """
    row = parse_json(line, longest=LONGEST_ROW, finite=False)
    if not isinstance(row, dict) or not isinstance(row.get("step"), int):
        raise ValueError("it has no step")
    return row


def summary(run: RunFolder) -> dict[str, Any]:
    """A run's figures as they stand now, ended or not."""
    row: dict[str, Any] = {"state": "not ended"}
    try:
        for metrics in read_rows(run.metrics):
            news = _news(metrics, row.get("validation"))
            _check_figures(news)
            row |= news
    except (RunError, KeyError, TypeError, AttributeError):  # the other runs are still listed
        row["state"] = "damaged"
    places = {"run": str(run.path), "model": str(run.model)}  # it may have been moved
    figures = {name: value for name, value in row.items() if name not in (*places, "event", "step")}
    note = read_note(run)
    return places | figures | ({} if note is None else {"note": note})


def read_note(run: RunFolder) -> str | None:
    """Return the first line of a run's note; None if there is none that can be read."""
    try:
        with open_untrusting(run.note) as file:
            content = file.read(LONGEST_NOTE).decode("utf-8", "replace")
    except OSError:
        return None
    return next(iter(content.splitlines()), None) or None


def write_note(run: RunFolder, note: str) -> None:
    """Replace a run's note; an empty one removes it.

    Raises RunError for a note that is too long or has several lines, or if something else than a
    file lies in its place; OSError if the disk refuses.
    """
    content = (note + "\n").encode("utf-8", "replace")
    if len(content) > LONGEST_NOTE or len(note.splitlines()) > 1:
        raise RunError(f"expected a note of one line and at most {LONGEST_NOTE} bytes")
    refuse_link(run.path)
    if note:
        write_atomically(run.note, content)
    else:
        remove_file(run.note)


def _news(metrics: dict[str, Any], validation: dict[str, Any] | None) -> dict[str, Any]:
    """The figures of a row of metrics.jsonl; an interrupted run keeps its last evaluation."""
    if metrics["event"] == "ended":
        interrupted = metrics["stopped_because"] == "interrupted"
        return {
            **metrics,
            "state": "interrupted" if interrupted else "ended",
            "validation": metrics["validation"] or (validation if interrupted else None),
        }
    if metrics["event"] == "evaluation":
        return {
            "state": "not ended",
            "steps": metrics["step"],
            "characters_seen": metrics["characters_seen"],
            "train_seconds": metrics["seconds"],
            "validation": {"nats_per_character": metrics["nats_per_character"]},
        }
    return {}


def _check_figures(news: dict[str, Any]) -> None:
    """Raise TypeError or AttributeError where a figure is no number."""
    figures = [news.get(name) for name in ("steps", "train_seconds", "parameters")]
    if (validation := news.get("validation")) is not None:
        figures.append(validation.get("nats_per_character"))
    if not all(figure is None or type(figure) in (int, float) for figure in figures):
        raise TypeError("expected numbers")


def _name_for(text_name: str) -> str:
    """A folder's name from a text's: its stem, or for a pattern the folder's, fit for shells."""
    if text_name == "-":
        return "stdin"
    path = Path(os.path.normpath(Path(text_name).absolute()))
    names = (path.stem, *reversed(path.parent.parts))
    usable = (re.sub(r"[^\w.-]+", "-", name).strip("-.")[:LONGEST_NAME] for name in names)
    return next(filter(None, usable), "run")


def _numbered(name: str, root: Path = RUNS) -> RunFolder:
    """The first of NAME, NAME-2, NAME-3 ... that is free, made."""
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            made = [] if root.is_dir() else make_folder(root)
            path.mkdir()
            flush_folder(path.parent)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise _cannot_make(path, error) from error
        else:
            return RunFolder(path, (*made, path))


def _cannot_make(folder: Path, error: Exception) -> RunError:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return RunError(f"cannot make the run's folder {folder}: {reason}; name another with --out")
