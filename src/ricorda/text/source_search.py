"""Finding the texts that the arguments of a command name."""

import errno
import glob
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ricorda.arguments import checked
from ricorda.errors import TextError
from ricorda.text.archives import Member, archive_kind, open_archive
from ricorda.text.compression import Decompression, head_of, kind_of
from ricorda.text.contents import PARQUET, content_of, is_own_page, own_folder
from ricorda.text.decoding import HEAD_BYTES, canonical_encoding
from ricorda.text.file_names import displayed, unreadable
from ricorda.text.sources import (
    STANDARD_INPUT,
    Group,
    LeftOut,
    MemberGroup,
    Reason,
    Source,
    Sources,
    status_of,
)


@checked
def find_sources(
    arguments: Sequence[str | Path],
    *,
    encoding: str | None = None,
    decompress: bool = True,
    max_decompressed: int | None = None,
    tables: bool = False,
    on_left_out: Callable[[LeftOut], None] | None = None,
) -> Sources:
    """Find the files that arguments name, each file once, in the order of the arguments.

    An argument is a file, a folder (all files in it and in its folders, sorted), a glob pattern
    (`**` goes into folders), a tar or ZIP archive (the files in it, in the order in which they are
    stored), a named pipe, or "-" for standard input. Inside folders and archives these are left
    out, and `on_left_out` is called with each: hidden files and folders; runs, pages and caches of
    ricorda; archives and other files that are known not to be text; and files with a zero byte in
    their first 8 KB, which look binary, unless an encoding other than UTF-8 is given. If
    compressed files are decompressed (`decompress`), their decompressed data is checked; otherwise
    a named archive is a file like others. `max_decompressed` limits the bytes that an archive may
    come to. With `tables`, Parquet files are kept.

    Raises TextError where an argument names nothing that can be read.
    """
    if not arguments:
        raise TextError("no text given: name a file, a folder, a pattern, or - for standard input")
    keep_binary = encoding is not None and canonical_encoding(encoding) != "utf-8"
    kept = _Kept(keep_binary, tables, Decompression(decompress, max_decompressed))
    search = _Search(kept, on_left_out or (lambda _: None))
    for argument in arguments:
        search.add_argument(str(argument))
    return search.finish()


class _Kept(NamedTuple):
    """Which files in folders and archives are texts."""

    binary: bool
    """Whether files with zero bytes are."""
    parquet: bool
    decompression: Decompression

    def reason_to_leave_out(self, path: str) -> Reason | None:
        """Return why a file is no text, by its first 8 KB or those of its decompressed data."""
        head = _head_of_file(path)
        kind = kind_of(head) if self.decompression.enabled else None
        return self.reason_by_head(head if kind is None else head_of(kind, head), kind is not None)

    def reason_by_head(self, head: bytes, refuse_compressed: bool) -> Reason | None:
        """Return why a file that begins so is no text."""
        if refuse_compressed and kind_of(head) is not None:
            return "an archive"
        content = content_of(head)
        if content is PARQUET and self.parquet:
            return None
        if content is not None:
            return "an archive" if content.is_packed else "binary"
        if is_own_page(head):
            return "a page of ricorda"
        return "binary" if not self.binary and b"\0" in head else None


class _Search:
    """Collects sources, none of them twice."""

    def __init__(self, kept: _Kept, on_left_out: Callable[[LeftOut], None]) -> None:
        self.found = Sources()
        self._once = _Once()
        self._kept = kept
        self._on_left_out = on_left_out
        self._own: dict[Path, bool] = {}
        self._without_text: TextError | None = None

    def add_argument(self, argument: str) -> None:
        if argument == STANDARD_INPUT:
            if self._once.only_new("", [STANDARD_INPUT]):
                self.found.extend([Source("standard input", None)])
            return
        if not argument:
            raise TextError("an empty name given as text: name a file, a folder or a pattern")
        if not os.path.lexists(argument) and any(magic in argument for magic in "*?["):
            self.found.is_collection = True
            self._add_pattern(argument)
            return
        path = Path(argument)
        left_out = self._add_named(path)
        if left_out is not None:
            error = _folder_without_text(path, left_out)
            if not left_out.is_own:
                raise error
            self._without_text = self._without_text or error

    def finish(self) -> Sources:
        """Return what was found. Raises TextError if all of it is ricorda's own files."""
        if self._without_text is not None and not len(self.found):
            raise self._without_text
        return self.found

    def _add_pattern(self, pattern: str) -> None:
        matches = sorted(set(_matches(pattern)))
        root = _fixed_part(pattern)
        without_text = [
            self._is_in_own_folder(root, Path(match)) or self._add_named(Path(match)) is not None
            for match in matches
        ]
        if all(without_text):
            raise TextError(f"{displayed(pattern)}: no text matches this pattern")

    def _is_in_own_folder(self, root: Path, match: Path) -> bool:
        """Return whether a folder between the pattern's fixed part and a match is ricorda's own."""
        above = [folder for folder in match.parents if root in folder.parents]
        return any(map(self._is_own, reversed(above)))

    def _is_own(self, folder: Path) -> bool:
        if folder not in self._own:
            reason = own_folder(folder, sorted(os.listdir(folder)))  # noqa: PTH208 (quicker)
            self._own[folder] = reason is not None
            if reason is not None:
                self._on_left_out(LeftOut(folder, reason))
        return self._own[folder]

    def _add_named(self, path: Path) -> "_LeftOutTally | None":
        """Add the files of an argument, even if they are binary or hidden.

        Returns what was left out of a folder in which there was no text, otherwise None.
        """
        mode = status_of(path).st_mode
        if stat.S_ISDIR(mode):
            self.found.is_collection = True
            return self._add_folder(path)
        if stat.S_ISREG(mode) and self._kept.decompression.enabled and _is_archive(path):
            self.found.is_collection = True
            return self._add_archive(path)
        if stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
            self._add_file(path)
            return None
        raise TextError(f"{displayed(path)}: a device or socket, not a text; name a file")

    def _add_file(self, path: Path) -> None:
        folder, name = os.path.split(os.path.realpath(path))
        if self._once.only_new(folder, [name]):
            self.found.extend([Source(displayed(path), path)])

    def _add_archive(self, path: Path) -> "_LeftOutTally | None":
        """Add the texts in an archive; of members with one name, the last."""
        left_out = _LeftOutTally(self._on_left_out)
        folder, name = os.path.split(os.path.realpath(path))
        if not self._once.only_new(folder, [name]):
            return None
        members: dict[str, Member] = {}
        try:
            with open_archive(displayed(path), path, self._kept.decompression) as archive:
                for member, head, reason in archive.entries():
                    found = reason or self._kept.reason_by_head(head, refuse_compressed=True)
                    if found is None and members.pop(member.name, None) is not None:
                        left_out.add(LeftOut(path / member.name, "replaced by a later copy"))
                    if found is None:
                        members[member.name] = member
                    else:
                        left_out.add(LeftOut(path / member.name, found))
        except OSError as error:
            raise unreadable(path, error) from error
        self.found.extend(MemberGroup(path, list(members.values())))
        return None if members else left_out

    def _add_folder(self, folder: Path) -> "_LeftOutTally | None":
        """Add the texts below a folder, sorted, depth first.

        Links to folders are followed. Pending folders are kept in a list, not on the call stack,
        each with the real paths of the folders above it, by which a loop is found.
        """
        left_out = _LeftOutTally(self._on_left_out)
        text_found = False
        pending: list[_Folder | _Files] = [_Folder(folder, os.path.realpath(folder))]
        while pending:
            item = pending.pop()
            if isinstance(item, _Folder):
                pending += reversed(_look_into(item, left_out.add))
            else:
                text_found |= self._add_files(item, left_out.add)
        return None if text_found else left_out

    def _add_files(self, files: "_Files", leave_out: Callable[[LeftOut], None]) -> bool:
        """Add the files that hold text; return whether there are any."""
        prefix = os.path.join(files.folder, "")  # noqa: PTH118 (a million times quicker)
        names = [name for name in files.names if self._is_text(prefix + name, leave_out)]
        if not names:
            return False
        if files.real_folder is None:
            for name in names:
                self._add_file(files.folder / name)
        else:
            new = self._once.only_new(files.real_folder, names)
            for first in range(0, len(new), Group.LARGEST):
                self.found.extend(Group(files.folder, new[first : first + Group.LARGEST]))
        return True

    def _is_text(self, path: str, leave_out: Callable[[LeftOut], None]) -> bool:
        reason = self._kept.reason_to_leave_out(path)
        if reason is not None:
            leave_out(LeftOut(Path(path), reason))
        return reason is None


class _Folder(NamedTuple):
    """A folder still to be searched."""

    path: Path
    real_path: str
    above: tuple[str, ...] = ()


class _Files(NamedTuple):
    """Files of one folder still to be added."""

    folder: Path
    real_folder: str | None
    """None for links, which lead to other folders."""
    names: list[str]


def _look_into(folder: _Folder, leave_out: Callable[[LeftOut], None]) -> list[_Folder | _Files]:
    """Return the contents of a folder, in order, neighbouring files together."""
    if folder.real_path in folder.above:
        leave_out(LeftOut(folder.path, "a loop of links"))
        return []
    names, others = _entries(folder.path)
    shown = [name for name in names if not name.startswith(".")]
    reason = own_folder(folder.path, shown)
    if reason is not None:
        leave_out(LeftOut(folder.path, reason))
        return []
    for name in names:
        if name.startswith("."):
            leave_out(LeftOut(folder.path / name, "hidden"))
    found: list[_Folder | _Files] = []
    for are_others, run in itertools.groupby(shown, others.__contains__):
        if are_others:
            items = (_followed(folder, name, others[name], leave_out) for name in run)
            found += [item for item in items if item is not None]
        else:
            found.append(_Files(folder.path, folder.real_path, list(run)))
    return found


def _followed(
    folder: _Folder, name: str, is_link: bool, leave_out: Callable[[LeftOut], None]
) -> _Folder | _Files | None:
    """Return what a link or a folder in a folder leads to; None if it is left out."""
    path = folder.path / name
    reason: Reason = "not a regular file"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if not (isinstance(error, FileNotFoundError) or error.errno == errno.ELOOP):
            raise unreadable(path, error) from error
        mode = 0
        reason = "a loop of links" if error.errno == errno.ELOOP else "a broken link"
    if stat.S_ISDIR(mode):
        real_path = os.path.realpath(path) if is_link else f"{folder.real_path}/{name}"
        return _Folder(path, real_path, (*folder.above, folder.real_path))
    if stat.S_ISREG(mode):
        return _Files(folder.path, None, [name])
    leave_out(LeftOut(path, reason))
    return None


class _Once:
    """Remembers the real paths that came before, most folders by little more than their names.

    Only if a folder comes a second time are its names looked up one by one.
    """

    def __init__(self) -> None:
        self._groups: dict[str, list[Group]] = {}
        self._names: dict[str, set[str]] = {}

    def only_new(self, real_folder: str, names: list[str]) -> list[str]:
        """Return those of a folder's files, sorted, that did not come before."""
        groups = self._groups.setdefault(real_folder, [])
        if real_folder not in self._names and (not groups or groups[-1].names()[-1] < names[0]):
            groups.append(Group(Path(), names))
            return names
        known = self._names.setdefault(real_folder, set())
        for group in groups:
            known.update(group.names())
        groups.clear()
        new = [name for name in names if name not in known]
        known.update(new)
        return new


class _LeftOutTally:
    """Passes on what is left out, and counts it."""

    def __init__(self, report: Callable[[LeftOut], None]) -> None:
        self.first: dict[Reason, LeftOut] = {}
        self.binary = 0
        self._report = report

    def add(self, item: LeftOut) -> None:
        self.first.setdefault(item.reason, item)
        self.binary += item.reason == "binary"
        self._report(item)

    @property
    def is_own(self) -> bool:
        """Whether files of ricorda's own were left out."""
        return not self.first.keys().isdisjoint(
            ("a run of ricorda", "a page of ricorda", "a cache")
        )


def _matches(pattern: str) -> Iterator[str]:
    """Yield the paths that match a pattern, some of them twice.

    `glob.glob` follows a loop of links for ever in `**`; this does not.
    """
    deep = _DEEP.search(pattern)
    if deep is None:
        yield from glob.glob(pattern)  # noqa: PTH207 (absolute ones too)
        return
    head, rest = pattern[: deep.start()], pattern[deep.end() :]
    is_last = deep[0] == "**"
    for top in glob.glob(head) if head else [""]:  # noqa: PTH207
        for folder in _folders_below(top):
            if is_last and folder:
                yield folder
            yield from _matches(os.path.join(glob.escape(folder), "*" if is_last else rest))  # noqa: PTH118 ("")


def _folders_below(top: str) -> Iterator[str]:
    """Yield a folder and the folders below it that are not hidden; links are followed."""
    pending: list[tuple[str, tuple[str, ...]]] = [(top, ())]
    while pending:
        folder, above = pending.pop()
        real_path = os.path.realpath(folder or os.curdir)
        if real_path in above:  # a loop of links
            continue
        yield folder
        with suppress(OSError), os.scandir(folder or os.curdir) as entries:
            for entry in entries:
                path = os.path.join(folder, entry.name)  # noqa: PTH118 ("" stays relative)
                is_folder = entry.is_dir(follow_symlinks=False) or (
                    entry.is_symlink() and os.path.isdir(path)  # noqa: PTH112 (false for a loop)
                )
                if is_folder and not entry.name.startswith("."):
                    pending.append((path, (*above, real_path)))


_SEPARATORS = os.sep + (os.altsep or "")
_SEPARATOR = f"[{re.escape(_SEPARATORS)}]"
_DEEP = re.compile(rf"(?:^|(?<={_SEPARATOR}))\*\*(?:{_SEPARATOR}+|$)")
"""The part `**` of a pattern, with the separators after it."""


def _fixed_part(pattern: str) -> Path:
    """Return the folder that a pattern names before its first part with a wildcard."""
    parts = Path(pattern).parts
    count = next(number for number, part in enumerate(parts) if set(part) & set("*?["))
    return Path(*parts[:count])


def _entries(folder: Path) -> tuple[list[str], dict[str, bool]]:
    """Return the sorted names in a folder, and those that are not files: true for links."""
    names: list[str] = []
    others: dict[str, bool] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if not entry.is_file(follow_symlinks=False):
                    others[entry.name] = entry.is_symlink()
    except OSError as error:
        raise unreadable(folder, error) from error
    names.sort()
    return names, others


def _head_of_file(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            return os.read(descriptor, HEAD_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(path, error) from error


def _is_archive(path: Path) -> bool:
    return archive_kind(_head_of_file(str(path))) is not None


def _folder_without_text(folder: Path, left_out: _LeftOutTally) -> TextError:
    name = displayed(folder)
    is_archive = folder.is_file()
    what = "an archive" if is_archive else "a folder"
    if left_out.binary:
        return TextError(
            f"{name}: {what} without text: {left_out.binary} "
            f"{'file looks' if left_out.binary == 1 else 'files look'} binary, such as "
            f"{left_out.first['binary'].name}; if that is UTF-16 text, give --encoding utf-16, "
            "or name the files themselves"
        )
    for first in left_out.first.values():
        return TextError(
            f"{name}: {what} without text: only {first.name} ({first.reason}) and the like; "
            + ("unpack it and name" if is_archive else "name")
            + " a file in it to read that file"
        )
    return TextError(f"{name}: {what} without text: put text files there or name another")
