"""`ricorda export-run`: the rows of a run as a table."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from ricorda.cli.options import Command, PathName
from ricorda.durable import write_atomically
from ricorda.errors import InputError
from ricorda.runs import find_run
from ricorda.training.report.run_tables import TableFormat, TableName, encoded, table_of

FORMATS: tuple[TableFormat, ...] = ("csv", "parquet", "jsonl")


def _format_option(kind: TableFormat, name: str) -> Callable[[Command], Command]:
    return click.option(
        f"--{kind}", metavar="FILE", type=PathName(), help=f"Write {name}; - is standard output."
    )


@click.command()
@click.argument("run", type=PathName(), required=False)
@_format_option("csv", "CSV")
@_format_option("parquet", "Parquet, which needs the extra parquet")
@_format_option("jsonl", "JSON lines")
@click.option(
    "--table",
    type=click.Choice(["metrics", "samples"]),
    default="metrics",
    help="The losses and other figures by step, or what the model wrote.  [default: metrics]",
)
def command(run: Path | None, table: TableName, **given: Path | None) -> None:
    """Write the figures or the samples of RUN, by default the newest run, as a table.

    The run may still be training. A file that exists is replaced.

    \b
    ricorda export-run runs/my --csv metrics.csv
    ricorda export-run runs/my --table samples --jsonl -
    """
    wanted = [(kind, path) for kind in FORMATS if (path := given[kind]) is not None]
    if len(wanted) != 1:
        names = ", ".join(f"--{kind}" for kind in FORMATS)
        raise InputError(f"expected one of {names} with a file, got {len(wanted)}")
    kind, path = wanted[0]
    content = encoded(table_of(find_run(run), table), kind)
    if str(path) == "-":
        if kind == "parquet" and sys.stdout.isatty():
            raise InputError("--parquet - is not for a terminal: name a file")
        sys.stdout.buffer.write(content)
        return
    try:
        write_atomically(path, content)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
