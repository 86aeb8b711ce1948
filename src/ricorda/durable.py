"""Files that are whole or not there, whenever the process, the machine or the disk fails.

What is written lies beside its place first, under a name that no reader takes for the real one. It
is flushed to the disk, then renamed, then the folder is flushed, so that the name lasts too.
"""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ricorda.errors import RunError

PARTIAL = ".partial"
"""How the names of unfinished files and folders end; they begin with a dot."""

BUFFER = 1 << 20  # bytes
_CANNOT_FLUSH_FOLDERS = {errno.EINVAL, errno.ENOTSUP, errno.EISDIR}


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content whole or not at all.

    Raises RunError if something else than a file lies there, OSError if the disk refuses.
    """
    refuse_special(path)
    descriptor, temporary = tempfile.mkstemp(prefix=".ricorda-", suffix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            flush(file)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_new(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write a file that must not be there yet, and flush it. Raises OSError."""
    with path.open("xb", buffering=BUFFER) as file:
        for piece in pieces:
            file.write(piece)
        flush(file)


def append(path: Path, content: bytes) -> None:
    """Add to a file, or begin it, in one call.

    Raises OSError if the disk takes none or a part of it, or the path is a link, a pipe or a
    device.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _UNTRUSTING
    descriptor = os.open(path, flags, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file", str(path))
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def open_untrusting(path: Path) -> IO[bytes]:
    """Open a regular file for reading; a link, pipe or device there is an OSError."""
    descriptor = os.open(path, os.O_RDONLY | _UNTRUSTING | getattr(os, "O_BINARY", 0))
    file = os.fdopen(descriptor, "rb", buffering=0)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a file", str(path))
    return file


_UNTRUSTING = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def refuse_special(path: Path) -> None:
    """Raise RunError if a link, folder, pipe, socket or device lies where a file is to be put."""
    kind = _kind_of(path)
    if kind not in (None, "a file"):
        raise RunError(f"expected a file or nothing at {path}, found {kind}: take it away first")


def refuse_link(folder: Path) -> None:
    """Raise RunError if something else than a folder lies where a folder is to be used."""
    kind = _kind_of(folder)
    if kind not in (None, "a folder"):
        raise RunError(f"expected a folder or nothing at {folder}, found {kind}: take it away")


def _kind_of(path: Path) -> str | None:
    """What lies at a path, links not followed; None for nothing."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def flush(file: IO[bytes]) -> None:
    """See that what was written to a file is on the disk. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """See that the names in a folder are on the disk, where the system can. Raises OSError."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, to last. Raises OSError, RunError."""
    refuse_link(folder)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        flush_folder(each.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder under a name that no reader takes for whole. Raises OSError."""
    leftover = folder.with_name(f".{folder.name.strip('.')}-old{PARTIAL}")
    remove_leftovers(folder.parent, leftover.name)
    folder.rename(leftover)
    shutil.rmtree(leftover)


def remove_leftovers(folder: Path, pattern: str = f".*{PARTIAL}") -> None:
    """Remove what an earlier process left unfinished, as far as the disk lets it."""
    for path in folder.glob(pattern):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
