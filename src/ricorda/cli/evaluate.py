"""`ricorda evaluate`: how well a model predicts a text."""

from pathlib import Path

import click

from ricorda.cli.models import load_model
from ricorda.cli.options import PathName, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.texts import Skipped, reading_options
from ricorda.text import TextReader


@click.command()
@click.argument("model", type=PathName())
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option(
    "--window",
    type=whole_number(at_least=1),
    help="Start from nothing every so many symbols, as models with windows are scored; "
    "by default the state is carried through the whole text.",
)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path,
    texts: tuple[str, ...],
    window: int | None,
    reader: TextReader,
    as_json: bool,
) -> None:
    """Say how well MODEL predicts TEXT: nats and bits per character, bits per byte.

    Every symbol but the first is predicted once. Characters that the model never saw have no
    probability: they are left out, and told.

    \b
    ricorda evaluate runs/my other.txt
    ricorda evaluate runs/my other.txt --window 256
    """
    trained = load_model(model)
    skipped = Skipped(trained.vocabulary)
    pieces = reader.symbols(texts, trained.vocabulary)
    figures = trained.evaluate(skipped.watch(pieces), window, on_unknown="skip").as_json()
    skipped.tell()
    if as_json:
        print_json(figures)
        return
    say(f"{figures['nats_per_character']:.4f} nats per character")
    say(f"{figures['bits_per_character']:.4f} bits per character")
    say(f"{figures['bits_per_byte']:.4f} bits per byte")
    say(f"{figures['perplexity']:.4f} perplexity")
    say(f"{figures['characters']:,} characters, {figures['bytes']:,} bytes, {figures['protocol']}")
