"""The texts: uploads and samples, what each text is, and any stretch of it."""

import contextlib
import os
import stat
import sysconfig
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import numpy as np
from anyio import to_thread

from ricorda.durable import CAN_LOCK, PARTIAL, try_lock
from ricorda.errors import TextError
from ricorda.studio.cache import NEVER, Cancelled, Kept
from ricorda.studio.reading import Reading, ReadingLimits
from ricorda.studio.workspace import Workspace
from ricorda.text import (
    EncodedText,
    ReadingSettings,
    Source,
    Vocabulary,
    encode_sources,
    read_text,
    split,
)
from ricorda.text.compression import MAGIC_BYTES, Decompression, kind_of
from ricorda.text.decoding import canonical_encoding
from ricorda.text.encoding import VocabularyKind
from ricorda.text.file_names import displayed
from ricorda.text.splits import Split
from ricorda.text.vocabulary import Ids

KEPT_OPEN = 3  # texts whose encoded form is kept on disk
BEGINNING = 600  # symbols shown of a text
FREQUENT = 12  # of its symbols
COUNTED_AT_ONCE = 1 << 22  # symbols

UPLOAD = ".ricorda-upload-"
"""How the names of unfinished uploads begin; only these are ever removed."""

PATTERN = "aaaaabbbbbccccacddddd"  # the tutorial's, which ends as it begins
PATTERN_LENGTH = 20_000  # characters
LIBRARY_BYTES = 2_000_000
LITERARY = {"pinocchio": "pinocchio.txt", "raven": "raven.txt"}
"""The samples that are literature, with their files in `samples/`, which names their sources."""

SAMPLES = {"pattern": "pattern.txt", **LITERARY, "library": "python-library.txt"}
"""The samples with their files' names; besides, the tutorial's pattern and Python's library."""


Passage = tuple[str, ...]
"""Documents in a row, the last of them cut off; "" at the end: the last one is whole. An undivided
text is one."""


class Texts:
    """The texts of a workspace, and those that its runs learn; from any thread.

    What takes long is done once for each text, under a lock of its own, and can be cancelled: it
    ends with Cancelled soon after the event that is handed in is set.
    """

    def __init__(self, workspace: Workspace, largest: int) -> None:
        """Keep and read texts of up to `largest` bytes."""
        self._workspace = workspace
        self._largest = largest
        self._limits = ReadingLimits(workspace, largest)
        self._uploads = Uploads(workspace.texts)
        self._open: Kept[EncodedText] = Kept(KEPT_OPEN)
        self._facts: Kept[dict[str, Any]] = Kept(4 * KEPT_OPEN)
        self._lock = threading.Lock()

    def list(self) -> list[dict[str, Any]]:
        """Each text's name and bytes, the newest first."""
        return [
            {"name": path.name, "bytes": path.stat().st_size}
            for path in self._workspace.list_texts()
        ]

    async def keep(self, name: str, pieces: AsyncIterator[bytes], encoding: str = "utf-8") -> str:
        """Write a text to disk as it arrives, and return the name that it has now.

        Kept in UTF-8, whatever its encoding was, and not compressed. Raises TextError if it is
        empty, larger than allowed or not in that encoding; nothing is left then.
        """
        with self._new_file(name, encoding) as (write, finish):
            async for piece in pieces:
                write(piece)
            return await to_thread.run_sync(finish)

    def keep_now(self, name: str, pieces: Iterable[bytes], encoding: str = "utf-8") -> str:
        """Keep a text that is at hand; otherwise as `keep`."""
        with self._new_file(name, encoding) as (write, finish):
            for piece in pieces:
                write(piece)
            return finish()

    def keep_sample(self, sample: str) -> str:
        """Keep a sample text; otherwise as `keep`."""
        return self.keep_now(SAMPLES.get(sample, sample), sample_text(sample))

    def reading(self, name: str, kind: VocabularyKind = "characters") -> Reading:
        """How a training reads a text of the workspace."""
        return Reading((str(self._workspace.text(name)),), kind)

    def permitted(self, reading: Reading) -> Reading:
        """The same, as this studio may read it. Raises TextError if it may not."""
        return self._limits.permitted(reading)

    def facts(self, reading: Reading, cancelled: threading.Event = NEVER) -> dict[str, Any]:
        """Tell a text's size, symbols, split and beginning. Raises TextError, Cancelled."""
        reading = self.permitted(reading)

        def count() -> dict[str, Any]:
            return _facts(self._encoded(reading, cancelled), reading, cancelled)

        return self._facts.get(reading.stamp, count, cancelled)

    def prepare(self, reading: Reading, cancelled: threading.Event) -> None:
        """Encode a text, so that what follows finds it at hand. Raises TextError, Cancelled."""
        self._encoded(self.permitted(reading), cancelled)

    def stretch(self, reading: Reading, begin: int, length: int) -> Passage:
        """The text of some symbols; what lies beyond its end is left out. Raises TextError.

        Places count the symbols that are learned, and then those kept back, boundaries included.
        """
        reading = self.permitted(reading)
        text = self._encoded(reading, NEVER)
        return _passage(text.vocabulary, _read(_split(text, reading), begin, length))

    def parts(
        self, reading: Reading, cancelled: threading.Event = NEVER
    ) -> tuple[Vocabulary, Split]:
        """The symbols that are learned and those kept back, not loaded.

        Raises TextError, Cancelled.
        """
        text = self._encoded(self.permitted(reading), cancelled)
        return text.vocabulary, _split(text, reading)

    def _encoded(self, reading: Reading, cancelled: threading.Event) -> EncodedText:
        """A permitted text's symbols."""
        return self._open.get(reading.stamp, lambda: _encode(reading, cancelled), cancelled)

    def clean(self) -> None:
        """Remove what an earlier studio, killed during an upload, left unfinished."""
        self._uploads.clean()

    def close(self) -> None:
        """Let another studio clean."""
        self._uploads.close()

    @contextlib.contextmanager
    def _new_file(
        self, name: str, encoding: str
    ) -> Iterator[tuple[Callable[[bytes], None], Callable[[], str]]]:
        """Begin a text: what adds bytes to it, and what puts it among the others when whole."""
        is_utf8 = canonical_encoding(encoding) == "utf-8"
        with self._uploads.new_file() as (file, path):

            def write(piece: bytes) -> None:
                file.write(piece)
                if file.tell() > self._largest:
                    raise TextError(
                        f"expected a text of at most {self._largest:,} bytes: start the studio "
                        "with a larger --largest-text, or train from the command line"
                    )

            def finish() -> str:
                file.close()
                with _errors_naming(str(path), name):
                    if not is_utf8 or _is_compressed(path):
                        self._to_utf8(path, encoding)
                    _check(path)
                with self._lock:
                    kept = self._workspace.free_text(name)
                    path.chmod(0o644)
                    path.rename(kept)
                return kept.name

            yield write, finish

    def _to_utf8(self, path: Path, encoding: str) -> None:
        """Rewrite a text in UTF-8, decompressed if it is compressed.

        Raises TextError if it is not in the encoding, or holds more bytes than allowed.
        """
        with self._uploads.new_file() as (file, temporary):
            sources = [Source(displayed(path), path)]  # not what an archive holds
            limit = Decompression(limit=self._largest)
            for text in read_text(sources, encoding, "keep", decompression=limit):
                file.write(text.encode())
            file.close()
            temporary.replace(path)


class Uploads:
    """The unfinished files of a folder of texts.

    Every studio holds a shared lock on the folder. A studio that can lock it exclusively is
    alone, so that unfinished files there belong to no running studio.
    """

    def __init__(self, folder: Path) -> None:
        """Change nothing yet."""
        self._folder = folder
        self._descriptor: int | None = None

    def clean(self) -> None:
        """Remove the unfinished files of a killed studio, unless another studio uses the folder."""
        if not self._folder.is_dir() or (descriptor := self._hold()) is None:
            return
        if not try_lock(descriptor):
            return
        for path in self._folder.glob(f"{UPLOAD}*{PARTIAL}"):
            with contextlib.suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    path.unlink()
        try_lock(descriptor, shared=True)

    @contextlib.contextmanager
    def new_file(self) -> Iterator[tuple[IO[bytes], Path]]:
        """Open a new file beside the texts; it is removed at the end unless it is renamed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._hold()
        descriptor, name = tempfile.mkstemp(prefix=UPLOAD, suffix=PARTIAL, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file, Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _hold(self) -> int | None:
        """Take the shared lock, which the system releases when the process ends, if there are any.

        It is not held while another studio cleans, or on a file system without locks.
        """
        if self._descriptor is None and CAN_LOCK:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if try_lock(descriptor, shared=True):
                self._descriptor = descriptor
            else:
                os.close(descriptor)
        return self._descriptor

    def close(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def sample_text(name: str) -> Iterator[bytes]:
    """Yield a sample's bytes, UTF-8. Raises TextError for an unknown name or a missing library."""
    if name == "pattern":
        yield (PATTERN * (PATTERN_LENGTH // len(PATTERN) + 1))[:PATTERN_LENGTH].encode()
    elif name in LITERARY:
        yield files("ricorda.studio").joinpath("samples", LITERARY[name]).read_bytes()
    elif name == "library":
        yield from _library()
    else:
        raise TextError(f"expected one of {', '.join(SAMPLES)}, got another sample's name")


def _library() -> Iterator[bytes]:
    """Modules at the top of the standard library, in order of their names, up to a size."""
    left = LIBRARY_BYTES
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py")):
        try:
            content = path.read_bytes()
            content.decode("utf-8")
        except (OSError, ValueError):
            continue
        if len(content) > left:
            break
        left -= len(content)
        yield content
    if left == LIBRARY_BYTES:
        raise TextError("this Python has no source files of its library: use a text of your own")


def _encode(reading: Reading, cancelled: threading.Event) -> EncodedText:
    """Read a permitted text. Raises TextError, Cancelled."""

    def check(*_: object) -> None:
        if cancelled.is_set():
            raise Cancelled

    settings = ReadingSettings.of(reading)
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        return encode_sources(
            settings.find(reading.names),
            vocabulary=reading.kind,
            folder=Path(folder),
            reading=settings,
            progress=check,
        )


def _check(path: Path) -> None:
    """Check that a text can be learned. Raises TextError."""
    with (
        tempfile.TemporaryDirectory(prefix="ricorda-") as place,
        encode_sources(
            [Source(displayed(path), path)], vocabulary="characters", folder=Path(place)
        ) as text,
    ):
        split(text.part)


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return kind_of(file.read(MAGIC_BYTES)) is not None


@contextlib.contextmanager
def _errors_naming(path: str, name: str) -> Iterator[None]:
    """Within, errors speak of a text by its own name."""
    try:
        yield
    except TextError as error:
        raise TextError(str(error).replace(path, name)) from error


def _split(text: EncodedText, reading: Reading) -> Split:
    """The symbols that are learned and those kept back, where no text of their own holds these."""
    if reading.validation is not None:
        return split(text.part, 0.0, reading.test_fraction, reading.split)
    return split(text.part, reading.validation_fraction, reading.test_fraction, reading.split)


def _read(parts: Split, begin: int, length: int) -> Ids:
    """Read symbols of what is learned, and of what is kept back after it."""
    training, validation = parts.training, parts.validation
    begin = max(0, begin)
    found = training.read(begin, begin + length)
    if validation is None or len(found) == length:
        return found
    begin = max(0, begin - len(training))
    return np.concatenate([found, validation.read(begin, begin + length - len(found))])


def _passage(vocabulary: Vocabulary, ids: Ids) -> Passage:
    """Divide symbols at the boundaries; what is left of a document at the beginning is left out.

    It is kept if there is nothing else.
    """
    if vocabulary.boundary is None:
        return (vocabulary.decode(ids),)
    borders = np.flatnonzero(ids == vocabulary.boundary)
    documents = [vocabulary.decode(each) for each in np.split(ids, borders)]
    return tuple(documents[1:] if any(documents[1:]) else documents)


def _facts(text: EncodedText, reading: Reading, cancelled: threading.Event) -> dict[str, Any]:
    """What the page shows of a text."""
    parts = _split(text, reading)
    vocabulary = text.vocabulary
    counts = np.zeros(vocabulary.size, np.int64)
    for block in text.part.blocks(COUNTED_AT_ONCE):
        if cancelled.is_set():
            raise Cancelled
        counts += np.bincount(block, minlength=vocabulary.size)
    if vocabulary.boundary is not None:
        counts[vocabulary.boundary] = 0
    order = np.argsort(-counts, kind="stable")[:FREQUENT].tolist()
    frequent = [[vocabulary.label(each), int(counts[each])] for each in order if counts[each]]
    return {
        "characters": text.characters,
        "bytes": text.bytes,
        "symbols": text.part.symbols,
        "kind": reading.kind,
        "different": int((counts > 0).sum()),
        "training": parts.training.symbols,
        "validation": 0 if parts.validation is None else parts.validation.symbols,
        "documents": None if vocabulary.boundary is None else text.part.segments,
        "places": len(parts.training) + (0 if parts.validation is None else len(parts.validation)),
        "kept_back_from": len(parts.training),
        "in_order": vocabulary.boundary is None and reading.split in {None, "end"},
        "beginning": "\n".join(_passage(vocabulary, text.part.read(0, BEGINNING))),
        "frequent": frequent,
    }
