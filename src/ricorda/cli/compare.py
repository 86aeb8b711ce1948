"""`ricorda compare`: train cells, or other settings, beside each other."""

from typing import Any

import click

from ricorda.cli.options import GroupedCommand, GroupedOption, options_from, output_options
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_table
from ricorda.errors import ConfigurationError
from ricorda.experiments.comparison import SPARE, Comparison, ComparisonOptions
from ricorda.experiments.trial import BUDGETS, TRIAL_OPTIONS
from ricorda.model.cells import CELLS
from ricorda.option_groups import Group
from ricorda.training.options import TrainingOptions

OWN = ["seeds", "match", "out"]
PASSED_ON = [name for name in TRIAL_OPTIONS if name != "cell"]


@click.command(cls=GroupedCommand)
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option(
    "--cells",
    cls=GroupedOption,
    group=Group.ESSENTIAL,
    metavar="CELL,CELL",
    help=f"Cells to compare, separated by commas: {', '.join(CELLS)}.",
)
@click.option(
    "--vary",
    cls=GroupedOption,
    group=Group.ESSENTIAL,
    metavar="OPTION=VALUE,VALUE",
    help="Another option of `ricorda train` and its values, such as hidden_size=128,256.",
)
@options_from(ComparisonOptions, OWN)
@options_from(TrainingOptions, [*BUDGETS, *PASSED_ON])
@output_options
@click.pass_context
def command(
    context: click.Context,
    /,
    texts: tuple[str, ...],
    cells: str | None,
    vary: str | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Train cells, or values of another option, on TEXT and compare their validation losses.

    Each training gets the same budget, by default one minute: --cells lstm,gru --seeds 3 takes six
    minutes. The values take turns, so that a disturbance of the machine affects all of them. The
    table shows the mean and the standard deviation over the seeds; the folder holds a chart, a
    report with the loss curves and each run. The same command continues an interrupted comparison.

    \b
    ricorda compare my.txt --cells lstm,gru,rnn,cifg
    ricorda compare my.txt --cells lstm,gru --match parameters --hidden-size 256
    ricorda compare my.txt --vary hidden_size=128,256,512 --minutes 3
    """
    from ricorda.experiments.comparison import run_comparison

    given = {name: value for name, value in options.items() if value is not None}
    done = run_comparison(
        *texts,
        cells=None if cells is None else cells.split(","),
        vary=None if vary is None else _varied(vary, context),
        quiet=quiet,
        **given,
    )
    if as_json:
        print_json(done.as_json())
    else:
        _show(done)
    return 0 if done.signal_number is None else 128 + done.signal_number


def _varied(vary: str, context: click.Context) -> dict[str, list[Any]]:
    """Parse OPTION=VALUE,VALUE; each value is parsed as the option of that name is."""
    name, equals, values = vary.partition("=")
    name = name.removeprefix("--").replace("-", "_")
    if not equals:
        raise ConfigurationError(f"--vary {vary}: expected OPTION=VALUE,VALUE")
    if name == "cell":
        return {name: values.split(",")}
    options = {each.name: each for each in context.command.params}
    if name not in PASSED_ON or name not in options:
        raise ConfigurationError(f"--vary {name}: expected an option of `ricorda train`")
    option = options[name]
    return {name: [option.type.convert(each, option, context) for each in values.split(",")]}


def _show(done: Comparison) -> None:
    """Print the table and where the chart is; of an interrupted comparison what there is."""
    if any(row.figures for row in done.rows):
        print_table(done.columns, done.table(), SPARE)
    say(f"report: {done.folder / 'report.html'}", err=True)
    if done.signal_number is not None:
        say("interrupted; continue with the same command", err=True)
