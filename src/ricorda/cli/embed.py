"""`ricorda embed`: a vector for each text."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click
from numpy.lib.format import write_array_header_1_0

from ricorda.cli.documents import (
    DocumentOptions,
    NumberedDocument,
    document_options,
    read_documents,
)
from ricorda.cli.models import load_model
from ricorda.cli.options import PathName
from ricorda.cli.output import print_json, say
from ricorda.cli.score_rows import readable_text
from ricorda.cli.texts import GivenReading, reading_options
from ricorda.durable import replacing
from ricorda.engine.embedding import VectorKind, as_list, vector_size
from ricorda.engine.labels import label_number
from ricorda.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from ricorda.engine import Embedding, Model


class Row(NamedTuple):
    """A document and its vector."""

    number: int
    text: str
    label: str | None
    embedding: "Embedding"

    def as_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        gaps = self.embedding.gaps
        return {
            "document": self.number,
            **({} if self.label is None else {"label": self.label}),
            "text": readable_text(self.text),
            "vector": as_list(self.embedding.vector),
            **({"unseen": [gap.as_json() for gap in gaps]} if gaps else {}),
        }


@click.command()
@click.argument("model", type=PathName())
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@document_options(labels=True)
@click.option(
    "--vector",
    "kind",
    type=click.Choice(["hidden", "layers", "state"]),
    default="hidden",
    help="Part of the state: the hidden state of the last layer, of all layers, or the whole "
    "state, with the cells of an LSTM or CIFG.  [default: hidden]",
)
@click.option("--normalize", is_flag=True, help="Give each vector the length 1.")
@click.option("--label", help="Read each document under this label. By default under none.")
@click.option(
    "--out",
    type=PathName(),
    help="File to write, by its name a NumPy array (.npy), a table (.csv) or JSON lines (.jsonl). "
    "By default JSON lines are printed.",
)
@reading_options
def command(
    model: Path,
    texts: tuple[str, ...],
    division: DocumentOptions,
    kind: VectorKind,
    normalize: bool,
    label: str | None,
    out: Path | None,
    reading: GivenReading,
) -> None:
    """Compute a vector for each document of TEXT: the network's state after it.

    TEXT is a file, a folder, or - for standard input, and is divided into documents as in training
    unless --lines or --field is given. Each document is read from its beginning. Documents that
    resemble each other for the network have similar vectors.

    --label-field and --label-from print the label of each document beside its vector; the network
    does not read it. Characters that the model never saw are left out and reported.

    \b
    ricorda embed runs/names names.txt --lines --out names.npy
    ricorda embed runs/reviews reviews.csv --field text --label-field stars --out reviews.csv
    """
    write = None if out is None else _writer(out)
    trained = load_model(model)
    label_number(trained.vocabulary, label)
    found = read_documents(trained, texts, reading, division, output=out)
    rows = _rows(trained, found, label=label, kind=kind, normalize=normalize)
    if out is None or write is None:
        for row in rows:
            print_json(row.as_json())
        return
    size = vector_size(trained.configuration, kind)
    try:
        with replacing(out) as file:
            count = write(file, rows, size)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    say(f"wrote {out}: {count:,} vectors of {size:,} numbers", err=True)


def _rows(
    model: "Model",
    documents: Iterable[NumberedDocument],
    *,
    label: str | None,
    kind: VectorKind,
    **options: Any,
) -> Iterator[Row]:
    """Compute the vectors of documents, side by side, in order; report what is left out."""
    read, known = itertools.tee(documents)
    pairs = ((document.text, label) for _, document in read)
    left_out = 0
    found = model.embed_documents(pairs, vector=kind, on_unknown="skip", **options)
    for embedding, (number, document) in zip(found, known, strict=False):
        left_out += embedding.unseen
        yield Row(number, document.text, document.label, embedding)
    if left_out:
        characters = "character" if left_out == 1 else "characters"
        say(f"left out {left_out:,} {characters} that the model never saw", err=True)


Write = Callable[[IO[bytes], Iterable[Row], int], int]
"""Writes rows with vectors of a size to a file, and returns how many there were."""


def _writer(out: Path) -> Write:
    """Return what writes a file of this name. Raises ConfigurationError for another name."""
    writers = {".npy": _write_array, ".csv": _write_table, ".jsonl": _write_lines}
    if out.suffix.lower() not in writers:
        raise ConfigurationError(f"--out must end with {', '.join(writers)}, got {out}")
    return writers[out.suffix.lower()]


def _write_array(file: IO[bytes], rows: Iterable[Row], size: int) -> int:
    """Write an array (N, D) of float32 as numpy.load reads it; N is known at the end.

    NumPy pads the header, so that it has one length for any N.
    """
    count = 0
    header = {"descr": "<f4", "fortran_order": False}
    write_array_header_1_0(file, header | {"shape": (count, size)})
    for row in rows:
        file.write(row.embedding.vector.astype("<f4").tobytes())
        count += 1
    file.seek(0)
    write_array_header_1_0(file, header | {"shape": (count, size)})
    return count


def _write_table(file: IO[bytes], rows: Iterable[Row], size: int) -> int:
    """Write CSV: document, label, text, and a column for each number of the vector."""
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["document", "label", "text", *range(size)])
    count = 0
    for row in rows:
        numbers = as_list(row.embedding.vector)
        writer.writerow([row.number, row.label, readable_text(row.text), *numbers])
        count += 1
    text.detach()
    return count


def _write_lines(file: IO[bytes], rows: Iterable[Row], size: int) -> int:
    """Write a JSON object for each document."""
    count = 0
    for row in rows:
        line = json.dumps(row.as_json(), ensure_ascii=False, allow_nan=False)
        file.write(line.encode() + b"\n")
        count += 1
    return count
