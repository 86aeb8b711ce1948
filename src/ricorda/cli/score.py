"""`ricorda score`: how surprising each character of a text is."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.cells import cell_len

from ricorda.cli.heat import print_heat, shows_colours
from ricorda.cli.models import load_model
from ricorda.cli.options import PathName
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import terminal_width, visible
from ricorda.cli.texts import GivenReading, reading_options
from ricorda.durable import write_atomically
from ricorda.errors import InputError
from ricorda.text.vocabulary import readable

if TYPE_CHECKING:
    from ricorda.engine import Scores

ALTERNATIVES = 5


@click.command()
@click.argument("model", type=PathName())
@click.argument("text")
@click.option(
    "--html",
    type=PathName(),
    help="Write a page that colours each character by its surprisal and shows the alternatives.",
)
@click.option(
    "--table",
    is_flag=True,
    help="Print a line for each character on a terminal too, instead of the text in colours.",
)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path, text: str, html: Path | None, table: bool, reading: GivenReading, as_json: bool
) -> None:
    """Print how surprising each character of TEXT is to MODEL, in bits.

    TEXT is a file, or - for standard input. A terminal shows the text in colours, its mean and its
    most surprising places. Elsewhere, and with --table, a line is printed for each character: its
    surprisal and what the model expected instead. A character that the model never saw is shown
    where it stands. It has no surprisal, nor has the character after it, because the network does
    not read unseen characters.

    \b
    ricorda score runs/my page.txt --html surprise.html
    """
    if html is not None:
        _check_page(html, text)
    trained = load_model(model)
    pieces = reading.reader_for(trained).symbols((text,), trained.vocabulary)
    scores = trained.score(pieces, ALTERNATIVES, on_unknown="skip")
    figures = scores.figures.as_json()
    if html is not None:
        _write_page(html, scores, "standard input" if text == "-" else Path(text).name)
    if as_json:
        print_json({**figures, **_as_json(scores)})
    elif html is None and shows_colours() and not table:
        print_heat(scores)
    elif html is None:
        _print_table(scores)


def _check_page(html: Path, text: str) -> None:
    """See, before any work is done, that the page can be written and takes nothing's place."""
    if html.is_dir():
        raise InputError(f"expected a file to write the page to, {html} is a folder")
    if html.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"expected a name that ends with .html for the page, got {html}")
    if not html.parent.is_dir():
        raise InputError(f"no folder {html.parent} to write the page to: make it first")
    if html.exists() and Path(text).exists() and html.samefile(text):
        raise InputError(f"the page would take the place of the text {text}: give another name")


def _write_page(html: Path, scores: "Scores", title: str) -> None:
    """Write the page, whole or not at all."""
    from ricorda.insight import surprisal_page

    try:
        write_atomically(html, surprisal_page(scores, title=title).encode())
    except OSError as error:
        raise InputError(f"cannot write the page {html}: {error.strerror}") from error
    say(f"wrote {html}", err=True)


def _as_json(scores: "Scores") -> dict[str, Any]:
    """Every symbol with its nats and alternatives, and the unseen characters between them."""
    nats = [None if math.isnan(each) else each for each in scores.nats.tolist()]
    return {
        "symbols": list(scores.symbols),
        "nats": nats,
        "alternatives": [scores.alternatives(place) for place in range(len(nats))],
        "unseen": [gap.as_json() for gap in scores.gaps],
    }


def _print_table(scores: "Scores") -> None:
    """A line a symbol, with as many alternatives as the terminal is wide enough for."""
    width = terminal_width()
    say("bits   symbol  likeliest")
    gaps = {gap.before: gap.characters for gap in scores.gaps}
    for place, symbol in enumerate(scores.symbols):
        _print_unseen(gaps.get(place, ""))
        known = not math.isnan(scores.nats[place])
        bits = f"{scores.nats[place] / math.log(2):5.2f}" if known else ""
        shown = visible(symbol)
        line = f"{bits:5}  {shown}{' ' * (6 - cell_len(shown))}"
        for each, probability in scores.alternatives(place):
            longer = f"{line}  {visible(each)} {probability:.2f}"
            if cell_len(longer) > width:
                break
            line = longer
        say(line.rstrip())
    _print_unseen(gaps.get(len(scores.ids), ""))


def _print_unseen(characters: str) -> None:
    """A line for each character that the model never saw."""
    for character in characters:
        shown = visible(readable(character))
        say(f"{'-':>5}  {shown}{' ' * (6 - cell_len(shown))}  never seen")
