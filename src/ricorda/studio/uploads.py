"""Unfinished uploads: marked as ours, removed if their studio was killed."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ricorda.durable import PARTIAL

try:
    import fcntl
except ImportError:  # Windows: folders cannot be locked there, and nothing is cleaned
    fcntl = None  # type: ignore[assignment]

MARK = ".ricorda-upload-"
"""How the names of unfinished files begin; only these are ever removed."""


class Uploads:
    """The unfinished files of a folder of texts.

    Every studio holds a shared lock on the folder. A studio that can lock it exclusively is
    alone, so that unfinished files there belong to no running studio.
    """

    def __init__(self, folder: Path) -> None:
        """Change nothing yet."""
        self._folder = folder
        self._descriptor: int | None = None

    def clean(self) -> None:
        """Remove the unfinished files of a killed studio, unless another studio uses the folder."""
        if not self._folder.is_dir() or not self._hold():
            return
        assert self._descriptor is not None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        for path in self._folder.glob(f"{MARK}*{PARTIAL}"):
            with contextlib.suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    path.unlink()
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    @contextlib.contextmanager
    def new_file(self) -> Iterator[tuple[IO[bytes], Path]]:
        """Open a new file beside the texts; it is removed at the end unless it is renamed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._hold()
        descriptor, name = tempfile.mkstemp(prefix=MARK, suffix=PARTIAL, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file, Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _hold(self) -> bool:
        """Take the shared lock, which the system releases when the process ends."""
        if self._descriptor is None and fcntl is not None:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:  # a file system without locks, or a studio that is cleaning
                os.close(descriptor)
            else:
                self._descriptor = descriptor
        return self._descriptor is not None

    def close(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
