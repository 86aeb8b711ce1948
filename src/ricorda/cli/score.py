"""`ricorda score`: how surprising each character of a text is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ricorda.cli.evaluate import Skipped, pieces_for
from ricorda.cli.models import load_model
from ricorda.cli.output import print_json
from ricorda.errors import InputError
from ricorda.models.model_file import write_atomically

if TYPE_CHECKING:
    from ricorda.engine import Scores

ALTERNATIVES = 5


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("text")
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    help="Write a page that colours each character by its surprisal and shows the alternatives.",
)
@click.option("--encoding", help="The text's encoding where it is not UTF-8.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(model: Path, text: str, html: Path | None, encoding: str | None, as_json: bool) -> None:
    """Say how surprising each character of TEXT is to MODEL, in bits.

    TEXT is a file, or - for standard input. Without --html or --json a line is printed for each
    character: its surprisal and what the model thought likeliest instead.
    """
    if html is not None and html.is_dir():
        raise InputError(f"expected a file to write the page to, {html} is a folder")
    trained = load_model(model)
    skipped = Skipped(trained.vocabulary)
    pieces = skipped.watch(pieces_for(trained.vocabulary, (text,), encoding, "auto"))
    scores = trained.score(pieces, ALTERNATIVES, on_unknown="skip")
    skipped.tell()
    if html is not None:
        from ricorda.insight import surprisal_page

        write_atomically(
            html,
            surprisal_page(
                scores, title=Path(text).name if text != "-" else "standard input"
            ).encode(),
        )
        click.echo(f"wrote {html}", err=True)
    if as_json:
        print_json(_as_json(scores))
    elif html is None:
        _print_table(scores)


def _as_json(scores: "Scores") -> dict[str, Any]:
    """Every symbol with its nats and alternatives, and the figures of the whole."""
    nats = [None, *scores.nats[1:].tolist()]
    return {
        **scores.figures.as_json(),
        "symbols": list(scores.symbols),
        "nats": nats,
        "alternatives": [scores.alternatives(place) for place in range(len(nats))],
    }


def _print_table(scores: "Scores") -> None:
    """A line a symbol."""
    for place, symbol in enumerate(scores.symbols):
        bits = "     " if place == 0 else f"{scores.nats[place] / 0.6931471805599453:5.2f}"
        likeliest = "  ".join(
            f"{each} {probability:.2f}" for each, probability in scores.alternatives(place)
        )
        click.echo(f"{bits}  {symbol:<4}  {likeliest}".rstrip())
