"""The sources of a text: files, members of archives, standard input."""

import itertools
import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, overload

from ricorda.text.archives import Member
from ricorda.text.file_names import displayed, unreadable

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """One text to read: a file, or standard input where the path is None."""

    name: str
    """What messages call it, always printable on one line."""

    path: Path | None
    """The file, or the archive that the text is in."""

    member: Member | None = None
    """What to read of an archive."""

    @property
    def size(self) -> int | None:
        """Bytes of the text's file; None where that is known only after reading (a pipe)."""
        if self.path is None:
            return None
        if self.member is not None:
            return self.member.size
        status = status_of(self.path)
        return status.st_size if stat.S_ISREG(status.st_mode) else None


def status_of(path: Path) -> os.stat_result:
    """Ask the system about a file. Raises TextError if there is none that can be read."""
    try:
        return path.stat()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise unreadable(path, error) from error


class Sources(Sequence[Source]):
    """Sources in order. A million files of a folder take little more memory than their names.

    Iteration is fast; a single source of a large folder is found by going through some thousand
    names.
    """

    def __init__(self) -> None:
        self._groups: list[list[Source] | Group | MemberGroup] = []
        self._count = 0
        self.is_collection = False
        """Whether an argument named many texts: a folder, a pattern or an archive."""

    def extend(self, group: "list[Source] | Group | MemberGroup") -> None:
        """Add sources, such as some of a folder's files."""
        self._groups.append(group)
        self._count += len(group)

    def paths(self) -> Iterator[Path]:
        """Return the files that are read; for an archive's members, the archive."""
        return (source.path for source in self if source.path is not None)

    def starting_at(self, number: int) -> Iterator[Source]:
        """Yield the sources from the one of this number on."""
        for group in self._groups:
            yield from itertools.islice(group, number, None) if number < len(group) else ()
            number = max(0, number - len(group))

    def __iter__(self) -> Iterator[Source]:
        return self.starting_at(0)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Source: ...

    @overload
    def __getitem__(self, index: slice) -> list[Source]: ...

    def __getitem__(self, index: int | slice) -> Source | list[Source]:
        if isinstance(index, slice):
            return list(self)[index]
        if not -self._count <= index < self._count:
            raise IndexError(f"source {index} of {self._count}")
        return next(self.starting_at(index % self._count))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Sources({list(self[:3])}{', ...' if self._count > 3 else ''})"


class Group:
    """Some files of one folder, with their sorted names in one piece of memory."""

    __slots__ = ("_count", "_names", "folder")

    LARGEST = 4096

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self._names = os.fsencode("\0".join(names))
        self._count = len(names)

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return os.fsdecode(self._names).split("\0") if self._count else []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Source]:
        for name in self.names():
            path = self.folder / name
            yield Source(displayed(path), path)


class MemberGroup:
    """Files of one archive, with their names in one piece of memory."""

    __slots__ = ("_names", "_numbers", "_sizes", "archive")

    def __init__(self, archive: Path, members: Sequence[Member]) -> None:
        self.archive = archive
        self._names = os.fsencode("\0".join(member.name for member in members))
        self._numbers = array("q", (member.number for member in members))
        self._sizes = array("q", (member.size for member in members))

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Source]:
        names = os.fsdecode(self._names).split("\0")
        for number, name, size in zip(self._numbers, names, self._sizes, strict=True):
            shown = displayed(f"{self.archive}/{name}")
            yield Source(shown, self.archive, Member(number, name, size))


Reason = Literal[
    "hidden",
    "binary",
    "an archive",
    "not a regular file",
    "a broken link",
    "a loop of links",
    "a run of ricorda",
    "a page of ricorda",
    "a cache",
    "an unsafe name",
    "replaced by a later copy",
]
"""Why something inside a folder or an archive is not read."""


class LeftOut(NamedTuple):
    """Something inside a folder or an archive that is not read, and why."""

    path: Path
    reason: Reason

    @property
    def name(self) -> str:
        """What messages call it, always printable on one line."""
        return displayed(self.path)
