"""Owning a run's folder: one process trains in it, and notices if it is moved or removed.

The lock names the job that trains, so that a job that torchrun has restarted finds its own run.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Self

from ricorda.durable import CAN_LOCK, open_lock, open_untrusting, refuse_special, try_lock
from ricorda.errors import FolderLost, RunError
from ricorda.runs import LOCK, RunFolder, list_runs

LONGEST_NAME = 1024  # bytes of a job's name


class HeldFolder:
    """A folder that is recognized by its device and inode.

    Inside its `with`, the folder is kept open if the system can open folders, so that no other
    folder gets its inode, and a moved folder is found.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.saved_step: int | None = None
        """The step of the last checkpoint written into it."""

        self.is_lost = False
        """Whether a check has found another folder, or none, in its place."""

        self._descriptor: int | None = None
        self._status: os.stat_result | None = None

    def __enter__(self) -> Self:
        self._status = self.path.stat()
        if hasattr(os, "O_DIRECTORY"):  # Windows cannot open folders
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            self._status = os.fstat(self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    @property
    def is_in_place(self) -> bool:
        """Whether the folder is still in its place. Raises OSError if that cannot be read."""
        if not self.is_lost and self._status is not None:
            try:
                self.is_lost = not os.path.samestat(self.path.stat(), self._status)
            except (FileNotFoundError, NotADirectoryError):
                self.is_lost = True
        return not self.is_lost

    def check(self) -> None:
        """Raise FolderLost, saying what is lost and what to do, unless the folder is in place."""
        if self.is_in_place:
            return
        path = self._new_path()
        if path is not None:
            raise FolderLost(
                f"the run's folder {self.path} was moved to {path} while the run trained; "
                f"{self._saved}: continue with `ricorda resume {path}`"
            )
        raise FolderLost(
            f"the run's folder {self.path} was removed or replaced while the run trained; its "
            f"model and its checkpoints are lost: train again"
        )

    @property
    def _saved(self) -> str:
        """What was saved into the folder, for a message."""
        if self.saved_step is None:
            return "no step was saved in it"
        return f"its last checkpoint was of step {self.saved_step:,}, the steps after it are lost"

    def _new_path(self) -> Path | None:
        """Where the folder is now, if the system knows."""
        try:
            path = Path(f"/proc/self/fd/{self._descriptor}").readlink()
            if self._status is not None and os.path.samestat(path.stat(), self._status):
                return path
        except OSError:
            pass
        return None


class RunLock:
    """Inside its `with`, no other process trains in the folder.

    The system releases the lock when the process ends, however it ends; the file stays.
    job: the name of the job that the process belongs to, which the file keeps for a restart. warn:
    receives a message if the file system has no locks. Raises RunError if another process holds
    the lock.
    """

    def __init__(
        self, folder: Path, job: str = "", warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._folder = folder
        self._job = job
        self._warn = warn
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        if not CAN_LOCK:
            return self
        path = self._folder / LOCK
        refuse_special(path)
        try:
            self._descriptor = open_lock(path)
            held = try_lock(self._descriptor)
        except OSError as error:
            self._close()
            raise RunError(f"cannot lock the run {self._folder}: {error.strerror}") from error
        if held is False:
            self._close()
            raise RunError(
                f"another process trains in {self._folder}: wait for it or end it, "
                "or name another folder with --out"
            )
        if held is None:
            self._warn(
                f"warning: the file system of {self._folder} has no locks: make sure that no other "
                "process trains in this folder"
            )
        with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, self._job.encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def job_name() -> str:
    """Return the name of the job for which torchrun runs this process; empty without torchrun.

    If torchrun was given no --rdzv-id, the name is that of torchrun's own process.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    if name != "none":
        return name
    launcher = os.getppid()
    try:
        started = Path(f"/proc/{launcher}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = ""
    return f"{socket.gethostname()} {launcher} {started}"


def was_restarted() -> bool:
    """Return whether torchrun has started this job's processes before."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def belongs_to(folder: RunFolder, job: str) -> bool:
    """Return whether a job was the last to train a run."""
    if not job or not folder.is_run:
        return False
    try:
        with open_untrusting(folder.path / LOCK) as file:
            return file.read(LONGEST_NAME) == job.encode()[:LONGEST_NAME]
    except OSError:
        return False


def run_of(job: str, out: Path | None) -> RunFolder | None:
    """Return the run that a job began before it was restarted; None if there is none."""
    if not job:
        return None
    candidates = list_runs() if out is None else [RunFolder(out)]
    return next((folder for folder in candidates if belongs_to(folder, job)), None)
