"""`ricorda resume`: continue a run."""

from pathlib import Path
from typing import Any

import click

from ricorda.cli.options import PathName, options_from
from ricorda.cli.train import report_run
from ricorda.training.options import RESUME_OPTIONS, TrainingOptions


@click.command()
@click.argument("run", type=PathName(), required=False)
@click.option(
    "--text",
    multiple=True,
    metavar="TEXT",
    help="Where the text is now, if it was moved (repeat it for several).",
)
@click.option(
    "--validation",
    type=PathName(),
    help="Where the validation file is now, if it was moved.",
)
@options_from(TrainingOptions, RESUME_OPTIONS[1:])
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    run: Path | None, text: tuple[str, ...], as_json: bool, quiet: bool, **options: Any
) -> int:
    """Continue a run from its last checkpoint, by default the newest run.

    A budget given here replaces the run's and counts from the run's beginning: --steps 500 adds 200
    steps to a run of 300, even after its end. From here on the learning rate follows the new budget
    as if it had been given at the beginning.

    \b
    ricorda resume runs/my
    ricorda resume runs/my --minutes 30
    ricorda resume runs/my --text elsewhere/my.txt
    ricorda resume runs/my --processes 2
    """
    given = {name: value for name, value in options.items() if value is not None}
    from ricorda.training.run import resumed_run

    done = resumed_run(run, text=text or None, quiet=quiet, **given)
    return report_run(done, as_json=as_json)
