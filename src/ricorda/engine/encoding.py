"""Texts that are given to a model, as the ids that its network reads."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np

from ricorda.arguments import unfit
from ricorda.engine.backend import Ids
from ricorda.engine.documents import Document
from ricorda.engine.labels import label_number
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.decoding import StrictDecoder
from ricorda.text.parts import Part
from ricorda.text.prompts import PromptReader
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.unseen import Unseen
from ricorda.text.vocabulary import OnUnknown, Vocabulary

CHARACTERS_AT_ONCE = 2**20

DocumentText: TypeAlias = str | bytes | Ids | tuple[str | bytes | Ids, str | None]
"""A document as characters, UTF-8 or ids, or a pair of it and its label."""

TextOrDocuments: TypeAlias = str | bytes | Ids | Part | Iterable[DocumentText]
"""A text, a part of an encoded text, the pieces of a text, or documents."""


class TextEncoder:
    """Encodes texts, read as training read its own; records the characters that are left out."""

    def __init__(self, vocabulary: Vocabulary, reading: ReadingSettings) -> None:
        """Take a model's symbols, and how its text was read."""
        self._vocabulary = vocabulary
        self._reading = reading

    def documents_of(
        self,
        text: TextOrDocuments,
        on_unknown: OnUnknown,
        unseen: Unseen,
    ) -> Iterator[Document]:
        """Encode a document, many documents, or those of a part of an encoded text."""
        if isinstance(text, Part):
            numbers = np.zeros(text.segments, np.uint32)
            if text.label_numbers is not None:
                numbers = text.label_numbers
            return map(Document, text.documents(), numbers.tolist())
        if isinstance(text, np.ndarray):
            return map(Document, self._divided(text))
        documents = [text] if isinstance(text, str | bytes) else text
        return self.documents(documents, on_unknown, unseen)

    def _divided(self, ids: Ids) -> Iterator[Ids]:
        """Divide ids (n,) at their boundaries; none is needed before the first and after the last
        document."""
        places = np.flatnonzero(ids == self._vocabulary.boundary).tolist()
        begins = [each + 1 for each in places]
        if not places or places[0] > 0:
            begins.insert(0, 0)
        if begins[-1] == len(ids) and len(begins) > 1:
            begins.pop()
        ends = [each for each in [*places, len(ids)] if each >= begins[0]]
        return (ids[begin:end] for begin, end in zip(begins, ends, strict=False))

    def documents(
        self, documents: Iterable[DocumentText], on_unknown: OnUnknown, unseen: Unseen
    ) -> Iterator[Document]:
        """Encode documents, read as training read its own; record what is left out of all."""
        for place, given in enumerate(documents, 1):
            text, label = given if isinstance(given, tuple) else (given, None)
            number = label_number(self._vocabulary, label)
            own = Unseen()
            ids = self.encode([text], on_unknown, own)
            unseen.add(own, place)
            yield Document(ids, number, tuple(own.gaps))

    def encode(
        self, pieces: Iterable[str | bytes | Ids], on_unknown: OnUnknown, unseen: Unseen
    ) -> Ids:
        """Return the ids (T,) of a text that comes in pieces; record what is left out."""
        found = [piece for piece in self.pieces(pieces, on_unknown, unseen) if len(piece)]
        return np.concatenate(found) if found else self._vocabulary.encode("")

    def text(self, given: str | bytes) -> str:
        """A text of characters; bytes are UTF-8, or anything in a model of bytes."""
        if isinstance(given, str):
            return given
        if isinstance(self._vocabulary, ByteVocabulary):
            return given.decode("utf-8", "surrogateescape")
        return StrictDecoder("the text", "utf-8").decode(given, final=True)

    def pieces(
        self, pieces: Iterable[str | bytes | Ids], on_unknown: OnUnknown, unseen: Unseen
    ) -> Iterator[Ids]:
        """Turn a text, read as training read its own, into ids; record what is left out."""
        for piece in self._read_pieces(pieces):
            if len(piece) == 0:
                continue
            if isinstance(piece, str):
                yield unseen.encode(self._vocabulary, piece, on_unknown)
            else:
                unseen.symbols += len(piece)
                yield piece

    def _read_pieces(self, pieces: Iterable[str | bytes | Ids]) -> Iterator[str | Ids]:
        """Read the pieces of a text as training did; bytes for a model of bytes become ids."""
        by_bytes = isinstance(self._vocabulary, ByteVocabulary)
        utf8 = StrictDecoder("the text", "utf-8")
        text, data = (PromptReader(self._vocabulary, self._reading) for _ in range(2))
        for piece in pieces:
            if isinstance(piece, np.ndarray):
                yield text.read("", final=True)
                yield piece
            elif isinstance(piece, str):
                for begin in range(0, len(piece), CHARACTERS_AT_ONCE):
                    yield text.read(piece[begin : begin + CHARACTERS_AT_ONCE])
            elif not isinstance(piece, bytes):
                expected = "text, bytes or an array of whole numbers"
                raise unfit("a piece of the text", expected, piece)
            elif by_bytes:
                yield np.frombuffer(data.read_bytes(piece), np.uint8)
            else:
                yield text.read(utf8.decode(piece))
        if by_bytes:
            yield np.frombuffer(data.read_bytes(b"", final=True), np.uint8)
        yield text.read(utf8.decode(b"", final=True), final=True)
