"""The vocabulary of bytes."""

import codecs
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricorda.arguments import checked
from ricorda.errors import VocabularyError
from ricorda.text.vocabulary import (
    BOUNDARY_LABEL,
    Decoder,
    Ids,
    OnUnknown,
    Vocabulary,
    blocks,
    readable,
    unknown_symbols_error,
)

_UNWRITABLE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class ByteVocabulary(Vocabulary):
    """The 256 bytes of UTF-8 text, or of anything; an id is the byte's value."""

    kind = "bytes"
    keys = frozenset({"kind", "start"})

    def __init__(
        self, start: int, *, has_boundary: bool = False, labels: Sequence[str] = ()
    ) -> None:
        """Start generation from the byte `start`. Raises VocabularyError if it is no byte."""
        if not isinstance(start, int) or isinstance(start, bool) or not 0 <= start < 256:
            raise VocabularyError(f"expected a start byte from 0 to 255, but it is {start!r}")
        self.size = 256
        self.start = self.first = start
        self._divide(has_boundary, labels)

    @checked
    def encode(self, text: str, on_unknown: OnUnknown = "error") -> Ids:
        """Return the UTF-8 bytes (T,) of a text.

        Bytes of a command line that were not UTF-8 come back as they were (PEP 383). Other lone
        surrogates cannot be written in UTF-8: they are an error or left out.
        """
        unwritable = _UNWRITABLE.findall(text)
        if unwritable and on_unknown == "error":
            raise unknown_symbols_error(self.unknown(text), len(unwritable))
        writable = _UNWRITABLE.sub("", text) if unwritable else text
        return np.frombuffer(writable.encode("utf-8", "surrogateescape"), np.uint8)

    @checked
    def unknown_places(self, text: str) -> NDArray[np.int64]:
        """Return where the lone surrogates of a text stand, (n,), in ascending order."""
        return np.array([found.start() for found in _UNWRITABLE.finditer(text)], np.int64)

    def decode(self, ids: ArrayLike) -> str:
        """Return the text of bytes (T,), with U+FFFD for what is not UTF-8."""
        return self._text_ids(ids).astype(np.uint8).tobytes().decode("utf-8", "replace")

    def decoder(self) -> Decoder:
        """Return a decoder for bytes that come one after another."""
        return _ByteDecoder(self)

    def label(self, id: int) -> str:
        r"""Return a byte as a person may read it: `e`, but `\n` and `\xe9` spelled out."""
        if id == self.boundary:
            return BOUNDARY_LABEL
        value = int(self._checked([id])[0])
        return readable(chr(value)) if value < 128 else f"\\x{value:02x}"

    def count(self, ids: ArrayLike) -> tuple[int, int]:
        """Return how many (characters, bytes) there are: a character at each byte but 10xxxxxx."""
        array = self._text_ids(ids)
        return sum(map(count_characters, blocks(array))), array.size

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` needs to build the same vocabulary."""
        return {"kind": self.kind, "start": self.first} | self._division_json()

    def widths(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return 1 for each of ids (T,) that begins a character, else 0."""
        array = self._checked(ids)
        begins: NDArray[np.bool_] = ((array & 0xC0) != 0x80) & (array < 256)
        return begins.astype(np.int64)

    @classmethod
    def from_description(cls, description: dict[str, Any], **options: Any) -> "ByteVocabulary":
        """Build the vocabulary that `to_json` described."""
        return cls(description["start"], **options)


class _ByteDecoder(Decoder):
    def __init__(self, vocabulary: ByteVocabulary) -> None:
        super().__init__(vocabulary)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def pending(self) -> str:
        return self._utf8.getstate()[0].decode("utf-8", "replace")

    def decode(self, ids: ArrayLike) -> str:
        return self._utf8.decode(self._vocabulary._text_ids(ids).astype(np.uint8).tobytes())

    def finish(self) -> str:
        return self._utf8.decode(b"", final=True)


def count_characters(data: NDArray[np.integer[Any]]) -> int:
    """Count the characters that begin in UTF-8 bytes (T,): all but continuation bytes."""
    return int(np.count_nonzero((data & 0xC0) != 0x80))
