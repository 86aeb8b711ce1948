"""Tables of figures and paragraphs, by the width of the terminal; unbroken where there is none."""

import textwrap
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ricorda.cli.output import say
from ricorda.text.file_names import displayed

ENDLESS = 10_000  # columns where there is no terminal, so that nothing is broken
GAP = 2  # spaces between two columns


def terminal_width() -> int:
    """Columns of the terminal that standard output goes to."""
    console = Console()
    return console.width if console.is_terminal else ENDLESS


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], spare: Sequence[str] = ()
) -> None:
    """Print rows under headings; a heading that begins with > stands over numbers.

    The spare columns go, the first named first, where the terminal is too narrow for all.
    """
    cells = [[displayed(cell) for cell in row] for row in rows]
    width = terminal_width()
    least = [_narrowest(name, [row[each] for row in cells]) for each, name in enumerate(columns)]
    kept = _fitting(columns, least, spare, width)
    widths = _widths(columns, cells, least, kept, width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for each in kept:
        name = columns[each]
        if name.startswith(">"):
            table.add_column(name[1:], justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold", width=widths.get(each))
    for row in cells:
        table.add_row(*(escape(row[each]) for each in kept))
    Console(width=width).print(table)


def _fitting(
    columns: Sequence[str], least: list[int], spare: Sequence[str], width: int
) -> list[int]:
    """The columns to show, by number; least: the width that each needs."""
    kept = list(range(len(columns)))
    for name in spare:
        if _total(least, kept) > width:
            kept.remove(list(columns).index(name))
    return kept


def _widths(
    columns: Sequence[str], rows: list[list[str]], least: list[int], kept: list[int], width: int
) -> dict[int, int]:
    """The width of each column, none narrower than its longest word; none if that does not fit."""
    if _total(least, kept) > width:
        return {}
    texts = {each: [columns[each].removeprefix(">"), *(row[each] for row in rows)] for each in kept}
    widths = {each: max(map(cell_len, texts[each])) for each in kept}
    while (excess := sum(widths.values()) + GAP * (len(kept) - 1) - width) > 0:
        widest = max(kept, key=lambda each: (widths[each] > least[each], widths[each]))
        widths[widest] -= min(excess, max(1, (widths[widest] - least[widest]) // 2))
    return widths


def _total(least: list[int], kept: list[int]) -> int:
    """The width of the kept columns and of the gaps between them."""
    return sum(least[each] + GAP for each in kept) - GAP


def _narrowest(name: str, cells: Iterable[str]) -> int:
    """The columns that numbers take, or the longest word of a text."""
    if name.startswith(">"):
        return max(map(cell_len, [name[1:], *cells]))
    return max((cell_len(word) for text in [name, *cells] for word in text.split()), default=0)


def print_paragraph(text: str, hanging: str = "") -> None:
    """Print a line, broken between words where the terminal is narrower; then `hanging` leads."""
    lines = textwrap.wrap(
        text,
        terminal_width(),
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    say("\n".join(lines))


def visible(symbol: str) -> str:
    """A symbol where spaces only part columns."""
    return "␣" if symbol == " " else symbol
