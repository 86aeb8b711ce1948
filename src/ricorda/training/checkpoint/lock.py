"""One process at a time in a run's folder: a lock that dies with its owner."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from ricorda.durable import CAN_LOCK, CREATION_MODE, refuse_special, try_lock
from ricorda.errors import RunError
from ricorda.runs import LOCK


class RunLock:
    """Inside its `with`, no other process trains in the folder.

    The system releases the lock when the process ends, however it ends; the file stays.
    job: the name of the job that the process belongs to, where a launcher may start it again; the
    file keeps it. say: called with a warning if the file system has no locks. Raises RunError if
    another process holds the lock.
    """

    def __init__(
        self, folder: Path, job: str = "", say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._folder = folder
        self._job = job
        self._say = say
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        if not CAN_LOCK:
            return self
        path = self._folder / LOCK
        refuse_special(path)
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            self._descriptor = os.open(path, flags, CREATION_MODE)
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
            self._say(
                f"warning: the file system of {self._folder} has no locks: make sure that no other "
                "process trains in this folder"
            )
        with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, self._job.encode())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
