"""`ricorda runs`: all runs with their figures, what differs between them, notes, deletion."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from ricorda.cli.options import PathName
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_table
from ricorda.errors import InputError
from ricorda.pages import fixed
from ricorda.runs import RUNS, RunFolder, list_runs, summary, write_note
from ricorda.text.file_names import displayed

if TYPE_CHECKING:
    from ricorda.training.checkpoint.record import RunRecord

Row = dict[str, Any]
Records: TypeAlias = "dict[str, RunRecord | None]"
"""The config.json of each run, by its folder; None where it cannot be read."""

COLUMNS = [
    *("run", ">bits/character", ">steps", ">time", ">parameters", "state", "origin", "differs"),
    "note",
]
SPARE = (">parameters", ">steps", ">time", "differs", "origin", "note")
"""The columns that a narrow terminal leaves out, in this order."""

LARGEST_FIRST = {"steps": "steps", "time": "train_seconds", "parameters": "parameters"}
"""Figures to sort by, and their names in a row."""


@click.command()
@click.argument("folder", type=PathName(), default=RUNS)
@click.option(
    "--sort",
    type=click.Choice(["newest", "name", "bits", *LARGEST_FIRST]),
    default="newest",
    help="Sort by this column: bits in ascending order; steps, time and parameters in descending "
    "order.  [default: newest]",
)
@click.option(
    "--note",
    nargs=2,
    metavar="RUN TEXT",
    help="Add a note of one line to a run; the list shows it. An empty TEXT removes the note.",
)
@click.option(
    "--delete",
    "deleted",
    metavar="RUN",
    multiple=True,
    help="Delete a run after asking for confirmation. Only files that ricorda wrote are deleted. "
    "May be repeated.",
)
@click.option("--yes", is_flag=True, help="Delete without asking for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    folder: Path,
    sort: str,
    note: tuple[str, str] | None,
    deleted: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> int:
    """List the runs in FOLDER (by default runs/), the newest first.

    The column "origin" shows the model that a run started from, and the run of which it is a
    branch. The column "differs" shows the settings that differ between the runs. RUN is a folder,
    or the name of a folder in FOLDER.

    \b
    ricorda runs --sort bits
    ricorda runs --note my "no dropout"
    ricorda runs --delete my-2
    """
    if folder != RUNS and not folder.is_dir():
        raise InputError(f"expected a folder of runs, but {folder} is not a folder; check the name")
    if note is not None:
        write_note(_found(folder, note[0]), note[1].strip())
    if deleted:
        return _delete([_found(folder, name) for name in deleted], yes=yes)
    rows = [summary(run) for run in list_runs(folder)]
    if sort != "newest":  # which is how they are listed
        rows.sort(key=lambda row: _key(row, sort))
    records = _records(rows)
    _add_origins(rows, records)
    _add_differences(rows, records)
    if as_json:
        print_json({"runs": rows})
    elif not rows:
        say(f"no runs under {folder}/: train one with `ricorda train my.txt`", err=True)
    else:
        _print_table(rows)
    return 0


def _found(folder: Path, name: str) -> RunFolder:
    """The run of a name: a folder, or one under the folder of runs. Raises InputError."""
    for path in (Path(name), folder / name):
        if name and RunFolder(path).is_run:
            return RunFolder(path)
    raise InputError(f"expected a run, {name or 'an empty name'} is none: see `ricorda runs`")


def _delete(runs: list[RunFolder], *, yes: bool) -> int:
    """Delete runs, each after a question; 1 if one was kept."""
    if not yes and not sys.stdin.isatty():
        raise InputError("--delete asks for confirmation, which needs a terminal: add --yes")
    from ricorda.training.checkpoint.deletion import delete_run

    kept = 0
    for run in runs:
        if not yes and not click.confirm(displayed(_question(run)), err=True):
            say(f"kept {run.path}", err=True)
            kept += 1
            continue
        left = delete_run(run)
        say(f"deleted {run.path}", err=True)
        if left:
            names = ", ".join(path.name for path in left)
            say(
                f"{run.path} was not removed, because it has files that ricorda did not write: "
                f"{names}",
                err=True,
            )
    return 1 if kept else 0


def _question(run: RunFolder) -> str:
    row = summary(run)
    bits = _bits(row)
    figure = "" if math.isinf(bits) else f", {bits:.3f} bits per character"
    return f"Delete {run.path} ({row.get('steps') or 0:,} steps{figure}) permanently?"


def _print_table(rows: list[Row]) -> None:
    """The figures that a person compares; the two that matter most on a narrow terminal."""
    shown = [_cells(row) for row in rows]
    empty = {
        name
        for name in ("origin", "differs", "note")
        if not any(cells[COLUMNS.index(name)] for cells in shown)
    }
    kept = [place for place, name in enumerate(COLUMNS) if name not in empty]
    print_table(
        [COLUMNS[place] for place in kept],
        [[cells[place] for place in kept] for cells in shown],
        spare=[name for name in SPARE if name not in empty],
    )


def _cells(row: Row) -> list[str]:
    from ricorda.pages.numbers import clock

    seconds = row.get("train_seconds")
    differences = row.get("differs", {})
    return [
        row["run"],
        fixed(_bits(row), 3),
        fixed(row.get("steps"), 0),
        fixed(None, 0) if seconds is None else clock(seconds),
        fixed(row.get("parameters"), 0),
        row["state"],
        _origin(row),
        ", ".join(f"{name}={_setting(value)}" for name, value in differences.items()),
        row.get("note", ""),
    ]


def _origin(row: Row) -> str:
    """Where a run comes from; empty for one from random weights."""
    origins = []
    if start := row.get("from"):
        origins.append(f"from {start['name']}")
    if branch := row.get("branch"):
        origins.append(f"branch of {branch['run']} at step {branch['step']:,}")
    return displayed(", ".join(origins))


def _bits(row: Row) -> float:
    """A run's validation loss in bits per character; infinity where there is none."""
    nats = (row.get("validation") or {}).get("nats_per_character")
    return math.inf if nats is None else float(nats) / math.log(2)


def _key(row: Row, sort: str) -> Any:
    """What a row is sorted by; a row without the figure comes last."""
    if sort in LARGEST_FIRST:
        value = row.get(LARGEST_FIRST[sort])
        return math.inf if value is None else -value
    return row["run"] if sort == "name" else _bits(row)


def _records(rows: list[Row]) -> Records:
    from ricorda.training.checkpoint.comparison import record_of

    return {row["run"]: record_of(RunFolder(Path(row["run"]))) for row in rows}


def _add_origins(rows: list[Row], records: Records) -> None:
    """Add to each row the model that the run started from and the run that it branched from."""
    from ricorda.training.checkpoint.comparison import origins_of

    for row in rows:
        if (record := records[row["run"]]) is not None:
            row.update(origins_of(record))


def _add_differences(rows: list[Row], records: Records) -> None:
    """Add to each row the settings in which the runs that can be read are not all alike."""
    from ricorda.training.checkpoint.comparison import differing, settings_of

    settings = {run: settings_of(record) for run, record in records.items() if record is not None}
    names = differing(settings.values())
    for row in rows:
        own = settings.get(row["run"])
        if names and own:
            row["differs"] = {name: own.get(name) for name in names}


def _setting(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
