"""`ricorda influence`: how much each past symbol matters to what a model expects next."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ricorda.cli.models import model_path
from ricorda.cli.options import PathName, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_paragraph, print_table, visible
from ricorda.cli.texts import GivenReading, read_known, reading_options
from ricorda.engine import load_file, open_model
from ricorda.insight import Agreement, Influence, agreement, influence
from ricorda.insight.deletion import DISTANCE
from ricorda.pages import fixed
from ricorda.text.unseen import Gap, quoted
from ricorda.text.vocabulary import readable

SYMBOLS = 20_000
FARTHEST = 1_000_000  # symbols back
METHODS = {"leave-out": "leave out", "replace": "replace"}
SHARE = 0.95  # of the divergence, which the conclusion asks for
MEASURES = ("norm", "product", "integrated")

Numbers = NDArray[np.float64]


@click.command()
@click.argument("model", type=PathName())
@click.argument("text")
@click.option(
    "--position",
    "positions",
    type=whole_number(at_least=1),
    multiple=True,
    help="Position of a predicted symbol, counted from 0. May be repeated. By default 32 positions "
    "are spread over the text.",
)
@click.option(
    "--distance",
    type=whole_number(at_least=1, at_most=FARTHEST),
    default=DISTANCE,
    help=f"Number of past symbols to measure.  [default: {DISTANCE}]",
)
@click.option(
    "--method",
    type=click.Choice(list(METHODS)),
    default="leave-out",
    help="How to remove a past symbol: leave it out, or replace it with other symbols of the text."
    "  [default: leave-out]",
)
@click.option(
    "--gradient",
    type=click.Choice(MEASURES),
    help="Also measure gradients, for comparison. Requires the extra torch.",
)
@click.option(
    "--symbols",
    type=whole_number(at_least=2),
    default=SYMBOLS,
    help=f"Maximum number of symbols to read.  [default: {SYMBOLS}]",
)
@click.option(
    "--seed",
    type=whole_number(at_least=0),
    default=0,
    help="Random seed of the replacements.  [default: 0]",
)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path,
    text: str,
    positions: tuple[int, ...],
    distance: int,
    method: str,
    gradient: str | None,
    symbols: int,
    seed: int,
    reading: GivenReading,
    as_json: bool,
) -> None:
    """Measure how past symbols of TEXT affect the next prediction of MODEL.

    Each past symbol is removed, and two figures are printed in bits. The divergence is the change
    in the probabilities of the next symbol. The surprisal is how much more surprising the actual
    next symbol becomes.

    \b
    ricorda influence runs/my page.txt
    ricorda influence runs/my page.txt --position 50 --method replace
    """
    file = load_file(model_path(model))
    trained = open_model(file)
    known = read_known(trained, text, reading, symbols)
    places = list(positions) or None
    distance = min(distance, max(1, len(known.ids) - 1))
    chosen: Any = METHODS[method]
    found = influence(trained, known, places, distance=distance, method=chosen, seed=seed)
    slopes: Numbers | None = None
    if gradient is not None:
        from ricorda.insight import gradient_influence

        measure: Any = gradient
        same = found.positions.tolist()
        slopes = gradient_influence(file, known, same, distance=distance, measure=measure)[1]
    agreed = None if slopes is None else agreement(found.nats, slopes)
    if as_json:
        unseen = [gap.as_json() for gap in known.gaps]
        print_json({**_as_json(found, slopes, agreed), "unseen": unseen})
        return
    if len(found.positions) == 1:
        _print_place(found, slopes, known.gaps)
    else:
        _print_distances(found, slopes)
    if agreed is not None:
        _print_agreement(agreed)


def _print_agreement(agreed: Agreement) -> None:
    """The rank correlations that there are."""
    known = {
        "over the past of one position": agreed.at_a_place,
        "with the past of another position": agreed.recency,
        "over positions at one distance": agreed.at_a_distance,
    }
    found = [f"{value:.2f} {name}" for name, value in known.items() if value is not None]
    say()
    print_paragraph(f"rank correlation of surprisal and gradient: {', '.join(found) or 'none'}")


def _print_place(found: Influence, slopes: Numbers | None, gaps: tuple[Gap, ...]) -> None:
    """Print what comes before one place, the nearest first, unseen characters included."""
    place = int(found.positions[0])
    unseen = {gap.before: gap.characters for gap in gaps}
    if place in unseen:
        say(
            f"{place} follows {quoted(unseen[place])}, which the model never saw: its figures "
            "are not meaningful"
        )
    say(f"before {visible(found.symbols[place])} at {place}:")
    rows = []
    for far, (position, symbol, nats, divergence) in enumerate(found.at(0)):
        row = [str(position), visible(symbol), _bits(divergence), _bits(nats)]
        rows.append([*row, *([] if slopes is None else [fixed(float(slopes[0, far]), 4)])])
        for character in reversed(unseen.get(position, "")):
            rows.append(["-", visible(readable(character)), "never seen", "", ""][: len(rows[-1])])
    names = [">position", "symbol", ">divergence", ">surprisal"]
    print_table([*names, *([] if slopes is None else [">gradient"])], rows)
    say()
    print_paragraph(_strongest(found))


def _print_distances(found: Influence, slopes: Numbers | None) -> None:
    """The mean of all places, by distance."""
    rows = []
    for number, far in enumerate(found.distances):
        divergence, nats = found.mean_divergence[number], found.mean_nats[number]
        row = [str(far), _bits(float(divergence)), _bits(float(nats))]
        if slopes is not None:
            sizes = np.abs(slopes[:, number])
            known = sizes[~np.isnan(sizes)]
            row.append(fixed(float(known.mean()) if len(known) else None, 4))
        rows.append(row)
    names = [">symbols back", ">divergence", ">surprisal"]
    print_table([*names, *([] if slopes is None else [">gradient"])], rows)
    say()
    print_paragraph(f"Mean of {len(found.positions)} positions. {_conclusion(found)}")


def _conclusion(found: Influence) -> str:
    """Say in a sentence how far back the influence reaches."""
    sizes = np.nan_to_num(found.mean_divergence)
    total = float(sizes.sum())
    if total <= 0:
        return "No past symbol changes what the model expects."
    enough = int(np.searchsorted(np.cumsum(sizes), SHARE * total)) + 1
    last = min(enough, len(sizes))
    symbols = "the last symbol makes" if last == 1 else f"the last {last} symbols make"
    return (
        f"Of the divergence measured up to {found.distances[-1]} symbols back, {symbols} up "
        f"{SHARE:.0%}; {found.distances[-1]} back, a symbol still changes the prediction by "
        f"{_bits(float(sizes[-1]))} bits."
    )


def _strongest(found: Influence) -> str:
    """Say in a sentence which past symbol matters most to one prediction."""
    past = [each for each in found.at(0) if not math.isnan(each[3])]
    if not past:
        return "Nothing comes before it."
    position, symbol, _, divergence = max(past, key=lambda each: each[3])
    back = int(found.positions[0]) - position
    return (
        f"The symbol that matters most is {visible(symbol)} at {position}, {back} back: without it "
        f"the prediction changes by {_bits(divergence)} bits."
    )


def _bits(nats: float) -> str:
    return fixed(nats / math.log(2), 4)


def _as_json(found: Influence, slopes: Numbers | None, agreed: Agreement | None) -> dict[str, Any]:
    """By place and distance; null where the text does not go back so far."""
    more: dict[str, Any] = {}
    if slopes is not None and agreed is not None:
        more = {"gradient": _rows(slopes), "agreement": asdict(agreed)}
    return {
        "method": found.method,
        "positions": found.positions.tolist(),
        "symbols": [found.symbols[place] for place in found.positions.tolist()],
        "nats": _rows(found.nats),
        "divergence": _rows(found.divergence),
        **more,
    }


def _rows(values: Numbers) -> list[list[float | None]]:
    return [[None if math.isnan(value) else value for value in row] for row in values.tolist()]
