"""`ricorda score`: how surprising each character of a text is."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.cells import cell_len

from ricorda.cli.documents import (
    DocumentOptions,
    KnownLabels,
    document_options,
    read_documents,
    read_whole,
)
from ricorda.cli.heat import print_heat, shows_colours
from ricorda.cli.models import load_model
from ricorda.cli.options import PathName, adaptive_option
from ricorda.cli.output import print_json, say
from ricorda.cli.score_rows import in_order, print_rows, scored_rows
from ricorda.cli.tables import terminal_width, visible
from ricorda.cli.texts import GivenReading, reading_options
from ricorda.durable import check_output, write_atomically
from ricorda.engine.labels import check_labels
from ricorda.errors import ConfigurationError, InputError
from ricorda.text.vocabulary import readable

if TYPE_CHECKING:
    from ricorda.engine import Model, Scores

ALTERNATIVES = 5


@click.command()
@click.argument("model", type=PathName())
@click.argument("text")
@click.option(
    "--html",
    type=PathName(),
    help="Write an HTML page that colours each character by its surprisal and shows what the model "
    "expected.",
)
@document_options()
@click.option(
    "--documents",
    is_flag=True,
    help="Print a row for each document. TEXT is divided as in training.",
)
@adaptive_option
@click.option("--label", help="Score each document under this label.")
@click.option("--by-label", is_flag=True, help="Print a row for each document under each label.")
@click.option(
    "--sort",
    type=click.Choice(["bits", "nats"]),
    help="Sort rows by bits per character or by total nats, in descending order.",
)
@click.option("--ascending", is_flag=True, help="Sort in ascending order.")
@click.option(
    "--table",
    is_flag=True,
    help="Print a line for each character instead of the text in colours.",
)
@reading_options
@click.option("--csv", "as_csv", is_flag=True, help="Print rows as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, or one per row.")
def command(
    model: Path,
    text: str,
    html: Path | None,
    division: DocumentOptions,
    documents: bool,
    adaptive: bool,
    label: str | None,
    by_label: bool,
    sort: Literal["bits", "nats"] | None,
    ascending: bool,
    table: bool,
    reading: GivenReading,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Print how surprising TEXT is to MODEL, for each character or each document.

    TEXT is a file, or - for standard input. A terminal shows the text in colours, its mean
    surprisal in bits and its most surprising places. Other outputs, and --table, have a line for
    each character: its surprisal and what the model expected. A character that the model never saw
    is printed without a surprisal, and so is the character after it: the network does not read
    unseen characters.

    With --lines, --field or --documents, a row is printed for each document: bits per character and
    total nats. Both include the first character and the end of the document. They exclude unseen
    characters and the character after each.

    With --adaptive, a copy of MODEL learns from the text while it reads.

    \b
    ricorda score runs/my page.txt --html surprise.html
    ricorda score runs/names names.txt --lines --sort bits
    ricorda score runs/names names.txt --lines --by-label --csv
    """
    in_rows = division.is_given or documents or by_label
    _check_rows(in_rows=in_rows, sort=sort, ascending=ascending, as_csv=as_csv, as_json=as_json)
    if html is not None:
        _check_page(html, in_rows=in_rows)
    if by_label:
        _check_by_label(label, adaptive=adaptive)
    trained = load_model(model)
    if html is not None:
        check_output(html, reading.reader_for(trained).settings.find((text,)).paths())
    if in_rows:
        known = KnownLabels(trained)
        if by_label:
            check_labels(trained.vocabulary)
        texts: Iterable[tuple[int, str, str | None]]
        if division.is_given or documents:
            read = read_documents(trained, (text,), reading, division)
            texts = ((number, each.text, known.label(each)) for number, each in read)
        else:
            texts = [(1, read_whole(trained, text, reading), None)]
        rows = scored_rows(trained, texts, label=label, by_label=by_label, adaptive=adaptive)
        sorted_rows = in_order(rows, sort, ascending=ascending)
        print_rows(sorted_rows, as_json=as_json, as_csv=as_csv, adaptive=adaptive)
        known.report()
        return
    pieces = _pieces(trained, text, reading)
    scores = trained.score(pieces, ALTERNATIVES, label=label, on_unknown="skip", adaptive=adaptive)
    figures = scores.figures.as_json()
    if html is not None:
        _write_page(html, scores, "standard input" if text == "-" else Path(text).name)
    if as_json:
        print_json({**figures, **_as_json(scores)})
    elif html is None and shows_colours() and not table:
        print_heat(scores)
    elif html is None:
        _print_table(scores)


def _pieces(model: "Model", text: str, reading: GivenReading) -> Iterable[str | bytes]:
    """Read a text; for a model of documents, as one document."""
    if model.vocabulary.boundary is None:
        return reading.reader_for(model).symbols((text,), model.vocabulary)
    return [read_whole(model, text, reading)]


def _check_rows(
    *, in_rows: bool, sort: str | None, ascending: bool, as_csv: bool, as_json: bool
) -> None:
    """Refuse options that contradict each other or are for rows alone."""
    for_rows = {"--sort": sort is not None, "--csv": as_csv}
    if not in_rows and any(for_rows.values()):
        name = next(name for name, is_given in for_rows.items() if is_given)
        raise ConfigurationError(f"{name} is for rows: give --lines, --field or --documents too")
    if ascending and sort is None:
        raise ConfigurationError("--ascending is for sorted rows: give --sort too")
    if as_csv and as_json:
        raise ConfigurationError("expected one of --csv and --json: leave out the other")


def _check_by_label(label: str | None, *, adaptive: bool) -> None:
    """Refuse what does not go with reading each document under each label."""
    if label is not None:
        raise ConfigurationError("expected one of --label and --by-label: leave out the other")
    if adaptive:
        raise ConfigurationError(
            "--by-label reads each document once under each label, --adaptive once: leave out one"
        )


def _check_page(html: Path, *, in_rows: bool) -> None:
    """Check, before any work, that the page can be written and has the file name of a page."""
    if in_rows:
        raise ConfigurationError("--html shows one text: leave out the options for rows")
    if html.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"expected a name that ends with .html for the page, got {html}")
    check_output(html)


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
    """A line per symbol, with as many alternatives as the terminal is wide enough for."""
    width = terminal_width()
    say("bits   symbol  expected" + ("  (adaptive)" if scores.adaptive else ""))
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
