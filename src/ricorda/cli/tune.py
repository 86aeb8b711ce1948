"""`ricorda tune`: search for good settings."""

from typing import Any

import click

from ricorda.cli.options import GroupedCommand, GroupedOption, options_from, output_options
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_table
from ricorda.experiments.trial import TRIAL_OPTIONS
from ricorda.experiments.tuning import TUNING, Tuning, TuningOptions
from ricorda.model.cells import CELLS
from ricorda.option_groups import Group
from ricorda.shell import command_line
from ricorda.training.options import TrainingOptions


@click.command(cls=GroupedCommand)
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@options_from(TuningOptions, TUNING)
@click.option(
    "--cells",
    cls=GroupedOption,
    group=Group.ESSENTIAL,
    metavar="CELL,CELL",
    help=f"Also search among these cells, separated by commas: {', '.join(CELLS)}.",
)
@options_from(TrainingOptions, ["steps", "epochs", *TRIAL_OPTIONS])
@output_options
def command(
    texts: tuple[str, ...], cells: str | None, as_json: bool, quiet: bool, **options: Any
) -> int:
    """Search for the settings that predict TEXT best, within --minutes in all.

    Each trial is a training. The first has the planner's settings; the others vary the learning
    rate, hidden size, batch size, window, dropout, recurrent dropout and weight decay around them,
    chosen by Optuna from the trials so far. After a ninth and a third of its budget, a trial
    continues only if it is among the best third. An option that is given is fixed. With --steps or
    --epochs, the budget of a whole trial, --minutes is not used.

    The folder holds every run, the trials in SQLite, a report, and best.toml for `ricorda train
    --config`. The same command continues an interrupted search; given twice, both work together.
    Requires the extra tune.

    \b
    ricorda tune my.txt --minutes 30 --trials 12
    ricorda tune my.txt --cells lstm,gru --processes 2
    ricorda train my.txt --config experiments/my-tune/best.toml --minutes 30
    """
    from ricorda.experiments.tuning import run_tuning

    given = {name: value for name, value in options.items() if value is not None}
    chosen = None if cells is None else cells.split(",")
    done = run_tuning(*texts, cells=chosen, quiet=quiet, **given)
    if as_json:
        print_json(done.as_json())
    else:
        _show(done)
    return 0 if done.signal_number is None else 128 + done.signal_number


def _show(done: Tuning) -> None:
    """Print the trials, and what to do with the best one."""
    spare = [name for name in reversed(done.columns) if name not in done.columns[:3]]
    print_table(done.columns, done.table(), spare)
    say(f"report: {done.folder / 'report.html'}", err=True)
    if done.signal_number is not None:
        say("interrupted; continue with the same command", err=True)
    elif done.best is not None:
        best = command_line(["--config", done.folder / "best.toml"])
        say(f"train with the best settings: ricorda train TEXT {best}", err=True)
