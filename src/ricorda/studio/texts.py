"""What a text is: its size, its symbols, how it is split, and any stretch of it."""

import contextlib
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from anyio import to_thread

from ricorda.errors import TextError
from ricorda.studio.kept import NEVER, Cancelled, Kept
from ricorda.studio.reading import Reading, ReadingLimits
from ricorda.studio.uploads import Uploads
from ricorda.studio.workspace import Workspace
from ricorda.text import (
    EncodedText,
    ReadingSettings,
    Vocabulary,
    encode_sources,
    find_sources,
    read_text,
    split,
)
from ricorda.text.compression import MAGIC_BYTES, Decompression, kind_of
from ricorda.text.decoding import canonical_encoding
from ricorda.text.encoding import VocabularyKind
from ricorda.text.splits import Split

KEPT_OPEN = 3  # texts whose encoded form is kept on disk
BEGINNING = 600  # symbols shown of a text
FREQUENT = 12  # of its symbols
COUNTED_AT_ONCE = 1 << 22  # symbols


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
        """Write a text to disk as it comes, and hand back the name that it has now.

        Kept in UTF-8, whatever its encoding was, and not compressed. Raises TextError if it is
        empty, larger than allowed or not in that encoding; nothing is left then.
        """
        with self._new_file(name, encoding) as (file, finish):
            received = 0
            async for piece in pieces:
                received += len(piece)
                self._check_size(received)
                file.write(piece)
            return await to_thread.run_sync(finish)

    def keep_now(self, name: str, pieces: Iterable[bytes], encoding: str = "utf-8") -> str:
        """Keep a text that is at hand; otherwise as `keep`."""
        with self._new_file(name, encoding) as (file, finish):
            received = 0
            for piece in pieces:
                received += len(piece)
                self._check_size(received)
                file.write(piece)
            return finish()

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

    def stretch(self, reading: Reading, begin: int, length: int) -> str:
        """The text of some symbols; what lies beyond its end is left out. Raises TextError."""
        text = self._encoded(self.permitted(reading), NEVER)
        ids = text.ids[max(0, begin) : max(0, begin) + length]
        return text.vocabulary.decode(ids)

    def parts(self, reading: Reading) -> tuple[Vocabulary, Split]:
        """The symbols that are learned and those kept back, not loaded. Raises TextError."""
        text = self._encoded(self.permitted(reading), NEVER)
        if reading.validation is not None:
            return text.vocabulary, Split(text.ids, None)
        return text.vocabulary, split(text.ids, reading.validation_fraction)

    def _encoded(self, reading: Reading, cancelled: threading.Event) -> EncodedText:
        """A permitted text's symbols."""
        return self._open.get(reading.stamp, lambda: _encode(reading, cancelled), cancelled)

    def clean(self) -> None:
        """Remove what an earlier studio, killed during an upload, left unfinished."""
        self._uploads.clean()

    def close(self) -> None:
        """Let another studio clean."""
        self._uploads.close()

    def _check_size(self, received: int) -> None:
        if received > self._largest:
            raise TextError(
                f"expected a text of at most {self._largest:,} bytes: start the studio with a "
                "larger --largest-text, or train from the command line"
            )

    @contextlib.contextmanager
    def _new_file(self, name: str, encoding: str) -> Iterator[tuple[IO[bytes], Callable[[], str]]]:
        """A file beside the texts, and what puts it among them once it is whole."""
        is_utf8 = canonical_encoding(encoding) == "utf-8"
        with self._uploads.new_file() as (file, path):

            def finish() -> str:
                file.close()
                with _told_of(str(path), name):
                    if not is_utf8 or _is_compressed(path):
                        self._to_utf8(path, encoding)
                    _check(path)
                with self._lock:
                    kept = self._workspace.free_text(name)
                    path.chmod(0o644)
                    path.rename(kept)
                return kept.name

            yield file, finish

    def _to_utf8(self, path: Path, encoding: str) -> None:
        """Rewrite a text in UTF-8, decompressed if it is compressed.

        Raises TextError if it is not in the encoding, or holds more bytes than allowed.
        """
        with self._uploads.new_file() as (file, temporary):
            sources = find_sources([str(path)], encoding=encoding)
            limit = Decompression(limit=self._largest)
            for text in read_text(sources, encoding, "keep", decompression=limit):
                file.write(text.encode())
            file.close()
            temporary.replace(path)


def _encode(reading: Reading, cancelled: threading.Event) -> EncodedText:
    """Read a permitted text. Raises TextError, Cancelled."""

    def check(*_: object) -> None:
        if cancelled.is_set():
            raise Cancelled

    settings = ReadingSettings.of(reading)
    enabled = settings.decompression.enabled
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        return encode_sources(
            find_sources(reading.names, encoding=reading.encoding, decompress=enabled),
            vocabulary=reading.kind,
            folder=Path(folder),
            reading=settings,
            progress=check,
        )


def _check(path: Path) -> None:
    """See that a text can be learned. Raises TextError."""
    with (
        tempfile.TemporaryDirectory(prefix="ricorda-") as place,
        encode_sources(
            find_sources([str(path)]), vocabulary="characters", folder=Path(place)
        ) as text,
    ):
        split(text.ids)


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return kind_of(file.read(MAGIC_BYTES)) is not None


@contextlib.contextmanager
def _told_of(path: str, name: str) -> Iterator[None]:
    """Within, errors speak of a text by its own name."""
    try:
        yield
    except TextError as error:
        raise TextError(str(error).replace(path, name)) from error


def _facts(text: EncodedText, reading: Reading, cancelled: threading.Event) -> dict[str, Any]:
    """What the page shows of a text."""
    if reading.validation is None:
        parts = split(text.ids, reading.validation_fraction)
        training, validation = len(parts.training), parts.validation
        judged = 0 if validation is None else len(validation)
    else:
        training, judged = len(text.ids), 0
    vocabulary = text.vocabulary
    counts = np.zeros(vocabulary.size, np.int64)
    for begin in range(0, len(text.ids), COUNTED_AT_ONCE):
        if cancelled.is_set():
            raise Cancelled
        block = text.ids[begin : begin + COUNTED_AT_ONCE]
        counts += np.bincount(block, minlength=vocabulary.size)
    frequent = np.argsort(-counts, kind="stable")[:FREQUENT].tolist()
    return {
        "characters": text.characters,
        "bytes": text.bytes,
        "symbols": len(text.ids),
        "kind": reading.kind,
        "different": int((counts > 0).sum()),
        "training": training,
        "validation": judged,
        "beginning": vocabulary.decode(text.ids[:BEGINNING]),
        "frequent": [[vocabulary.label(each), int(counts[each])] for each in frequent],
    }
