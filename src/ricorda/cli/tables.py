"""Tables of figures, as wide as they need to be where there is no terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ricorda.text.sources import displayed

ENDLESS = 10_000  # columns where there is no terminal, so that nothing is broken


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings; a heading that begins with > stands over numbers."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=ENDLESS)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        if name.startswith(">"):
            table.add_column(name[1:], justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(displayed(cell)) for cell in row))
    console.print(table)


def visible(symbol: str) -> str:
    """A symbol where spaces only part columns."""
    return "␣" if symbol == " " else symbol
