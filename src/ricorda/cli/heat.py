"""A text in the colours of its surprisal, for a terminal, with its mean and its worst places."""

import math
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ricorda.cli.output import say
from ricorda.cli.tables import print_paragraph, print_table, visible
from ricorda.pages import plural
from ricorda.text.file_names import displayed
from ricorda.text.unseen import quoted

if TYPE_CHECKING:
    from ricorda.engine import Scores

LEVELS = (
    (1.0, ""),
    (2.0, "black on color(230)"),
    (4.0, "black on color(222)"),
    (6.0, "black on color(208)"),
    (9.0, "white on color(160)"),
    (math.inf, "bold white on color(88)"),
)
"""Bits up to which a style is used."""

UNSCORED = "reverse"
WORST = 5
CONTEXT = 16
"""Symbols that are shown before one of the worst places."""


def shows_colours() -> bool:
    """Whether standard output is a terminal with colours."""
    console = Console()
    return sys.stdout.isatty() and console.color_system is not None and not console.no_color


def print_heat(scores: "Scores") -> None:
    """Print the text in colours, what they mean, its mean and its most surprising places."""
    console = Console(highlight=False)
    console.print(_legend(console.width))
    console.print(_heat(scores), overflow="fold")
    say()
    print_summary(scores)


def print_summary(scores: "Scores") -> None:
    """Print the mean and the most surprising places."""
    figures = scores.figures
    mean = "mean, adaptive" if scores.adaptive else "mean"
    print_paragraph(
        f"{mean}: {figures.bits_per_character:.3f} bits per character, over "
        f"{plural(figures.characters, 'character')}"
    )
    if scores.gaps:
        unseen = "".join(dict.fromkeys("".join(gap.characters for gap in scores.gaps)))
        print_paragraph(f"never seen in training, and not counted: {quoted(unseen)}")
    places = sorted(
        (place for place, nats in enumerate(scores.nats) if not math.isnan(nats)),
        key=lambda place: -scores.nats[place],
    )[:WORST]
    rows = [
        [
            f"{scores.nats[place] / math.log(2):.2f}",
            _line_and_column(scores, place),
            f"…{_context(scores, place)}[{visible(scores.symbols[place])}]",
            ", ".join(
                f"{visible(each)} {chance:.2f}" for each, chance in _likeliest(scores, place)
            ),
        ]
        for place in places
    ]
    say("most surprising, adaptive:" if scores.adaptive else "most surprising:")
    print_table(
        [">bits", "line:column", "symbol in brackets", "expected"], rows, spare=("expected",)
    )


def _likeliest(scores: "Scores", place: int) -> list[tuple[str, float]]:
    return scores.alternatives(place)[:2]


def _legend(width: int) -> Text:
    """Return each colour with the bits from which it is used; nothing on a narrow terminal."""
    legend = Text("bits: ")
    begin = "0"
    for limit, style in LEVELS:
        legend.append(f" {begin}+ ", style)
        legend.append(" ")
        begin = f"{limit:g}"
    return legend if len(legend) <= width else Text()


def _heat(scores: "Scores") -> Text:
    """Return the text with a style for each symbol; unseen characters stand reversed."""
    heat = Text()
    gaps = {gap.before: gap.characters for gap in scores.gaps}
    for place, (symbol, nats) in enumerate(zip(scores.symbols, scores.nats.tolist(), strict=True)):
        heat.append(displayed(gaps.get(place, "")), UNSCORED)
        heat.append(_drawn(symbol), "" if math.isnan(nats) else _style(nats / math.log(2)))
        if symbol == "\\n":
            heat.append("\n")
    heat.append(displayed(gaps.get(len(scores.ids), "")), UNSCORED)
    return heat


def _drawn(symbol: str) -> str:
    """A symbol as it stands in a line; a line end is drawn before the line ends."""
    return "↵" if symbol == "\\n" else symbol


def _style(bits: float) -> str:
    return next(style for limit, style in LEVELS if bits < limit or math.isinf(limit))


def _context(scores: "Scores", place: int) -> str:
    """The symbols before a place, on one line."""
    before = (scores.symbols[each] for each in range(max(0, place - CONTEXT), place))
    return "".join(map(_drawn, before))


def _line_and_column(scores: "Scores", place: int) -> str:
    """Where a symbol stands, both counted from 1."""
    before = scores.symbols[:place]
    line = before.count("\\n") + 1
    begin = max((each for each, symbol in enumerate(before) if symbol == "\\n"), default=-1)
    return f"{line}:{place - begin}"
