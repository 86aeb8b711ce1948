"""`ricorda bench`: this machine's figures, each with its peer."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ricorda.cli.output import print_json
from ricorda.errors import MissingExtra

if TYPE_CHECKING:
    from ricorda.bench.engine import Result


@click.group()
def command() -> None:
    """Measure ricorda against its peers on this machine, which should be otherwise idle."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def engine(as_json: bool) -> None:
    """Measure the engine against PyTorch and ONNX Runtime, one thread, some minutes.

    Each figure is the median of pairwise ratios, with the least and the most.
    """
    from ricorda.engine import kernels_are_built

    if not kernels_are_built():
        raise MissingExtra("the compiled kernels are missing: there is nothing to measure")
    from ricorda.bench.engine import run

    results = []
    for result in run(lambda message: click.echo(message, err=True)):
        click.echo(f"{result.what} / {result.peer}: {result.ratio.median:.1f}", err=True)
        results.append(result)
    if as_json:
        print_json({"engine": [result.as_json() for result in results]})
    else:
        Console().print(_table(results))


@command.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def precision(model: Path, texts: tuple[str, ...], as_json: bool) -> None:
    """Say what MODEL loses on TEXT in bfloat16 and in int8, in nats per character."""
    from ricorda.bench.precision import losses

    found = losses(model, texts)
    if as_json:
        print_json({"precision": found})
        return
    for name, figures in found.items():
        click.echo(
            f"{name:<9} {figures['nats_per_character']:.5f} nats per character, "
            f"{figures['loss']:+.5f}, {figures['microseconds_per_symbol']:.1f} us a symbol"
        )


def _table(results: "list[Result]") -> Table:
    """The figures side by side."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what")
    table.add_column("against")
    for name in ("times", "least", "most", "wanted", "ours, us", "theirs, us"):
        table.add_column(name, justify="right")
    for each in results:
        ratio = each.ratio
        table.add_row(
            each.what,
            each.peer,
            *(f"{value:.2f}" for value in (ratio.median, ratio.least, ratio.most, each.wanted)),
            *(f"{seconds * 1e6:,.1f}" for seconds in (ratio.ours, ratio.peer)),
        )
    return table
