"""`ricorda resume`: go on with a run."""

from pathlib import Path

import click

import ricorda
from ricorda.cli.train import report_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(run: Path | None, as_json: bool, quiet: bool) -> int:
    """Go on with a run from its last checkpoint, by default with the newest run."""
    return report_run(ricorda.resume(run, quiet=quiet), as_json=as_json)
