"""Finding the texts that the arguments of a command name."""

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ricorda.errors import TextError
from ricorda.text.decoding import HEAD_BYTES, canonical_encoding

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Source:
    """One text to read: a file, or standard input where the path is None."""

    name: str
    """What messages call it, always printable on one line."""

    path: Path | None

    @property
    def size(self) -> int | None:
        """Bytes in the file; None where that is known only after reading (a pipe)."""
        if self.path is None:
            return None
        status = _status(self.path)
        return status.st_size if stat.S_ISREG(status.st_mode) else None


class LeftOut(NamedTuple):
    """Something inside a folder that is not read, and why."""

    path: Path
    reason: Literal["hidden", "binary", "not a regular file", "a broken link"]

    @property
    def name(self) -> str:
        """What messages call it, always printable on one line."""
        return displayed(self.path)


def find_sources(
    arguments: Sequence[str | Path],
    *,
    encoding: str | None = None,
    on_left_out: Callable[[LeftOut], None] | None = None,
) -> list[Source]:
    """Find the files that arguments name, each file once, in the order of the arguments.

    An argument is a file, a folder (all files in it and in its folders, sorted), a glob pattern
    (`**` goes into folders), a named pipe, or "-" for standard input. Inside folders, hidden files
    and folders are left out, and files with a zero byte in their first 8 KB, which look binary,
    unless an encoding other than UTF-8 is given; `on_left_out` is told of each.

    Raises TextError where an argument names nothing that can be read.
    """
    if not arguments:
        raise TextError("no text given: name a file, a folder, a pattern, or - for standard input")
    keep_binary = encoding is not None and canonical_encoding(encoding) != "utf-8"
    search = _Search(keep_binary, on_left_out or (lambda _: None))
    for argument in arguments:
        search.add_argument(str(argument))
    return list(search.found.values())


def displayed(path: Path | str) -> str:
    """Return a file's name as one printable line."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(path)
    )


def unreadable(path: Path | str, error: Exception) -> TextError:
    """Turn what the system says of a file that cannot be read into one clear line."""
    name = displayed(path)
    if isinstance(error, FileNotFoundError):
        return TextError(f"{name}: no such file or folder; check the name")
    if isinstance(error, PermissionError):
        return TextError(f"{name}: may not be read; allow it (chmod +r) or name another")
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return TextError(f"{name}: symbolic links that lead round in a loop; name the file itself")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return TextError(f"{name}: cannot be read: {reason}")


class _Search:
    """Collects sources by their real path, so that none is read twice."""

    def __init__(self, keep_binary: bool, on_left_out: Callable[[LeftOut], None]) -> None:
        self.found: dict[str, Source] = {}
        self._keep_binary = keep_binary
        self._on_left_out = on_left_out

    def add_argument(self, argument: str) -> None:
        if argument == STANDARD_INPUT:
            self.found.setdefault(STANDARD_INPUT, Source("standard input", None))
            return
        if not argument:
            raise TextError("an empty name given as text: name a file, a folder or a pattern")
        if not os.path.lexists(argument) and any(magic in argument for magic in "*?["):
            self._add_pattern(argument)
            return
        path = Path(argument)
        left_out = self._add_named(path)
        if left_out is not None:
            raise _folder_without_text(path, left_out)

    def _add_pattern(self, pattern: str) -> None:
        matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (absolute ones too)
        without_text = [self._add_named(Path(match)) is not None for match in matches]
        if all(without_text):
            raise TextError(f"{displayed(pattern)}: no text matches this pattern")

    def _add_named(self, path: Path) -> list[LeftOut] | None:
        """Add what an argument names outright: binary or hidden, it was asked for.

        Returns what was left out of a folder in which there was no text, otherwise None.
        """
        mode = _status(path).st_mode
        if stat.S_ISDIR(mode):
            return self._add_folder(path)
        if stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
            self._add_file(path, os.path.realpath(path))
            return None
        raise TextError(f"{displayed(path)}: a device or socket, not a text; name a file")

    def _add_file(self, path: Path, real_path: str) -> None:
        self.found.setdefault(real_path, Source(displayed(path), path))

    def _add_folder(self, folder: Path) -> list[LeftOut] | None:
        left_out: list[LeftOut] = []
        text_found = False
        for path, real_path in self._walk(folder, left_out.append):
            self._add_file(path, real_path)
            text_found = True
        for item in left_out:
            self._on_left_out(item)
        return None if text_found else left_out

    def _walk(
        self, folder: Path, leave_out: Callable[[LeftOut], None]
    ) -> Iterator[tuple[Path, str]]:
        """Yield (path, real path) of each text below a folder, sorted, depth first.

        Links to folders are followed. The folders still to be seen are kept in a list, not on the
        call stack, together with the real paths of the folders above them, where a loop shows.
        """
        pending: list[tuple[Path, str, tuple[str, ...]]] = [(folder, os.path.realpath(folder), ())]
        while pending:
            path, real_path, above = pending.pop()
            mode = self._mode(path, leave_out)
            if mode is None:
                continue
            if not stat.S_ISDIR(mode):
                if self._is_text(path, mode, leave_out):
                    yield path, real_path
                continue
            if real_path in above:
                raise unreadable(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))
            below = []
            for entry in _entries(path):
                if entry.name.startswith("."):
                    leave_out(LeftOut(path / entry.name, "hidden"))
                    continue
                is_link = entry.is_symlink()
                real = os.path.realpath(entry.path) if is_link else f"{real_path}/{entry.name}"
                below.append((path / entry.name, real, (*above, real_path)))
            pending.extend(reversed(below))

    def _mode(self, path: Path, leave_out: Callable[[LeftOut], None]) -> int | None:
        try:
            return path.stat().st_mode
        except FileNotFoundError:
            leave_out(LeftOut(path, "a broken link"))
            return None
        except OSError as error:
            raise unreadable(path, error) from error

    def _is_text(self, path: Path, mode: int, leave_out: Callable[[LeftOut], None]) -> bool:
        if not stat.S_ISREG(mode):
            leave_out(LeftOut(path, "not a regular file"))
            return False
        if not self._keep_binary and _looks_binary(path):
            leave_out(LeftOut(path, "binary"))
            return False
        return True


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise unreadable(path, error) from error


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error) from error


def _looks_binary(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error


def _folder_without_text(folder: Path, left_out: list[LeftOut]) -> TextError:
    name = displayed(folder)
    binary = [item for item in left_out if item.reason == "binary"]
    if binary:
        return TextError(
            f"{name}: a folder without text: {len(binary)} "
            f"{'file looks' if len(binary) == 1 else 'files look'} binary, such as "
            f"{binary[0].name}; if that is UTF-16 text, give --encoding utf-16, "
            "or name the files themselves"
        )
    if left_out:
        return TextError(
            f"{name}: a folder without text: only {left_out[0].name} "
            f"({left_out[0].reason}) and the like; name a file to read it all the same"
        )
    return TextError(f"{name}: a folder without text: put text files there or name another")
