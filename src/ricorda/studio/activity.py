"""Which process trains in a run's folder: the one that holds its lock."""

import errno
import os
import stat
from pathlib import Path

from ricorda.durable import open_untrusting
from ricorda.runs import LOCK, RunFolder

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

CAN_TELL = fcntl is not None
"""Whether this system has such locks."""

LOCKS = Path("/proc/locks")


def trainer_of(run: RunFolder) -> int | None:
    """The process that trains a run: its number, 0 if it cannot be told, None if there is none.

    On Linux the system's list of locks tells, which nobody is disturbed by. Elsewhere the lock is
    tried for an instant.
    """
    try:
        status = (run.path / LOCK).lstat()  # a link would name somebody else's lock
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    if LOCKS.is_file():
        return _listed(status)
    return _tried(run.path / LOCK)


def _listed(status: os.stat_result) -> int | None:
    """Look for the lock's device and number among all locks of the system."""
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in LOCKS.read_text("ascii", "replace").splitlines():
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == wanted:
            return max(0, int(words[4]))
    return None


def _tried(path: Path) -> int | None:
    if fcntl is None:
        return None
    try:
        file = open_untrusting(path)
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:  # unknown on a file system without locks
            return 0 if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return None
