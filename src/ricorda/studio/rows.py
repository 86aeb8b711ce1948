"""What a run's rows come to, read again only once there are others: they may be a million."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from ricorda.runs import RunFolder

Found = TypeVar("Found")
Stamp = tuple[int, int, int]


class FromRows(Generic[Found]):
    """One thing that all rows of metrics.jsonl tell; from any thread."""

    def __init__(self, read: Callable[[RunFolder], Found]) -> None:
        """Take what reads it."""
        self._read = read
        self._kept: dict[Path, tuple[Stamp | None, Found]] = {}
        self._lock = threading.Lock()

    def of(self, run: RunFolder) -> Found:
        """Read it, or hand back what was read of the same rows."""
        stamp = _stamp(run.metrics)
        with self._lock:
            if run.path in self._kept and self._kept[run.path][0] == stamp:
                return self._kept[run.path][1]
        found = self._read(run)
        with self._lock:
            self._kept[run.path] = (stamp, found)
        return found


def _stamp(path: Path) -> Stamp | None:
    """Changes when the file does; None where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
