"""Read later texts as the documents that a model's settings make of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from ricorda.arguments import checked
from ricorda.text.boundaries import LINE_FEED, MARK, Labels
from ricorda.text.division import Divider, Division, Row, label_of
from ricorda.text.prompts import respelled
from ricorda.text.reading import SourceReader
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.sources import Source
from ricorda.text.vocabulary import Vocabulary


class Document(NamedTuple):
    """A text that stands by itself."""

    text: str
    """As training would have read it. Bytes that are not UTF-8, which only a model of raw bytes
    takes, are lone surrogates as Python's `surrogateescape` makes them."""

    label: str | None
    """None without one."""

    source: Source

    number: int
    """Its number in the source, from 1; empty documents are not counted."""


@checked
def read_documents(
    sources: Sequence[Source],
    reading: ReadingSettings,
    *,
    vocabulary: Vocabulary | None = None,
    needs_label: bool = False,
) -> Iterator[Document]:
    """Read sources and yield their documents, one after another, as training divides them.

    Where nothing is divided (`documents="text"`), each source is one document. With the vocabulary
    of a model, text is read as the model reads it: as raw bytes, or with characters spelled in the
    Unicode form that it knows. needs_label: whether a table without the column of labels is an
    error; otherwise its documents have none. Memory grows with the largest document alone.

    Raises TextError where a source cannot be read, decoded or divided.
    """
    resolved = reading.resolved(sources)
    kind = "characters" if vocabulary is None else vocabulary.kind
    is_raw = resolved.takes_raw_bytes(kind)
    encoding = None if is_raw else resolved.encoding or "utf-8"
    with SourceReader(encoding, resolved.line_ends(kind), resolved.decompression) as reader:
        for source in sources:
            found = _documents_of(source, reader, resolved.division, needs_label)
            for number, row in enumerate(found, 1):
                if is_raw:
                    text = row.text.encode("latin-1").decode("utf-8", "surrogateescape")
                else:
                    text = row.text if vocabulary is None else respelled(row.text, vocabulary)
                yield Document(text, row.label, source, number)


def _documents_of(
    source: Source, reader: SourceReader, division: Division | None, needs_label: bool
) -> Iterator[Row]:
    if division is None:
        text = "".join(reader.text(source))
        return iter([Row(text, None)] if text else [])
    if division.kind == "rows":
        rows = reader.rows(source, division, needs_label=needs_label)
        return (row for row in rows if row.text)
    label = label_of(source, division.label_from)
    unlabelled = replace(division, label_from=None)
    divider = Divider(unlabelled, Labels(), keeps_line_ends=reader.keeps_line_ends)
    mark = LINE_FEED if unlabelled.marks_line_feeds else MARK
    return (Row(text, label) for text in _split(reader.marked(source, divider), mark))


def _split(pieces: Iterable[str], mark: str) -> Iterator[str]:
    """Yield documents that come in pieces, with a mark before each."""
    held: list[str] = []
    for piece in pieces:
        first, *others = piece.split(mark)
        held.append(first)
        for text in others:
            if any(held):
                yield "".join(held)
            held = [text]
    if any(held):
        yield "".join(held)
