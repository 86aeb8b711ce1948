"""`ricorda runs`: all runs with their figures."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ricorda.cli.output import print_json
from ricorda.errors import RunError
from ricorda.pages import fixed
from ricorda.runs import RUNS, RunFolder, list_runs, read_rows


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=RUNS)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folder: Path, as_json: bool) -> None:
    """List the runs under FOLDER (runs/ unless said otherwise), the newest first."""
    rows = [summary(run) for run in list_runs(folder)]
    if as_json:
        print_json({"runs": rows})
    elif not rows:
        click.echo(f"no runs under {folder}/: train one with `ricorda train my.txt`", err=True)
    else:
        Console().print(_table(rows))


def summary(run: RunFolder) -> dict[str, Any]:
    """A run's figures as they stand now, ended or not."""
    row: dict[str, Any] = {"state": "not ended"}
    try:
        for metrics in read_rows(run.metrics):
            row |= _news(metrics, row.get("validation"))
    except (RunError, KeyError):  # the other runs are worth seeing all the same
        row["state"] = "damaged"
    row |= {"model": str(run.model)} if run.model.is_file() else {}  # it may have been moved
    return {
        "run": str(run.path),
        **{name: value for name, value in row.items() if name not in ("run", "event", "step")},
    }


def _news(metrics: dict[str, Any], validation: dict[str, Any] | None) -> dict[str, Any]:
    """What one row of metrics.jsonl tells; an interrupted run keeps its last evaluation."""
    if metrics["event"] == "ended":
        interrupted = metrics["stopped_because"] == "interrupted"
        return {
            **metrics,
            "state": "interrupted" if interrupted else "ended",
            "validation": metrics["validation"] or (validation if interrupted else None),
        }
    if metrics["event"] == "evaluation":
        return {
            "state": "not ended",
            "steps": metrics["step"],
            "characters_seen": metrics["characters_seen"],
            "train_seconds": metrics["seconds"],
            "validation": {"nats_per_character": metrics["nats_per_character"]},
        }
    return {}


def _table(rows: list[dict[str, Any]]) -> Table:
    """The figures a person compares."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", overflow="fold")
    for name in ("nats", "bits/byte", "steps", "seconds", "parameters"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for row in rows:
        validation = row.get("validation") or {}
        table.add_row(
            row["run"],
            fixed(validation.get("nats_per_character"), 4),
            fixed(validation.get("bits_per_byte"), 3),
            fixed(row.get("steps"), 0),
            fixed(row.get("train_seconds"), 0),
            fixed(row.get("parameters"), 0),
            row["state"],
        )
    return table
