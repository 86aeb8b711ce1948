"""Texts as a model takes them: the same choices as in training, without encoding them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ricorda.text.compression import Decompression
from ricorda.text.reading import PLAIN, Newlines, read_bytes, read_text
from ricorda.text.sources import find_sources
from ricorda.text.vocabulary import ByteVocabulary, Vocabulary


@dataclass(frozen=True)
class TextReader:
    """How texts are read."""

    encoding: str | None = None
    """None for UTF-8, or for bytes as they are."""

    newlines: Newlines | Literal["auto"] = "auto"
    """With auto, line ends become LF wherever text is decoded."""

    decompression: Decompression = PLAIN
    """What is done with compressed files."""

    def text(self, names: Sequence[str]) -> Iterator[str]:
        """Read files, folders and patterns as one text, in pieces of bounded size.

        Raises TextError where a text cannot be read or decoded.
        """
        sources = find_sources(names, encoding=self.encoding, decompress=self.decompression.enabled)
        ends: Newlines = "keep" if self.newlines == "keep" else "normalise"
        encoding = self.encoding or "utf-8"
        return read_text(sources, encoding, ends, decompression=self.decompression)

    def data(self, names: Sequence[str]) -> Iterator[bytes]:
        """Read them as bytes: as they are, or what is decoded in UTF-8. Raises TextError."""
        if self.encoding is not None:
            return (text.encode() for text in self.text(names))
        sources = find_sources(names, decompress=self.decompression.enabled)
        ends: Newlines = "normalise" if self.newlines == "normalise" else "keep"
        return read_bytes(sources, ends, decompression=self.decompression)

    def symbols(self, names: Sequence[str], vocabulary: Vocabulary) -> Iterator[str | bytes]:
        """Read them as a vocabulary takes them. Raises TextError."""
        if isinstance(vocabulary, ByteVocabulary):
            return self.data(names)
        return self.text(names)
