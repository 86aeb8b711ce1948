"""`ricorda bench`: this machine's figures, each with its peer."""

import importlib
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from annotated_types import Ge
from rich.console import Console
from rich.table import Table

from ricorda.cli.options import PathName, number, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.texts import GivenReading, reading_options
from ricorda.errors import MissingExtra
from ricorda.extras import require_torch
from ricorda.text import find_sources, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.result import Result

PARTS = ("tutorial", "layers", "share", "neighbour", "target", "memory")
ENGINE_PARTS = ("steps", "ours", "scoring", "process")
FILE_WIDTH = 160

SCALE_PARTS = {
    "encoding": ("benchmarks.scale", "measure_encoding"),
    "files": ("benchmarks.scale_files", "measure_files"),
    "training": ("benchmarks.scale_training", "measure_training"),
    "processes": ("benchmarks.scale_training", "measure_processes"),
    "softmax": ("benchmarks.scale_softmax", "measure_softmax"),
    "gpu": ("benchmarks.scale_gpu", "measure_gpu"),
}
"""What measures each part of `bench scale`: called with a way to say a word, and the rounds."""

LEARNING_SCALE_PARTS = {"training", "processes", "softmax", "gpu"}
"""Those that need PyTorch."""

UNASKED_SCALE_PARTS = ("encoding", "training", "processes", "softmax")
"""All but a million files, which many disks have no room to name, and a GPU."""


@click.group()
def command() -> None:
    """Measure ricorda against its peers on this machine, which should be otherwise idle."""


rounds_option = click.option(
    "--rounds",
    type=whole_number(at_least=1),
    default=9,
    show_default=True,
    help="Turns of each side; what takes long is repeated less often.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@command.command(short_help="Measure the engine against PyTorch and ONNX Runtime.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(ENGINE_PARTS),
    help="Measure this part alone; may be given more than once.",
)
@rounds_option
@json_option
def engine(parts: tuple[str, ...], rounds: int, as_json: bool) -> None:
    """Measure the engine against PyTorch and ONNX Runtime, one thread, some minutes.

    Each figure is the median of pairwise ratios, with the least and the most.
    """
    _require_kernels()
    from benchmarks.engine import run

    results = run(_say, rounds, parts or ENGINE_PARTS)  # type: ignore[arg-type]
    _show("engine", results, as_json=as_json)


@command.command(short_help="Measure training against PyTorch and nanoGPT.")
@click.option(
    "--text",
    type=PathName(),
    help="The text to learn where a whole training is measured.",
)
@click.option(
    "--nanogpt",
    type=PathName(),
    help="A checkout of nanoGPT, whose recipe for a processor is run beside ours.",
)
@click.option(
    "--minutes",
    type=number(Ge(0.001)),
    default=1.0,
    show_default=True,
    help="The budget of the training whose memory is measured.",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(PARTS),
    help="Measure this part alone; may be given more than once.",
)
@rounds_option
@json_option
def train(
    text: Path | None,
    nanogpt: Path | None,
    minutes: float,
    parts: tuple[str, ...],
    rounds: int,
    as_json: bool,
) -> None:
    """Measure training against PyTorch, the tutorial's program and nanoGPT, some minutes.

    Each figure is the median of pairwise ratios, with the least and the most. What needs a text
    or nanoGPT is left out where it is not given.
    """
    _require_kernels()
    require_torch()
    from benchmarks import nanogpt as peer
    from benchmarks.train import run

    if text is not None:
        find_sources([str(text)])
    if nanogpt is not None:
        peer.check(nanogpt)
    results = run(
        _say,
        text=text,
        nanogpt=nanogpt,
        minutes=minutes,
        rounds=rounds,
        parts=parts or PARTS,  # type: ignore[arg-type]
    )
    _show("train", results, as_json=as_json)


@command.command(short_help="Measure how cost grows with text, network and processes.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(list(SCALE_PARTS)),
    help="Measure this part alone; may be given more than once.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the generated texts go, three times the largest; by default the system's "
    "temporary folder.",
)
@click.option(
    "--largest",
    metavar="SIZE",
    default="1GB",
    show_default=True,
    help="The largest text to encode.",
)
@click.option(
    "--text",
    type=PathName(),
    help="For part softmax: a text of many different characters, to be learned both ways, up to "
    "three times each. For part gpu: tinyshakespeare, to be learned as well as nanoGPT learns it.",
)
@click.option(
    "--minutes",
    type=number(Ge(0.001)),
    default=3.0,
    show_default=True,
    help="For part softmax: the budget of each training.",
)
@click.option(
    "--nanogpt",
    type=PathName(),
    help="For part gpu: a checkout of nanoGPT, whose recipe for a GPU is run beside ours.",
)
@rounds_option
@json_option
def scale(
    parts: tuple[str, ...],
    folder: Path | None,
    largest: str,
    text: Path | None,
    minutes: float,
    nanogpt: Path | None,
    rounds: int,
    as_json: bool,
) -> None:
    """Measure how cost grows: encoding over the text's size, training, several processes, a
    sampled softmax over the vocabulary's size.

    Only when asked for: part files writes and encodes a million small files, and a bomb; part gpu
    measures training on a GPU.
    """
    settings: dict[str, dict[str, Any]] = {
        "encoding": {"folder": folder, "largest": parse_size("--largest", largest)},
        "files": {"folder": folder},
        "softmax": {"text": text, "minutes": minutes},
        "gpu": {"text": text, "nanogpt": nanogpt},
    }
    results: list[Iterable[Result]] = []
    chosen = parts or UNASKED_SCALE_PARTS
    if LEARNING_SCALE_PARTS.intersection(chosen):
        require_torch()
    if text is not None:
        find_sources([str(text)])  # a wrong name is told at once
    for part in chosen:
        module, function = SCALE_PARTS[part]
        measure = getattr(importlib.import_module(module), function)
        results.append(measure(_say, rounds=rounds, **settings.get(part, {})))
    _show("scale", itertools.chain.from_iterable(results), as_json=as_json)


@command.command(short_help="Say what a model loses in bfloat16 and in int8.")
@click.argument("model", type=PathName())
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def precision(model: Path, texts: tuple[str, ...], reading: GivenReading, as_json: bool) -> None:
    """Say what MODEL loses on TEXT in bfloat16 and in int8, in nats per character."""
    from benchmarks.precision import losses

    found = losses(model, texts, reading.reader_for)
    if as_json:
        print_json({"precision": found})
        return
    for name, figures in found.items():
        say(
            f"{name:<9} {figures['nats_per_character']:.5f} nats per character, "
            f"{figures['loss']:+.5f}, {figures['microseconds_per_symbol']:.1f} us a symbol"
        )


def _require_kernels() -> None:
    """Without the kernels there is nothing to measure."""
    from ricorda.engine import kernels_are_built

    if not kernels_are_built():
        raise MissingExtra("the compiled kernels are missing: there is nothing to measure")


def _say(message: str) -> None:
    """A word beside the figures."""
    say(message, err=True)


def _show(name: str, results: "Iterable[Result]", *, as_json: bool) -> None:
    """Tell each figure as it comes, then all of them."""
    kept = []
    for result in results:
        _say(f"{result.what} / {result.peer}: {result.ratio.median:.2f}")
        kept.append(result)
    if as_json:
        print_json({name: [result.as_json() for result in kept]})
    else:
        # A file has no width: lines long enough not to be broken.
        width = None if sys.stdout.isatty() else FILE_WIDTH
        Console(width=width).print(_table(kept))


def _table(results: "list[Result]") -> Table:
    """The figures side by side."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what")
    table.add_column("against")
    for name in ("figure", "least", "most", "wanted", "ours", "theirs"):
        table.add_column(name, justify="right")
    for each in results:
        ratio = each.ratio
        table.add_row(
            each.what,
            each.peer,
            *(f"{value:,.2f}" for value in (ratio.median, ratio.least, ratio.most)),
            _wanted(each),
            *(_speed(each, side) for side in ("ours", "theirs")),
        )
    return table


def _wanted(result: "Result") -> str:
    """The bound, and which way it holds."""
    if result.wanted is None:
        return ""
    return f"{'at most' if result.at_most else 'at least'} {result.wanted:g}"


def _speed(result: "Result", side: str) -> str:
    """What one side reaches: arithmetic a second where it was counted, else seconds."""
    rate = result.details.get(f"gigaflops_a_second_{side}")
    if rate is not None:
        return f"{rate:,.0f} GFLOP/s"
    seconds = result.ratio.ours if side == "ours" else result.ratio.peer
    if seconds is None:
        return ""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:,.1f} {unit}"
    return f"{seconds * 1e6:.2f} us"
