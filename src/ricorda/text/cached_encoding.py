"""Encode texts through the cache: find them there, continue an encoding, or encode into it.

The cache is left out for a small text, a pipe, a text that another process encodes, and where the
cache fails. A fault of the cache never changes the encoded text. Unchanged files are recognized by
their names, sizes and times, without reading them.
"""

import contextlib
import hashlib
import json
import os
import shutil
import stat
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.durable import flush, remove_folder, write_atomically
from ricorda.errors import RicordaError, RunError
from ricorda.text.boundaries import stored_type
from ricorda.text.cache import (
    BLOCK,
    ENTRY_FILES,
    FORMAT,
    Cache,
    remove_work,
    write_manifest,
)
from ricorda.text.encoding import EncodedText, Request, VocabularyKind, Writing, encode_into
from ricorda.text.file_names import displayed, unreadable
from ricorda.text.id_file import IdType, KeptIdFile, mapped, translated
from ricorda.text.reading import Progress, ReadingPosition
from ricorda.text.reading_settings import DEFAULTS, ReadingSettings
from ricorda.text.sizes import readable_size
from ricorda.text.sources import Source
from ricorda.text.vocabulary import OnUnknown, Vocabulary

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
            size += status.st_size if source.member is None else source.member.size
        changed = max(changed, status.st_ctime_ns)
        facts = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        path = os.fsencode(os.path.abspath(source.path))  # noqa: PTH100
        key.update(b"%d %d %d %d %d " % (len(path), *facts) + path)
        if source.member is not None:
            key.update(repr(source.member).encode("utf-8", "surrogateescape"))
    return Survey(size, key.hexdigest(), changed)


SMALLEST = 16 << 20
"""Bytes of a text below which reading it again is as quick."""

CHECKPOINT_BYTES = 64 << 20
"""Bytes of text after which an interrupted encoding can continue."""

_STATE = "state.json"


Report = Callable[[int, int | None], None]
"""Called with the number of bytes read so far, and of how many where that is known."""


@checked
def encode_sources(
    sources: Sequence[Source],
    *,
    vocabulary: VocabularyKind | Vocabulary,
    folder: Path,
    reading: ReadingSettings = DEFAULTS,
    on_unknown: OnUnknown = "error",
    cache: Cache | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Report | None = None,
) -> EncodedText:
    """Encode sources, one after another, or take them from the cache.

    `vocabulary` is the kind to collect from the text, or a vocabulary that exists: then characters
    that it lacks are an error or are skipped, as `on_unknown` says. A byte vocabulary takes the
    bytes as they are, unless `reading` names an encoding: then the text is decoded, and its UTF-8
    taken. What is not cached lies in a file without a name on the disk of `folder`. `say` is
    called with one line where the cache fails or an interrupted encoding is continued. The text is
    divided into documents as `reading` says.
    Memory does not grow with the text.

    Raises TextError where the text cannot be read or decoded, is empty, or does not fit on the
    disk; VocabularyError, with "error", once the whole text has been searched.
    """
    request = Request(vocabulary, reading.resolved(sources), on_unknown)
    found = survey(sources)
    count = None if progress is None else lambda done: progress(done, found.size)
    if cache is not None and found.size is not None and found.size >= SMALLEST:
        try:
            text = _Encoding(cache, sources, request, found, say, count).text()
        except (OSError, RunError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            say(_without(cache, f"it cannot be written: {reason}"))
            text = None
        if text is not None:
            return text
    return encode_into(folder, sources, request, count)


def _without(cache: Cache, reason: str) -> str:
    return f"the encoded text is not cached in {displayed(cache.folder)}: {reason}"


class _Encoding:
    """The encoding of certain files into the cache."""

    def __init__(
        self,
        cache: Cache,
        sources: Sequence[Source],
        request: Request,
        found: Survey,
        say: Callable[[str], None],
        progress: Progress | None,
    ) -> None:
        self._cache, self._sources, self._request = cache, sources, request
        self._found, self._say, self._progress = found, say, progress
        asked = json.dumps([FORMAT, request.as_json(), found.key], sort_keys=True)
        self._key = hashlib.sha256(asked.encode("ascii")).hexdigest()

    def text(self) -> EncodedText | None:
        """Return the text; None, reported in one line, if it must be encoded without the cache.

        Raises OSError or RunError if the cache fails, TextError and VocabularyError for the text.
        """
        refusal = self._cache.refusal()
        if refusal is not None:
            self._say(_without(self._cache, refusal))
            return None
        text = self._cache.find(self._key, self._sources, self._request.reading)
        if text is not None:
            return text
        seconds = self._found.seconds_to_settle
        reason = (
            "its files have timestamps in the future" if seconds is None else self._lacks_room()
        )
        if seconds is None or reason is not None:
            self._say(_without(self._cache, str(reason)))
            return None
        time.sleep(seconds)
        with self._cache.working(self._key) as folder:
            if folder is None:
                self._say(_without(self._cache, "another process is encoding it"))
                return None
            text = self._cache.find(self._key, self._sources, self._request.reading)
            if text is None:
                text = self._encoded(folder)
            remove_work(folder)
            return text

    def _lacks_room(self) -> str | None:
        """Why there is no room for the ids, first provisional and then final ones, if so."""
        size = self._found.size or 0
        self._cache.prepare()
        if not self._cache.make_room(size):
            return (
                f"it has {readable_size(size)}, the cache may take "
                f"{readable_size(self._cache.limit)} (RICORDA_CACHE_LIMIT)"
            )
        free = shutil.disk_usage(self._cache.folder).free
        return None if free > 2 * size else f"only {readable_size(free)} are free there"

    def _encoded(self, folder: Path) -> EncodedText:
        try:
            work = _restored(folder, self._request)
            if work is None:
                work = _Work(folder, KeptIdFile(folder), self._request)
            else:
                done = readable_size(work.writing.encoder.byte_count)
                self._say(f"continues an encoding that was interrupted after {done}")
            with work.file:
                work.run(self._sources, self._progress)
                vocabulary, final_ids = work.writing.encoder.finish()
                checksums = work.write_entry(folder / "entry", final_ids, stored_type(vocabulary))
        except RicordaError:
            remove_work(folder)  # continuing would have the same result
            raise
        return self._published(folder, work.writing, vocabulary, checksums)

    def _published(
        self, folder: Path, writing: Writing, vocabulary: Vocabulary, checksums: list[int]
    ) -> EncodedText:
        entry = folder / "entry"
        with (entry / "ids").open("rb") as file:
            text = writing.text(mapped(file, stored_type(vocabulary)), vocabulary, self._sources)
        if survey(self._sources) != self._found:
            self._say(_without(self._cache, "its files changed while they were read"))
            return text
        content = write_manifest(entry, text, checksums)
        self._cache.publish(entry, content)
        self._cache.note(self._key, content)
        remove_work(folder)
        with contextlib.suppress(OSError):  # the text is there
            self._cache.make_room(0, keep=self._cache.entries / content)
        return text


class _Work:
    """An encoding that saves, from time to time, what is needed to continue it."""

    def __init__(self, folder: Path, file: KeptIdFile, request: Request) -> None:
        self.file = file
        self.writing = Writing(file, request)
        self._folder = folder
        self._saved_bytes = 0

    def run(self, sources: Sequence[Source], progress: Progress | None) -> None:
        """Read the sources from the position on, to their end."""
        self._saved_bytes = self.writing.encoder.byte_count
        position = self.writing.position
        before = sum(source.size or 0 for source in islice(sources, position.source))
        count = None if progress is None else lambda done: progress(before + done)
        self.writing.write(sources, count, self._written)
        self._save()

    def write_entry(
        self, entry: Path, table: NDArray[np.integer[Any]] | None, type: IdType
    ) -> list[int]:
        """Write the final ids beside the provisional ones; return the checksums of their blocks."""
        remove_folder(entry, ENTRY_FILES)
        entry.mkdir(mode=0o700)
        with (entry / "ids").open("x+b") as file:
            for block in self.file.blocks():
                ids = block if table is None else translated(block, table, type)
                file.write(ids.astype(type, copy=False).data)
            flush(file)
            file.seek(0)
            return [zlib.crc32(data) for data in iter(lambda: file.read(BLOCK), b"")]

    def _written(self) -> None:
        if self.writing.encoder.byte_count - self._saved_bytes >= CHECKPOINT_BYTES:
            self._save()

    def _save(self) -> None:
        self._saved_bytes = self.writing.encoder.byte_count
        self.file.flush()
        state = {
            "format": FORMAT,
            "place": self.writing.position,
            "encoder": self.writing.encoder.state(),
            "digest": self.writing.digest.hexdigest(),
            "ids": self.writing.id_count,
            "itemsize": self.file.itemsize,
        }
        write_atomically(self._folder / _STATE, json.dumps(state).encode("ascii"))
        self.file.discard_others()


def _restored(folder: Path, request: Request) -> _Work | None:
    """Continue what an interrupted process left, if the ids stand for the text that was read.

    They are turned back into its bytes for that, whose digest is needed anyway.
    """
    try:
        state = json.loads((folder / _STATE).read_bytes())
        if state["format"] != FORMAT:
            return None
        source, offset, last, empty = state["place"]
        file = KeptIdFile(folder, int(state["itemsize"]), int(state["ids"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        work = _Work(folder, file, request)
        writing = work.writing
        writing.position = ReadingPosition(int(source), int(offset), str(last), int(empty))
        writing.encoder.restore(state["encoder"])
        for ids in file.blocks():
            data = writing.encoder.bytes_of(ids)
            writing.digest.update(data)
            writing.id_count += len(ids)
        if writing.digest.hexdigest() == state["digest"]:
            return work
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RicordaError):
        pass
    file.__exit__(None, None, None)
    return None
