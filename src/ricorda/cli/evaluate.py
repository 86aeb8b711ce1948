"""`ricorda evaluate`: how well a model predicts a text."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ricorda.cli.documents import (
    DocumentOptions,
    KnownLabels,
    document_options,
    read_documents,
)
from ricorda.cli.models import load_model
from ricorda.cli.options import PathName, adaptive_option, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_paragraph
from ricorda.cli.texts import GivenReading, reading_options
from ricorda.errors import ConfigurationError
from ricorda.pages import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ricorda.engine import Figures
    from ricorda.text.unseen import Gap

MOST_SHOWN = 10
"""Places of unseen characters that are shown."""

LONGEST_SHOWN = 20
"""Characters of one place that are shown."""


@click.command()
@click.argument("model", type=PathName())
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option(
    "--window",
    type=whole_number(at_least=1),
    help="Reset the state every N symbols, to compare with models of a fixed context. By default "
    "the state is carried through the whole text.",
)
@adaptive_option
@document_options(labels=True)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path,
    texts: tuple[str, ...],
    window: int | None,
    adaptive: bool,
    division: DocumentOptions,
    reading: GivenReading,
    as_json: bool,
) -> None:
    """Measure how well MODEL predicts TEXT: bits and nats per character, bits per byte.

    Every symbol of an undivided text is predicted once, except the first. For a model of documents,
    TEXT is divided as in training. The first symbol and the end of each document are predicted too,
    so the result does not depend on the order of the documents. For documents with labels, the
    command also measures how often `ricorda classify` predicts the right label.

    Characters that the model never saw have no probability. They are counted and excluded, each
    with the character after it. The first places where they occur are printed.

    With --adaptive, a copy of MODEL reads the text, learns from each symbol after predicting it,
    and counts what the text repeats. MODEL itself is not changed. Compare such figures only with
    other adaptive figures.

    \b
    ricorda evaluate runs/my other.txt
    ricorda evaluate runs/my other.txt --window 256
    ricorda evaluate runs/my other.txt --adaptive
    ricorda evaluate runs/names other.txt --lines
    """
    trained = load_model(model)
    if trained.vocabulary.boundary is None:
        if division != DocumentOptions():
            raise ConfigurationError(
                "--lines, --field and labels are for a model of documents, but this one learned an "
                "undivided text: leave them out"
            )
        pieces = reading.reader_for(trained).symbols(texts, trained.vocabulary)
        figures = trained.evaluate(pieces, window, on_unknown="skip", adaptive=adaptive)
    else:
        labels = KnownLabels(trained)
        documents = read_documents(trained, texts, reading, division)
        pairs = ((each.text, labels.label(each)) for _, each in documents)
        figures = trained.evaluate(pairs, window, on_unknown="skip", adaptive=adaptive)
        labels.report()
    if as_json:
        print_json(figures.as_json())
    else:
        _print(figures, window)


def _places(gaps: "Sequence[Gap]") -> str:
    """Say where unseen characters stand: after how many symbols, of which document."""
    shown = [
        f"after symbol {gap.before:,}"
        + ("" if gap.document is None else f" of document {gap.document:,}")
        + f" {gap.characters[:LONGEST_SHOWN]!r}"
        for gap in gaps[:MOST_SHOWN]
    ]
    more = "" if len(gaps) <= MOST_SHOWN else ", and further on (--json has more)"
    return ", ".join(shown) + more


def _print(figures: "Figures", window: int | None) -> None:
    """Print the figures in lines."""
    say(f"{figures.bits_per_character:.4f} bits per character")
    say(f"{figures.nats_per_character:.4f} nats per character")
    say(f"{figures.bits_per_byte:.4f} bits per byte")
    say(f"{figures.perplexity:.4f} perplexity")
    counts = f"{plural(figures.characters, 'character')}, {plural(figures.bytes, 'byte')}"
    learned = "; adaptive: the reader learned from the text" * (figures.protocol == "adaptive")
    if figures.documents is not None:
        print_paragraph(f"{plural(figures.documents, 'document')}, {counts}{learned}")
    else:
        state = "state carried through the text" if window is None else f"windows of {window:,}"
        print_paragraph(f"{counts}; {state}{learned}")
    if figures.unseen:
        print_paragraph(
            f"not counted: {plural(figures.unseen, 'character')} that the model never saw, "
            f"and {figures.left_out:,} that follow them"
        )
        print_paragraph(f"positions: {_places(figures.gaps)}")
    if figures.accuracy is not None:
        print_paragraph(
            f"predicted label right for {figures.accuracy.overall:.1%} of "
            f"{plural(figures.accuracy.documents, 'document')}; mean over labels "
            f"{figures.accuracy.mean_over_labels:.1%}"
        )
