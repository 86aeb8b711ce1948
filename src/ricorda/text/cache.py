"""Encoded texts that are kept from one command to the next.

    CACHE/CACHEDIR.TAG       the marker, by which ricorda knows the folder as its own
    CACHE/entries/CONTENT/   ids, manifest.json: one encoded text, whole
    CACHE/known/KEY          the entry of files that did not change while they were encoded
    CACHE/work/KEY/          an encoding in progress or interrupted
    CACHE/work/KEY.lock      locked by the process that works there

CONTENT is a digest of the text and its vocabulary, KEY one of the files' names, sizes and times and
of the options. An entry gets its name when all of it is on the disk.

A folder without the marker, of another user or writable by others is not used, and nothing in it is
changed. What ricorda removes has names that only ricorda gives.
"""

import contextlib
import errno
import hashlib
import json
import os
import random
import shutil
import stat
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ricorda.arguments import checked
from ricorda.durable import (
    CAN_LOCK,
    flush_folder,
    hold_lock,
    is_partial,
    open_untrusting,
    remove_file,
    remove_folder,
    write_atomically,
)
from ricorda.errors import RicordaError
from ricorda.text.boundaries import stored_type
from ricorda.text.encoding import EncodedText
from ricorda.text.id_file import mapped
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.sizes import parse_size
from ricorda.text.sources import Source
from ricorda.text.vocabulary import Vocabulary

FORMAT = 2
PLACE_VARIABLE = "RICORDA_CACHE"
LIMIT_VARIABLE = "RICORDA_CACHE_LIMIT"
LARGEST_LIMIT = 100 * 10**9
"""Bytes that the cache may take where no limit is set, or half of what it and the disk have."""

BLOCK = 4 << 20
"""Bytes of ids that have one checksum."""

OWN_FOLDER = "ricorda"
"""The cache's subfolder of the chosen folder."""

MARKER = "CACHEDIR.TAG"
"""A marker that backup programs know too (https://bford.info/cachedir)."""

MARKER_CONTENT = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This folder is a cache of encoded texts, made by ricorda. It may be deleted.\n"
)

ENTRY_FILES = ("manifest.json", "ids")
WORK_FILES = ("state.json", "provisional.1", "provisional.2", "provisional.4")

_CHECKED_BLOCKS = 24  # of an entry whose file is as it was left
_MANIFEST, _IDS = ENTRY_FILES
_LARGEST_MANIFEST = 256 << 20  # bytes; a vocabulary has at most 12 MB
_ABANDONED = 14 * 86400  # seconds after which an interrupted encoding is given up


@dataclass(frozen=True)
class Usage:
    """What the cache holds."""

    texts: int
    interrupted: int
    bytes: int


class Cache:
    """A folder of encoded texts, which belongs to ricorda alone."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        """Use a folder, of at most `limit` bytes; it need not exist yet.

        If `refusal` gives a reason, only `usage` and `limit` may be called.
        """
        self.folder = folder
        self.entries = folder / "entries"
        """The whole texts."""
        self.known = folder / "known"
        """Which files an entry belongs to."""
        self.work = folder / "work"
        """Encodings in progress."""
        self._limit = limit

    @property
    def limit(self) -> int:
        """The most bytes that it may take. Raises OSError."""
        if self._limit is not None:
            return self._limit
        there = next(each for each in (self.folder, *self.folder.parents) if each.exists())
        room = shutil.disk_usage(there).free + self.usage().bytes
        return min(LARGEST_LIMIT, room // 2)

    def refusal(self) -> str | None:
        """Return why the folder is not used; None if it can be used or does not exist yet.

        Raises OSError.
        """
        try:
            status = self.folder.stat()
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(status.st_mode):
            return "it is not a folder"
        if not _is_own(status):
            return "it belongs to another user"
        if status.st_mode & 0o022:
            return "other users may write into it"
        if self._is_marked or all(is_partial(path.name) for path in self.folder.iterdir()):
            return None
        return f"it has no {MARKER} of ricorda's: empty it, or choose another folder"

    @property
    def _is_marked(self) -> bool:
        try:
            with open_untrusting(self.folder / MARKER) as file:
                return file.read(len(MARKER_CONTENT)) == MARKER_CONTENT
        except OSError:
            return False

    def prepare(self) -> None:
        """Make the folders, for this user alone. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._is_marked:
            write_atomically(self.folder / MARKER, MARKER_CONTENT)
        for folder in (self.entries, self.known, self.work):
            folder.mkdir(exist_ok=True, mode=0o700)

    def find(
        self, key: str, sources: Sequence[Source], reading: ReadingSettings
    ) -> EncodedText | None:
        """Return the text of files that were encoded before, if it is there and whole."""
        try:
            content = (self.known / key).read_text("ascii")
        except (OSError, ValueError):
            return None
        text = self.open(content, sources, reading) if _is_digest(content) else None
        if text is None:
            remove_file(self.known / key)
        return text

    def open(
        self, content: str, sources: Sequence[Source], reading: ReadingSettings
    ) -> EncodedText | None:
        """Return the text of an entry; what is damaged is removed, and counts as not there."""
        entry = self.entries / content
        try:
            text = _read_entry(entry, sources, reading)
            with contextlib.suppress(OSError):  # a cache that may only be read
                os.utime(entry)
        except (OSError, ValueError, KeyError, TypeError, RicordaError):
            remove_folder(entry, ENTRY_FILES)
            return None
        return text

    def note(self, key: str, content: str) -> None:
        """Remember which entry files belong to. Raises OSError."""
        write_atomically(self.known / key, content.encode("ascii"))

    def publish(self, made: Path, content: str) -> None:
        """Give a finished entry its name, in place of one that is there. Raises OSError."""
        entry = self.entries / content
        flush_folder(made)
        try:
            made.rename(entry)
        except OSError:
            remove_folder(entry, ENTRY_FILES)
            made.rename(entry)
        flush_folder(self.entries)

    def make_room(self, size: int, keep: Path | None = None) -> bool:
        """Remove what was not used for longest until `size` bytes fit in; return whether they do.

        What another process has mapped stays readable to it. Raises OSError.
        """
        limit = self.limit
        removable = (*_folders(self.entries), *_folders(self.work))
        items = sorted((_changed(path), path) for path in removable if path != keep)
        sizes = {path: _size_of(path) for _, path in items}
        total = sum(sizes.values()) + (0 if keep is None else _size_of(keep))
        for changed, path in items:
            left = not sizes[path] or time.time() - changed > _ABANDONED
            abandoned = path.parent == self.work and left
            if total + size <= limit and not abandoned:
                continue
            if self._remove(path):
                total -= sizes[path]
        self._forget_removed()
        return total + size <= limit

    def usage(self) -> Usage:
        """Count what is there; a folder that is not there holds nothing."""
        texts, works = _folders(self.entries), _folders(self.work)
        sizes = [_size_of(path) for path in works]  # an empty one is what a finished encoding left
        interrupted = sum(size > 0 for size in sizes)
        return Usage(len(texts), interrupted, sum(map(_size_of, texts)) + sum(sizes))

    @contextlib.contextmanager
    def working(self, key: str) -> Iterator[Path | None]:
        """Hold the folder where files are encoded; None while another process does.

        Raises OSError.
        """
        folder = self.work / key
        with _locked(_lock_of(folder)) as held:
            if not held:
                yield None
                return
            folder.mkdir(exist_ok=True, mode=0o700)
            try:
                yield folder
            finally:
                if not folder.exists():
                    _lock_of(folder).unlink(missing_ok=True)

    def _remove(self, path: Path) -> bool:
        """Remove an entry, or work that nobody is at."""
        if path.parent == self.entries:
            return remove_folder(path, ENTRY_FILES)
        with _locked(_lock_of(path)) as held:
            if held:
                remove_work(path)
                remove_file(_lock_of(path))
            return held

    def _forget_removed(self) -> None:
        for path in filter(_has_digest_name, self.known.iterdir()):
            with contextlib.suppress(OSError, ValueError):
                if not (self.entries / path.read_text("ascii")).exists():
                    path.unlink()


@checked
def cache_for(option: str | None) -> Cache | None:
    """Return the cache that an option names: a folder, "off", or None for the user's own.

    The cache is the subfolder `ricorda` of that folder. The user's own lies in $RICORDA_CACHE
    (which may be "off" too), else in $XDG_CACHE_HOME, else in ~/.cache. Raises ConfigurationError
    for a limit in $RICORDA_CACHE_LIMIT that is not a size.
    """
    chosen = option if option is not None else os.environ.get(PLACE_VARIABLE, "")
    if chosen == "off" or not CAN_LOCK:
        return None
    said = os.environ.get(LIMIT_VARIABLE, "")
    limit = parse_size(LIMIT_VARIABLE, said) if said else None
    if chosen:
        return Cache(Path(chosen).absolute() / OWN_FOLDER, limit)
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # nobody's home
        return None
    return Cache(home / OWN_FOLDER, limit)


def remove_work(folder: Path) -> None:
    """Remove what an encoding wrote into its folder, and the folder."""
    remove_folder(folder / "entry", ENTRY_FILES)
    remove_folder(folder, WORK_FILES)


def write_manifest(entry: Path, text: EncodedText, checksums: list[int]) -> str:
    """Describe the ids of an entry in its manifest, and return its name. Raises OSError."""
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "vocabulary": text.vocabulary.to_json(),
        "characters": text.characters,
        "bytes": text.bytes,
        "digest": text.digest,
        "skipped": text.skipped,
        "documents": text.documents,
        "empty_documents": text.empty_documents,
        "ids": len(text.ids),
        "checksums": checksums,
        "file": _facts((entry / _IDS).stat()),
    }
    write_atomically(entry / _MANIFEST, json.dumps([manifest, _digest(manifest)]).encode("ascii"))
    named = ("format", "vocabulary", "digest", "skipped", "empty_documents", "ids")
    return _digest({name: manifest[name] for name in named})


def _read_entry(entry: Path, sources: Sequence[Source], reading: ReadingSettings) -> EncodedText:
    """Read an entry. Raises OSError, ValueError, KeyError, TypeError if it is damaged."""
    with open_untrusting(entry / _MANIFEST) as file:
        _check_owner(file)
        manifest, digest = json.loads(file.read(_LARGEST_MANIFEST))
    if manifest["format"] != FORMAT or _digest(manifest) != digest:
        raise ValueError("another format, or damaged")
    vocabulary = Vocabulary.from_json(manifest["vocabulary"])
    type = stored_type(vocabulary)
    with open_untrusting(entry / _IDS) as file:
        status = _check_owner(file)
        if status.st_size != manifest["ids"] * type.itemsize:
            raise ValueError("damaged")
        untouched = _facts(status) == manifest["file"]
        _check(file, manifest["checksums"], status.st_size, untouched)
        ids = mapped(file, type)
    return EncodedText(
        ids,
        vocabulary,
        characters=manifest["characters"],
        bytes=manifest["bytes"],
        digest=manifest["digest"],
        skipped=manifest["skipped"],
        reading=reading,
        documents=manifest["documents"],
        empty_documents=manifest["empty_documents"],
        _sources=sources,
    )


def _check_owner(file: IO[bytes]) -> os.stat_result:
    """Return an open file's status. Raises ValueError if another user could write into it."""
    status = os.fstat(file.fileno())
    if not _is_own(status):
        raise ValueError("of another user")
    return status


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid()


def _check(file: Any, checksums: list[int], size: int, untouched: bool) -> None:
    """Compare blocks with their checksums: some, or all of a file that was copied or touched."""
    count = -(-size // BLOCK)
    if len(checksums) != count:
        raise ValueError("damaged")
    blocks: Sequence[int] = range(count)
    if untouched and count > _CHECKED_BLOCKS:
        blocks = sorted({0, count - 1, *random.sample(range(count), _CHECKED_BLOCKS - 2)})
    for block in blocks:
        file.seek(block * BLOCK)
        if zlib.crc32(file.read(BLOCK)) != checksums[block]:
            raise ValueError("damaged")


def _facts(status: os.stat_result) -> list[int]:
    """What shows that nobody wrote into a file."""
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _has_digest_name(path: Path) -> bool:
    """Whether ricorda uses such names."""
    return _is_digest(path.name)


def _folders(folder: Path) -> list[Path]:
    try:
        paths = filter(_has_digest_name, folder.iterdir())
        return [path for path in paths if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def _size_of(folder: Path) -> int:
    """The bytes on disk of a folder's files, as far as they can be seen."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total


def _changed(path: Path) -> float:
    """Return a folder's modification time; 0 if another process has removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock; false if another process holds it. Raises OSError."""
    with hold_lock(path, mode=0o600) as held:
        if held is None:
            raise OSError(errno.ENOLCK, "its file system has no locks")
        yield held
