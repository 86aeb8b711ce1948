"""The documents of a command's texts, and the options that say what a document is."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.cells import cell_len

from ricorda.cli.options import Command
from ricorda.cli.output import say
from ricorda.cli.tables import terminal_width
from ricorda.cli.texts import GivenReading
from ricorda.durable import check_output
from ricorda.errors import ConfigurationError, TextError
from ricorda.text import Document
from ricorda.text import read_documents as read_sources
from ricorda.text.file_names import displayed
from ricorda.text.unseen import quoted
from ricorda.training.report.progress import shortened

if TYPE_CHECKING:
    from ricorda.engine import Model

SHOWN = 60
"""Characters of a document that are shown at most."""

LEAST_SHOWN = 12
"""Characters of a document that are shown in the narrowest terminal."""

NumberedDocument = tuple[int, Document]
"""The number of a document in all texts, from 1, and the document."""


@dataclass(frozen=True)
class DocumentOptions:
    """What a command takes for a document, where not as the model's own text was divided."""

    lines: bool = False
    """Each line."""

    field: str | None = None
    """Each row of a table: its column with the text."""

    label_field: str | None = None
    """The column with the label."""

    label_from: Literal["folder", "file"] | None = None
    """Take the label from the name of the folder or the file."""

    def __post_init__(self) -> None:
        if self.lines and self.field is not None:
            raise ConfigurationError("expected one of --lines and --field: leave out the other")

    @property
    def is_given(self) -> bool:
        """Whether documents are lines or rows of a table."""
        return self.lines or self.field is not None


def document_options(*, labels: bool = False) -> Callable[[Command], Command]:
    """Give a command --lines and --field, with `labels` also those of labels.

    The command gets them as `division`, a DocumentOptions.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_division(**options: Any) -> Any:
            names = ["lines", "field", *(["label_field", "label_from"] if labels else [])]
            given = {name: options.pop(name) for name in names}
            return command(division=DocumentOptions(**given), **options)

        options: list[Any] = [
            click.option(
                "--lines", is_flag=True, help="Read each line as a document; skip empty lines."
            ),
            click.option(
                "--field",
                metavar="NAME",
                help="Read each row of a table (CSV, TSV, JSONL) as a document. NAME is the column "
                "with the text, by name or number from 1.",
            ),
        ]
        if labels:
            options += [
                click.option(
                    "--label-field",
                    metavar="NAME",
                    help="Column that holds the label of each document.",
                ),
                click.option(
                    "--label-from",
                    type=click.Choice(["folder", "file"]),
                    help="Take the label of each document from the name of its folder or its file.",
                ),
            ]
        for option in reversed(options):
            with_division = option(with_division)
        return with_division  # type: ignore[return-value]

    return decorate


def read_documents(
    model: "Model",
    names: Sequence[str],
    reading: GivenReading,
    division: DocumentOptions = DocumentOptions(),
    *,
    output: Path | None = None,
) -> Iterator[NumberedDocument]:
    """Read texts as documents: divided as the model's own text was, or as the options say.

    output: a file that is written while the documents are read. Raises TextError where a text
    cannot be read, decoded or divided, or has no document, InputError if the output cannot be
    written or is a text.
    """
    settings = reading.reader_for(model).settings
    if division.is_given:
        settings = replace(
            settings,
            documents="lines" if division.lines else "rows",
            field=division.field,
            label_field=None,
            label_from=None,
        )
    if division.label_field is not None or division.label_from is not None:
        settings = replace(
            settings, label_field=division.label_field, label_from=division.label_from
        )
    sources = settings.find(names)
    if output is not None:
        check_output(output, sources.paths())
    return enumerate(read_sources(sources, settings, vocabulary=model.vocabulary), 1)


def read_whole(model: "Model", name: str, reading: GivenReading) -> str:
    """Read a file as one document. Raises TextError where it cannot be read or has no text."""
    settings = replace(
        reading.reader_for(model).settings,
        documents="files",
        field=None,
        label_field=None,
        label_from=None,
    )
    found = read_sources(settings.find((name,)), settings, vocabulary=model.vocabulary)
    document = next(found, None)
    if document is None:
        raise TextError(f"{displayed(name)} is empty: expected a text")
    return document.text


class KnownLabels:
    """Takes the labels of documents that a model has, and counts the others."""

    def __init__(self, model: "Model") -> None:
        self._labels = set(model.vocabulary.labels)
        self._unknown: Counter[str] = Counter()

    def label(self, document: Document) -> str | None:
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


def beginning(text: str, others: str) -> str:
    """Return the beginning of a document that fits on a terminal's line beside other words."""
    width = min(SHOWN, max(LEAST_SHOWN, terminal_width() - cell_len(others)))
    return shortened(" ".join(text[: 4 * SHOWN].split()), width)
