"""`ricorda evaluate`: how well a model predicts a text."""

from pathlib import Path

import click

from ricorda.cli.models import load_model
from ricorda.cli.options import PathName, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_paragraph
from ricorda.cli.texts import GivenReading, reading_options


@click.command()
@click.argument("model", type=PathName())
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option(
    "--window",
    type=whole_number(at_least=1),
    help="Reset the state every N symbols, as models with windows are scored; "
    "by default the state is carried through the whole text.",
)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path,
    texts: tuple[str, ...],
    window: int | None,
    reading: GivenReading,
    as_json: bool,
) -> None:
    """Measure how well MODEL predicts TEXT: bits and nats per character, bits per byte.

    Every symbol but the first is predicted once. Characters that the model never saw have no
    probability: they are counted and left out, each with the character after it.

    \b
    ricorda evaluate runs/my other.txt
    ricorda evaluate runs/my other.txt --window 256
    """
    trained = load_model(model)
    pieces = reading.reader_for(trained).symbols(texts, trained.vocabulary)
    figures = trained.evaluate(pieces, window, on_unknown="skip").as_json()
    if as_json:
        print_json(figures)
        return
    say(f"{figures['bits_per_character']:.4f} bits per character")
    say(f"{figures['nats_per_character']:.4f} nats per character")
    say(f"{figures['bits_per_byte']:.4f} bits per byte")
    say(f"{figures['perplexity']:.4f} perplexity")
    state = "state carried through the text" if window is None else f"windows of {window:,}"
    print_paragraph(f"{figures['characters']:,} characters, {figures['bytes']:,} bytes; {state}")
    if figures["unseen_characters"]:
        print_paragraph(
            f"not counted: {figures['unseen_characters']:,} characters that the model never saw, "
            f"and {figures['left_out']:,} that follow them"
        )
