"""`ricorda classify`: the label that explains each document best."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ricorda.cli.documents import (
    DocumentOptions,
    beginning,
    document_options,
    read_documents,
)
from ricorda.cli.models import load_model
from ricorda.cli.options import PathName, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.score_rows import print_csv, readable_text
from ricorda.cli.texts import GivenReading, reading_options
from ricorda.errors import ConfigurationError

if TYPE_CHECKING:
    from ricorda.engine import Classification, Model


@click.command()
@click.argument("model", type=PathName())
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option("--text", "given", multiple=True, help="Classify this text. May be repeated.")
@document_options()
@click.option(
    "--top",
    type=whole_number(at_least=1),
    default=3,
    help="Number of labels to print for each document.  [default: 3]",
)
@click.option(
    "--uniform",
    is_flag=True,
    help="Give all labels the same prior probability. By default it is their frequency in "
    "training.",
)
@reading_options
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per document.")
def command(
    model: Path,
    texts: tuple[str, ...],
    given: tuple[str, ...],
    division: DocumentOptions,
    top: int,
    uniform: bool,
    reading: GivenReading,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Predict the label of each document of TEXT and print the probabilities.

    MODEL must be trained on documents with labels. TEXT is a file, a folder, or - for standard
    input, and is divided into documents as in training. Characters that the model never saw are
    counted and excluded. `ricorda evaluate` measures how often the predicted label is right.

    \b
    ricorda classify runs/names --text Rossi
    ricorda classify runs/names names.txt --lines --csv
    """
    if not texts and not given:
        raise ConfigurationError("expected texts to classify, got none: give files or --text")
    if given and (texts or division.is_given or reading.is_given):
        raise ConfigurationError(
            "--text gives a document directly: leave out files and the options for reading them"
        )
    if as_csv and as_json:
        raise ConfigurationError("expected one of --csv and --json: leave out the other")
    trained = load_model(model)
    if given:
        read: Iterator[tuple[int, str]] = enumerate(given, 1)
    else:
        documents = read_documents(trained, texts, reading, division)
        read = ((number, document.text) for number, document in documents)
    rows = _classified(trained, read, uniform=uniform)
    if as_csv:
        print_csv(
            ("document", "label", "probability", "unseen_characters", "text"),
            (_as_json(number, text, found, top) for number, text, found in rows),
        )
        return
    for number, text, found in rows:
        if as_json:
            print_json(_as_json(number, text, found, top))
        else:
            _print(text, found, top)


def _classified(
    model: "Model", documents: Iterable[tuple[int, str]], *, uniform: bool
) -> "Iterator[tuple[int, str, Classification]]":
    """Classify numbered texts side by side, in order."""
    read, known = itertools.tee(documents)
    found = model.classify_documents(
        (text for _, text in read), prior="uniform" if uniform else "training", on_unknown="skip"
    )
    for classification, (number, text) in zip(found, known, strict=False):
        yield number, text, classification


def _as_json(number: int, text: str, found: "Classification", top: int) -> dict[str, Any]:
    best = found.most_likely(top)
    return {
        "document": number,
        "text": readable_text(text),
        "label": best[0][0],
        "probability": best[0][1],
        "labels": dict(best),
        "unseen_characters": found.unseen,
    }


def _print(text: str, found: "Classification", top: int) -> None:
    """A line: the labels with their probabilities, and the beginning of the document."""
    labels = ", ".join(f"{label} {chance:.2f}" for label, chance in found.most_likely(top))
    unseen = f"  ({found.unseen:,} never seen)" if found.unseen else ""
    text = beginning(readable_text(text), f"{labels}  {unseen}")
    say(f"{labels}  {text}{unseen}")
