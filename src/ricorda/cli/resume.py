"""`ricorda resume`: continue a run."""

from pathlib import Path
from typing import Any

import click

from ricorda.cli.options import PathName, options_from, output_options
from ricorda.cli.train import report_run
from ricorda.training.options import BRANCH_OPTIONS, RESUME_OPTIONS, TrainingOptions


@click.command()
@click.argument("run", type=PathName(), required=False)
@click.option(
    "--text",
    multiple=True,
    metavar="TEXT",
    help="New location of the text, if it was moved. May be repeated.",
)
@click.option(
    "--validation",
    type=PathName(),
    help="New location of the validation file, if it was moved.",
)
@options_from(TrainingOptions, RESUME_OPTIONS[1:])
@click.option(
    "--out",
    type=PathName(),
    help="Folder of the branch. By default it is named after the run, as in RUN-branch.",
)
@options_from(TrainingOptions, BRANCH_OPTIONS, unset="as in the run")
@output_options
def command(
    run: Path | None, text: tuple[str, ...], as_json: bool, quiet: bool, **options: Any
) -> int:
    """Continue a run from its last checkpoint, by default the newest run.

    A new budget replaces the run's budget and counts from the start of the run: --steps 500 adds
    200 steps to a run of 300 steps, even if that run is complete. The learning rate of the
    remaining steps follows the schedule of the new budget.

    With --out, or a setting such as --learning-rate or --dropout, RUN stays as it is, and a branch
    of it continues in a new folder.

    \b
    ricorda resume runs/my
    ricorda resume runs/my --minutes 30
    ricorda resume runs/my --text elsewhere/my.txt
    ricorda resume runs/my --processes 2
    ricorda resume runs/my --learning-rate 1e-4 --dropout 0.3
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    from ricorda.training.run import resumed_run

    done = resumed_run(run, text=text or None, quiet=quiet, **given)
    return report_run(done, as_json=as_json)
