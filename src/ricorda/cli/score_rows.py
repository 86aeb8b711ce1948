"""The rows of `ricorda score` and `ricorda classify`: one for each document."""

import csv
import io
import itertools
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ricorda.cli.documents import beginning
from ricorda.cli.output import print_json, say

if TYPE_CHECKING:
    from ricorda.engine import Figures, Model

Order = Literal["bits", "nats"]

CSV_COLUMNS = (
    "document", "label", "text", "characters", "nats", "bits_per_character",
    "unseen_characters", "left_out",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A document and how well it was predicted under a label."""

    number: int
    text: str
    label: str | None
    figures: "Figures"

    @property
    def bits(self) -> float:
        """Bits per character; NaN without characters that count."""
        return self.figures.bits_per_character

    def as_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        figures = self.figures
        return {
            "document": self.number,
            **({} if self.label is None else {"label": self.label}),
            "text": readable_text(self.text),
            "characters": figures.characters,
            "nats": figures.nats,
            "bits_per_character": None if math.isnan(self.bits) else self.bits,
            "unseen_characters": figures.unseen,
            "left_out": figures.left_out,
            **({"unseen": [gap.as_json() for gap in figures.gaps]} if figures.gaps else {}),
            **({"protocol": "adaptive"} if figures.protocol == "adaptive" else {}),
        }


def scored_rows(
    model: "Model",
    documents: Iterable[tuple[int, str, str | None]],
    *,
    label: str | None = None,
    by_label: bool = False,
    adaptive: bool = False,
) -> Iterator[Row]:
    """Score documents, each (number, text, own label), under a label, each label, or their own."""
    read, known = itertools.tee(
        (number, text, each)
        for number, text, own in documents
        for each in (model.vocabulary.labels if by_label else [label or own])
    )
    pairs = ((text, each) for _, text, each in read)
    scored = model.score_documents(pairs, on_unknown="skip", adaptive=adaptive)
    for figures, (number, text, each) in zip(scored, known, strict=False):
        yield Row(number, text, each, figures)


def readable_text(text: str) -> str:
    """A text without the surrogates that stand for bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def in_order(rows: Iterable[Row], order: Order | None, *, ascending: bool) -> Iterable[Row]:
    """Sort rows by a figure, the highest first unless ascending; those without it come last."""
    if order is None:
        return rows

    def key(row: Row) -> tuple[bool, float]:
        figure = row.bits if order == "bits" else row.figures.nats
        if row.figures.characters == 0:
            return True, 0.0
        return False, figure if ascending else -figure

    return sorted(rows, key=key)


def print_rows(rows: Iterable[Row], *, as_json: bool, as_csv: bool, adaptive: bool = False) -> None:
    """Print rows as they come: as JSON lines, CSV, or a table; adaptive ones say so."""
    if as_csv:
        columns = (*CSV_COLUMNS, "protocol") if adaptive else CSV_COLUMNS
        print_csv(columns, (row.as_json() for row in rows))
        return
    if not as_json:
        say("  bits      nats  document" + ("  (adaptive)" if adaptive else ""))
    for row in rows:
        if as_json:
            print_json(row.as_json())
            continue
        bits = "" if math.isnan(row.bits) else f"{row.bits:.2f}"
        label = "" if row.label is None else f"{row.label}: "
        unseen = f"  ({row.figures.unseen:,} never seen)" if row.figures.unseen else ""
        figures = f"{bits:>6}  {row.figures.nats:>8.2f}  {label}"
        text = beginning(readable_text(row.text), figures + unseen)
        say(f"{figures}{text}{unseen}")


def print_csv(columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
    """Print rows as CSV under a heading; a value that is missing is empty."""
    line = io.StringIO()
    writer = csv.DictWriter(line, list(columns), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        _flush_line(line)
        writer.writerow({name: "" if value is None else value for name, value in row.items()})
    _flush_line(line)
    sys.stdout.flush()


def _flush_line(line: io.StringIO) -> None:
    say(line.getvalue().removesuffix("\n"))
    line.seek(0)
    line.truncate()
