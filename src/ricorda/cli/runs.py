"""`ricorda runs`: all runs with their figures."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ricorda.cli.options import PathName
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import terminal_width
from ricorda.errors import InputError
from ricorda.pages import fixed
from ricorda.runs import RUNS, list_runs, summary
from ricorda.text.sources import displayed

NUMBERS = {
    "nats": ("nats_per_character", 4),
    "bits/byte": ("bits_per_byte", 3),
    "steps": ("steps", 0),
    "seconds": ("train_seconds", 0),
    "parameters": ("parameters", 0),
}
"""The table's columns: the figure in metrics.jsonl, and its decimals."""

WIDE = 80  # columns of a terminal that shows them all


@click.command()
@click.argument("folder", type=PathName(), default=RUNS)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folder: Path, as_json: bool) -> None:
    """List the runs under FOLDER, by default runs/, the newest first.

    \b
    ricorda runs
    ricorda runs elsewhere --json
    """
    if folder != RUNS and not folder.is_dir():
        raise InputError(f"expected a folder of runs, {folder} is none; check the name")
    rows = [summary(run) for run in list_runs(folder)]
    if as_json:
        print_json({"runs": rows})
    elif not rows:
        say(f"no runs under {folder}/: train one with `ricorda train my.txt`", err=True)
    else:
        _print_table(rows)


def _print_table(rows: list[dict[str, Any]]) -> None:
    """The figures a person compares; the two that matter most on a narrow terminal."""
    console = Console(width=terminal_width())
    names = list(NUMBERS) if console.width >= WIDE else ["nats"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", overflow="fold")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for row in rows:
        figures = {**row, **(row.get("validation") or {})}
        shown = [fixed(figures.get(NUMBERS[name][0]), NUMBERS[name][1]) for name in names]
        table.add_row(escape(displayed(row["run"])), *shown, row["state"])
    console.print(table)
