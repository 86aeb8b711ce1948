"""What a text is: its size, its symbols, how it is split, and any stretch of it."""

import contextlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
from anyio import to_thread
from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass

from ricorda.durable import PARTIAL, open_untrusting
from ricorda.errors import RunError, TextError
from ricorda.runs import RunFolder
from ricorda.studio.workspace import Workspace
from ricorda.text import EncodedText, Vocabulary, encode_sources, find_sources, read_text, split
from ricorda.text.compression import MAGIC_BYTES, Decompression, kind_of
from ricorda.text.decoding import canonical_encoding
from ricorda.text.encoding import VocabularyKind
from ricorda.text.sources import STANDARD_INPUT
from ricorda.text.splits import Split
from ricorda.validation import parse_json

KEPT_OPEN = 3  # texts whose encoded form is kept on disk
BEGINNING = 600  # symbols shown of a text
FREQUENT = 12  # of its symbols
LARGEST_CONFIG = 16 * 1024 * 1024  # bytes
COUNTED_AT_ONCE = 1 << 22  # symbols


Name = Annotated[str, Field(pattern=r"^[^\x00]+$")]
"""A text's name: a path, a pattern, or - for standard input."""


@dataclass(frozen=True)
class Reading:
    """How a text is read: from which files, and as what."""

    names: tuple[Name, ...]
    kind: VocabularyKind = "characters"
    encoding: Name | None = None
    newlines: Literal["auto", "normalise", "keep"] = "auto"
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] | None = None
    validation: Name | None = None
    decompress: Literal["auto", "off"] = "auto"
    max_decompressed: Name | None = None

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Changes when a file does; the same from whatever folder a name starts."""
        found: list[Any] = []
        for name in map(os.path.abspath, self.names):
            with contextlib.suppress(OSError):
                status = Path(name).stat()
                found.append((name, status.st_mtime_ns, status.st_size))
        return (replace(self, names=()), *found)

    @property
    def is_gone(self) -> bool:
        """Whether it came from standard input or a pipe, which tell a text once."""
        return any(name == STANDARD_INPUT or Path(name).is_fifo() for name in self.names)

    @property
    def words(self) -> list[str]:
        """The same on a command line."""
        words = [f"./{name}" if name[0] == "-" != name else name for name in self.names]
        options = {
            "vocabulary": None if self.kind == "characters" else self.kind,
            "encoding": self.encoding,
            "newlines": None if self.newlines == "auto" else self.newlines,
            "validation-fraction": self.validation_fraction,
            "decompress": None if self.decompress == "auto" else self.decompress,
            "max-decompressed": self.max_decompressed,
        }
        for name, value in options.items():
            if value is not None:
                words += [f"--{name}", str(value)]
        return words


def reading_of(run: RunFolder) -> Reading:
    """How a run reads its text. Raises RunError if its config.json does not tell."""
    record = read_config(run)
    try:
        text = record["text"]
        return Reading(
            names=text["texts"],
            kind=text["vocabulary"],
            encoding=text["encoding"],
            newlines=text["newlines"],
            validation_fraction=text["validation_fraction"],
            validation=text["validation"],
            decompress=text.get("decompress", "auto"),
            max_decompressed=text.get("max_decompressed"),
        )
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise RunError(f"{run.config} does not say which text the run learns") from error


def read_config(run: RunFolder) -> dict[str, Any]:
    """A run's config.json as it stands. Raises RunError if it is no object."""
    try:
        with open_untrusting(run.config) as file:
            found = parse_json(file.read(LARGEST_CONFIG), longest=LARGEST_CONFIG)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {run.config}: it is damaged or gone") from error
    if not isinstance(found, dict):
        raise RunError(f"cannot read {run.config}: it is damaged")
    return found


class Texts:
    """The texts of a workspace, and those that its runs learn; from any thread."""

    def __init__(self, workspace: Workspace, largest: int) -> None:
        """Keep texts of up to `largest` bytes."""
        self._workspace = workspace
        self._largest = largest
        self._open: OrderedDict[tuple[Any, ...], EncodedText] = OrderedDict()
        self._facts: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()
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

    def facts(self, reading: Reading) -> dict[str, Any]:
        """Tell a text's size, symbols, split and beginning. Raises TextError."""
        key = reading.stamp
        with self._lock:
            if key not in self._facts:
                self._facts[key] = _facts(self._encoded(reading), reading)
                _shorten(self._facts, 4 * KEPT_OPEN)
            return self._facts[key]

    def stretch(self, reading: Reading, begin: int, length: int) -> str:
        """The text of some symbols; what lies beyond its end is left out. Raises TextError."""
        with self._lock:
            text = self._encoded(reading)
            ids = text.ids[max(0, begin) : max(0, begin) + length]
            return text.vocabulary.decode(ids)

    def parts(self, reading: Reading) -> tuple[Vocabulary, Split]:
        """The symbols that are learned and those kept back, not loaded. Raises TextError."""
        with self._lock:
            text = self._encoded(reading)
        if reading.validation is not None:
            return text.vocabulary, Split(text.ids, None)
        return text.vocabulary, split(text.ids, reading.validation_fraction)

    def _encoded(self, reading: Reading) -> EncodedText:
        key = reading.stamp
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        if reading.is_gone:
            raise TextError(
                "the run learned its text from standard input or a pipe, which tell it once: "
                "bring it in as a file to look at it"
            )
        decompression = Decompression.of(reading.decompress, reading.max_decompressed)
        sources = find_sources(
            reading.names, encoding=reading.encoding, decompress=decompression.enabled
        )
        with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
            text = encode_sources(
                sources,
                vocabulary=reading.kind,
                folder=Path(folder),
                encoding=reading.encoding,
                newlines=reading.newlines,
                decompression=decompression,
            )
        self._open[key] = text
        _shorten(self._open, KEPT_OPEN)
        return text

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
        folder = self._workspace.texts
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=PARTIAL, dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:

                def finish() -> str:
                    file.close()
                    with _told_of(temporary, name):
                        if not is_utf8 or _is_compressed(Path(temporary)):
                            _to_utf8(Path(temporary), encoding, self._largest)
                        _check(Path(temporary))
                    with self._lock:
                        kept = self._workspace.free_text(name)
                        Path(temporary).chmod(0o644)
                        Path(temporary).rename(kept)
                    return kept.name

                yield file, finish
        finally:
            Path(temporary).unlink(missing_ok=True)


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


def _to_utf8(path: Path, encoding: str, largest: int) -> None:
    """Write a text again in UTF-8, of what is compressed what it holds.

    Raises TextError if it is not in the encoding, or holds more bytes than allowed.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            sources = find_sources([str(path)], encoding=encoding)
            limit = Decompression(limit=largest)
            for text in read_text(sources, encoding, "keep", decompression=limit):
                file.write(text.encode())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextlib.contextmanager
def _told_of(path: str, name: str) -> Iterator[None]:
    """Within, errors speak of a text by its own name."""
    try:
        yield
    except TextError as error:
        raise TextError(str(error).replace(path, name)) from error


def _shorten(cache: OrderedDict[Any, Any], most: int) -> None:
    while len(cache) > most:
        cache.popitem(last=False)


def _facts(text: EncodedText, reading: Reading) -> dict[str, Any]:
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
