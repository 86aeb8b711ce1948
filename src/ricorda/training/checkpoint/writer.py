"""Write a run's files: a thread saves snapshots while steps are taken; rows are appended."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ricorda.durable import append, flush, open_untrusting, write_atomically
from ricorda.errors import FolderLost, RicordaError, RunError, TrainingError
from ricorda.runs import json_line
from ricorda.training.checkpoint.folder import CheckpointFolder
from ricorda.training.checkpoint.held_folder import HeldFolder
from ricorda.training.checkpoint.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class _Work:
    snapshot: Snapshot
    model: bytes | None
    """A better model's file, to be put in place before the checkpoint that mentions it."""


class CheckpointWriter:
    """Writes snapshots one after the other; of those that wait, only the newest.

    If the newest is not an anchor (see `CheckpointFolder`), a waiting anchor is kept too. Errors
    are kept for `report_failure` and for `finish`, which raises them.

    held: the run's folder; nothing is written if it was moved, removed or replaced.
    """

    def __init__(self, held: HeldFolder, folder: CheckpointFolder, model: Path) -> None:
        self._held = held
        self._folder = folder
        self._model = model
        self._condition = threading.Condition()
        self._waiting: list[_Work] = []
        self._thread: threading.Thread | None = None
        self._busy = False
        self._closed = False
        self._failure: BaseException | None = None
        self._unreported = False
        self._unsaved_model: bytes | None = None

    def save(self, snapshot: Snapshot, better_model: bytes | None) -> None:
        """Have a snapshot written, and a model that is better than the last one given."""
        with self._condition:
            kept = [work for work in self._waiting if work.snapshot.anchor > snapshot.anchor]
            models = [work.model for work in self._waiting if work not in kept]
            newest = [model for model in (better_model, *reversed(models)) if model is not None]
            self._waiting = [*kept, _Work(snapshot, newest[0] if newest else None)]
            self._busy = True
            if self._thread is None:
                # One thread for all saves: a new one might not start where memory is short.
                self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def wait(self) -> None:
        """Wait until all that was given is written, or has failed."""
        with self._condition:
            self._condition.wait_for(lambda: not self._busy)

    def close(self) -> None:
        """Wait, and let the thread go."""
        self.wait()
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def has_failed(self) -> bool:
        """Whether what was written last was not written whole."""
        return self._failure is not None

    def report_failure(self, say: Callable[[str], None]) -> None:
        """Report a save that failed since the last call; raise an error that is not the disk's."""
        if not self._unreported:  # read without the lock: the next call sees what this one misses
            return
        with self._condition:
            failure, self._unreported = self._failure, False
        if failure is None:
            return
        if isinstance(failure, FolderLost):
            return  # raised by `HeldFolder.check`, in all processes of the run
        if not _is_the_systems(failure):
            raise failure
        say(f"not saved ({reason(failure)}): the run continues, the last checkpoint remains")

    def finish(self, go_on: str) -> None:
        """Wait for the last save. Raises TrainingError if it failed; go_on says what to do."""
        self.wait()
        failure = self._failure
        if failure is None:
            return
        if isinstance(failure, FolderLost) or not _is_the_systems(failure):
            raise failure
        raise TrainingError(
            f"the last steps could not be saved ({reason(failure)}): {go_on}"
        ) from failure

    def _work(self) -> None:
        """Write what comes until there is no more to come."""
        while True:
            with self._condition:
                if not self._waiting:
                    self._busy = False
                    self._condition.notify_all()
                    self._condition.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                work = self._waiting.pop(0)
                if work.model is None:
                    work = replace(work, model=self._unsaved_model)
            failure = self._written(work)
            del work  # its memory is free while this thread waits
            with self._condition:
                self._failure = failure
                self._unreported = self._unreported or failure is not None

    def _written(self, work: _Work) -> BaseException | None:
        """Write a model and a checkpoint; return what went wrong."""
        failure: BaseException | None = None
        try:
            self._held.check()
            if work.model is not None:
                self._unsaved_model = work.model
                write_atomically(self._model, work.model)
                self._unsaved_model = None
        except Exception as error:  # handed to the thread that trains
            failure = error
        try:
            snapshot = work.snapshot
            self._held.check()
            self._folder.save(snapshot.step, snapshot.files(), anchor=snapshot.anchor)
            self._held.saved_step = snapshot.step
        except Exception as error:
            failure = error
        return failure


def _is_the_systems(failure: BaseException) -> bool:
    """Whether a disk, a folder or the memory refused, rather than ricorda being wrong."""
    return isinstance(failure, OSError | RicordaError | MemoryError)


def reason(failure: BaseException) -> str:
    """What went wrong, in a few words."""
    if isinstance(failure, OSError) and failure.strerror:
        place = f" {failure.filename}" if failure.filename else ""
        return f"{failure.strerror}{place}"
    return str(failure) or type(failure).__name__


class RowLog:
    """The rows of metrics.jsonl or samples.jsonl, kept in memory too, so that no disk loses them.

    Each row is appended at once. A write error is reported once and the run continues; the whole
    file is rewritten as soon as possible. Nothing is written if the run's folder (held) was moved,
    removed or replaced.
    """

    def __init__(self, held: HeldFolder, path: Path, warn: Callable[[str], None]) -> None:
        self._held = held
        self._path = path
        self._warn = warn
        self._lines: list[bytes] = []
        self._behind = False
        self._is_reported = False

    @property
    def content(self) -> bytes:
        """All rows."""
        return b"".join(self._lines)

    def restore(self, content: bytes) -> None:
        """Have these rows and no others, in the file too."""
        self._lines = content.splitlines(keepends=True)
        try:
            with open_untrusting(self._path) as file:
                self._behind = file.read(len(content) + 1) != content
        except OSError:
            self._behind = True
        self._catch_up()

    def append(self, row: dict[str, Any]) -> None:
        """Add one row."""
        line = json_line(row)
        self._lines.append(line)
        if self._behind:
            self._catch_up()
            return
        try:
            if self._held.is_in_place:
                append(self._path, line)
        except OSError as error:
            self._behind = True
            self._report(error)

    def flush(self) -> None:
        """Ensure that the rows are on the disk."""
        try:
            with open_untrusting(self._path) as file:
                flush(file)
        except OSError as error:
            self._report(error)

    def _catch_up(self) -> None:
        """Rewrite the whole file if rows are missing in it."""
        if not self._behind:
            return
        try:
            if self._held.is_in_place:
                write_atomically(self._path, self.content)
                self._behind = False
        except (OSError, RunError) as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        if not self._is_reported:
            self._is_reported = True
            why = (error.strerror if isinstance(error, OSError) else None) or error
            self._warn(f"{self._path} cannot be written ({why}): the run continues without it")
