"""Read texts as in training, without encoding them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ricorda.text.prompts import PromptReader
from ricorda.text.reading import Newlines, read_bytes, read_text
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.sources import Sources, find_sources
from ricorda.text.vocabulary import Vocabulary

DEFAULTS = ReadingSettings()


@dataclass(frozen=True)
class TextReader:
    """Reads the files that arguments name."""

    settings: ReadingSettings = DEFAULTS

    def text(self, names: Sequence[str]) -> Iterator[str]:
        """Read files, folders and patterns as one text, in pieces of bounded size.

        Raises TextError where a text cannot be read or decoded.
        """
        settings = self.settings
        return read_text(
            self._found(names),
            settings.encoding or "utf-8",
            settings.line_ends("characters"),
            decompression=settings.decompression,
        )

    def data(self, names: Sequence[str]) -> Iterator[bytes]:
        """Read them as bytes: as they are, or what is decoded in UTF-8. Raises TextError."""
        if self.settings.encoding is not None:
            return (text.encode() for text in self.text(names))
        ends: Newlines = self.settings.line_ends("bytes")
        return read_bytes(self._found(names), ends, decompression=self.settings.decompression)

    def symbols(self, names: Sequence[str], vocabulary: Vocabulary) -> Iterator[str | bytes]:
        """Read them as a vocabulary takes them. Raises TextError."""
        if vocabulary.kind == "bytes":
            return self.data(names)
        return self._known(names, vocabulary)

    def _known(self, names: Sequence[str], vocabulary: Vocabulary) -> Iterator[str]:
        """Spell characters in the form that the vocabulary has, if any."""
        reader = PromptReader(vocabulary, self.settings, drop_mark=False)
        for piece in self.text(names):
            yield reader.read(piece)
        yield reader.read("", final=True)

    def _found(self, names: Sequence[str]) -> Sources:
        settings = self.settings
        return find_sources(
            names, encoding=settings.encoding, decompress=settings.decompression.enabled
        )
