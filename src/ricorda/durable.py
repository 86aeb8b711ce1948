"""Write files that are complete or absent, whenever the process, machine or disk fails.

A file is first written beside its place, under a name that no reader takes for the real one. It is
flushed to the disk, then renamed, then the folder is flushed, so that the name lasts too.

Only files that ricorda itself writes are removed, by their names; a folder is removed only when it
is empty.
"""

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from ricorda.errors import InputError, RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".partial"
"""How the names of unfinished files and folders end."""

CAN_LOCK = fcntl is not None
"""Whether this system has locks that end with their process."""

LOCK_POLL = 0.02  # seconds between two attempts to take a lock

BUFFER = 1 << 20  # bytes
CREATION_MODE = 0o666
"""The mode of a new file, from which the system takes the umask."""

_PARTIAL_NAME = re.compile(r"\.ricorda-[A-Za-z0-9_.-]+\.partial")
_CANNOT_FLUSH_FOLDERS = {errno.EINVAL, errno.ENOTSUP, errno.EISDIR}
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


def partial_name(name: str) -> str:
    """Return the name of an unfinished file or folder, by which ricorda knows it as its own."""
    return f".ricorda-{name}{PARTIAL}"


def is_partial(name: str) -> bool:
    """Return whether `partial_name` makes such names."""
    return _PARTIAL_NAME.fullmatch(name) is not None


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content whole or not at all.

    Raises RunError if something else than a file lies there, OSError if the disk refuses.
    """
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file whose content replaces another's whole, unless an error ends the block.

    Raises as `write_atomically` does.
    """
    refuse_special(path)
    temporary = path.with_name(partial_name(secrets.token_hex(8)))
    try:
        with temporary.open("xb", buffering=BUFFER) as file:
            yield file
            flush(file)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
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
    descriptor = os.open(path, flags, CREATION_MODE)
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
        remedy = "name another file"
        if kind != "a device":  # which belongs to the system
            remedy += " or remove it"
        raise RunError(f"expected a file or nothing at {path}, found {kind}: {remedy}")


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Check that a result can be written to a path, before it is computed.

    Raises InputError if the folder is missing, something else than a file lies there, or it is one
    of the files that are read.
    """
    if not path.parent.is_dir():
        raise InputError(f"no folder {path.parent} to write to: make it first")
    refuse_special(path)
    if path.exists() and any(each.exists() and path.samefile(each) for each in inputs):
        raise InputError(f"{path} is one of the input files: give the output another name")


def refuse_link(folder: Path) -> None:
    """Raise RunError if something else than a folder lies where a folder is to be used."""
    kind = _kind_of(folder)
    if kind not in (None, "a folder"):
        raise RunError(f"expected a folder or nothing at {folder}, found {kind}: remove it")


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
    """Ensure that what was written to a file is on the disk. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Ensure that the names in a folder are on the disk, if the system can. Raises OSError."""
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


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it that are missing, to last; return those it made, top first.

    Raises OSError, RunError.
    """
    refuse_link(folder)
    made = []
    for each in reversed((folder, *folder.parents)):
        if each.exists():
            continue
        with contextlib.suppress(FileExistsError):  # another process made it meanwhile
            each.mkdir()
            made.append(each)
        flush_folder(each.parent)
    return made


def remove_folder(folder: Path, names: Iterable[str]) -> bool:
    """Remove the files of `remove_files`, then the folder if empty; return whether it is gone.

    Other files stay, and so do files that cannot be removed.
    """
    remove_files(folder, names)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not os.path.lexists(folder)


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files of these names and unfinished files from a folder that is not a link."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(folder.lstat().st_mode):
            partials = [path for path in folder.iterdir() if is_partial(path.name)]
            for path in (*(folder / name for name in names), *partials):
                remove_file(path)


def remove_file(path: Path) -> None:
    """Remove a regular file; a link, folder or device stays."""
    with contextlib.suppress(OSError):
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()


def remove_leftovers(folder: Path, names: Iterable[str] = ()) -> None:
    """Remove what an earlier process left unfinished in a folder, as far as possible.

    names: the files that ricorda writes into unfinished folders.
    """
    own = tuple(names)
    with contextlib.suppress(OSError):
        for path in [path for path in folder.iterdir() if is_partial(path.name)]:
            remove_file(path)
            remove_folder(path, own)


def open_lock(path: Path, mode: int = CREATION_MODE) -> int:
    """Open a lock file, creating it if it is missing. Raises OSError for a symbolic link."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.open(path, flags, mode)


@contextlib.contextmanager
def hold_lock(
    path: Path, *, wait: bool = False, mode: int = CREATION_MODE
) -> Iterator[bool | None]:
    """Hold the lock on a file that its holder may remove.

    The system releases the lock of a process that dies. wait: block until the lock is free. Yields
    whether it is held, None where the file system has no locks. Raises OSError.
    """
    while True:
        descriptor = open_lock(path, mode)
        try:
            while (held := try_lock(descriptor)) is False and wait:
                time.sleep(LOCK_POLL)
            if held is False or _is_at(path, descriptor):  # else its holder has removed it
                yield held
                return
        finally:
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def try_lock(descriptor: int, *, shared: bool = False) -> bool | None:
    """Lock an open file for this process alone, or with other shared locks, until it is closed.

    Return whether the lock is held, None where the system or the file system has no locks. Raises
    OSError.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True
