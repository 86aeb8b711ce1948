"""The documents of a command's texts, and the options that say what a document is."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import click

from ricorda.cli.options import Command
from ricorda.cli.output import say
from ricorda.cli.texts import GivenReading
from ricorda.text.unseen import quoted

if TYPE_CHECKING:
    from ricorda.engine import Model

SHOWN = 60
"""Characters of a document that are shown in a terminal."""


@dataclass(frozen=True)
class ReadDocument:
    """A document of a text."""

    number: int
    """Its number in the texts, from 1."""

    text: str | bytes

    label: str | None = None
    """Its label, if the texts have labels."""

    @property
    def shown(self) -> str:
        """The document as text."""
        if isinstance(self.text, bytes):
            return self.text.decode("utf-8", "replace")
        return self.text


def lines_option(command: Command) -> Command:
    """Give a command the option --lines."""
    decorate: Callable[[Any], Any] = click.option(
        "--lines", is_flag=True, help="Each line is a document; empty lines are left out."
    )
    return decorate(command)  # type: ignore[no-any-return]


def read_documents(
    model: "Model", names: Sequence[str], reading: GivenReading, *, lines: bool = False
) -> Iterator[ReadDocument]:
    """Read texts as documents: as the model's own text was read, or each line.

    Raises TextError where a text cannot be read or decoded.
    """
    pieces = reading.reader_for(model).symbols(names, model.vocabulary)
    for number, line in enumerate(_lines(pieces), 1):
        yield ReadDocument(number, line)


def read_whole(model: "Model", name: str, reading: GivenReading) -> ReadDocument:
    """Read a text as one document. Raises TextError where it cannot be read or decoded."""
    pieces = list(reading.reader_for(model).symbols((name,), model.vocabulary))
    if pieces and isinstance(pieces[0], bytes):
        return ReadDocument(1, b"".join(cast(list[bytes], pieces)))
    return ReadDocument(1, "".join(cast(list[str], pieces)))


def _lines(pieces: Iterable[str | bytes]) -> Iterator[str | bytes]:
    """Cut a text into lines without their ends; empty ones are left out."""
    held: Any = None
    for piece in pieces:
        *complete, held = (piece if held is None else held + piece).split(_line_end(piece))
        yield from filter(None, map(_without_return, complete))
    if held:
        yield _without_return(held)


def _line_end(piece: Any) -> Any:
    return b"\n" if isinstance(piece, bytes) else "\n"


def _without_return(line: Any) -> Any:
    return line.removesuffix(b"\r" if isinstance(line, bytes) else "\r")


class KnownLabels:
    """Takes the labels of documents that a model has, and counts the others."""

    def __init__(self, model: "Model") -> None:
        self._labels = set(model.vocabulary.labels)
        self._unknown: Counter[str] = Counter()

    def label(self, document: ReadDocument) -> str | None:
        """The document's label if the model has it."""
        if document.label is None or not self._labels or document.label in self._labels:
            return document.label if self._labels else None
        self._unknown[document.label] += 1
        return None

    def report(self) -> None:
        """Say on standard error which labels the model lacks, if there were any."""
        if self._unknown:
            say(
                f"read {self._unknown.total():,} documents without their label, which the model "
                f"does not have: {quoted(self._unknown)}",
                err=True,
            )


def shortened(text: str) -> str:
    """The beginning of a document on one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "\N{HORIZONTAL ELLIPSIS}"
