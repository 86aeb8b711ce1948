"""Telling whether texts are the same files, unchanged, without reading them."""

import hashlib
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ricorda.text.sources import Source, unreadable

_FINE_TICK = 0.05  # seconds; longer than the tick of file times that are finer than a second
_COARSE_TICK = 2.1  # seconds, for file systems that count in one or two
_SECOND = 10**9  # nanoseconds


@dataclass(frozen=True)
class Survey:
    """What the system says of sources."""

    size: int | None
    """Bytes in all files; None where something is no file, as a pipe is none."""

    key: str
    """Equal for the same files with the same sizes and times, in the same order."""

    changed: int
    """When one of them changed last, as the system counts it, in nanoseconds since 1970.

    It is the time that no program can set: a later change of a file always shows in it, unless it
    falls within the same tick of the file system's clock.
    """

    @property
    def seconds_to_settle(self) -> float | None:
        """How long to wait until a further change must show; None if that cannot be known."""
        tick = _FINE_TICK if self.changed % _SECOND else _COARSE_TICK
        age = (time.time_ns() - self.changed) / _SECOND
        if age < -tick:
            return None  # another clock than ours
        return max(0.0, tick - age)


def survey(sources: Sequence[Source]) -> Survey:
    """Ask the system about each source. Raises TextError if one is gone."""
    size: int | None = 0
    changed = 0
    key = hashlib.sha256()
    for source in sources:
        if source.path is None:
            size = None
            continue
        try:
            status = os.stat(source.path)  # noqa: PTH116 (a million times quicker)
        except OSError as error:
            raise unreadable(source.name, error) from error
        if not stat.S_ISREG(status.st_mode):
            size = None
            continue
        if size is not None:
            size += status.st_size
        changed = max(changed, status.st_ctime_ns)
        facts = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        path = os.fsencode(os.path.abspath(source.path))  # noqa: PTH100
        key.update(b"%d %d %d %d %d " % (len(path), *facts) + path)
    return Survey(size, key.hexdigest(), changed)
