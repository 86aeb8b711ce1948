"""One process at a time in a run's folder: a lock that dies with its owner."""

import contextlib
import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from ricorda.durable import refuse_special
from ricorda.errors import RunError
from ricorda.runs import LOCK

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]


class RunLock:
    """Inside its `with`, no other process trains in the folder.

    The system lets go of the lock when the process ends, however it ends; the file stays.
    job: the name of the job that the process belongs to, where a launcher may start it again; the
    file keeps it. Raises RunError if another process holds it.
    """

    def __init__(self, folder: Path, job: str = "") -> None:
        self._folder = folder
        self._job = job
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        if fcntl is None:
            return self
        path = self._folder / LOCK
        refuse_special(path)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            raise RunError(f"cannot lock the run {self._folder}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise RunError(
                    f"another process trains in {self._folder}: wait for it or end it, "
                    "or name another folder with --out"
                ) from None
            raise RunError(f"cannot lock the run {self._folder}: {error.strerror}") from error
        self._descriptor = descriptor
        with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.write(descriptor, self._job.encode())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
