"""`python -m benchmarks`: this machine's figures, each with its peer."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from annotated_types import Ge

from benchmarks.figures import ROUNDS, Result, report, show
from ricorda.cli.options import PathName, number, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.texts import GivenReading, reading_options
from ricorda.errors import MissingExtra, RicordaError
from ricorda.model.cells import CELLS
from ricorda.text import find_sources, parse_size

PARTS = {
    "engine": ("steps", "ours", "sampling", "scoring", "adaptive", "process"),
    "train": ("tutorial", "steps", "sets", "share", "neighbour", "target", "memory"),
    "scale": ("encoding", "training", "processes", "softmax", "files", "gpu"),
    "documents": ("names", "languages", "prompts", "lines"),
    "export": ("c", "web"),
}
MODULES = {"engine": "engine", "train": "training", "scale": "growth", "documents": "documents"}
MODULES |= {"export": "export"}
"""Where a part's function `measure_PART` is, unless PLACES says otherwise."""

PLACES = {"target": "target", "memory": "memory", "encoding": "encoding", "files": "encoding"}
PLACES |= {"gpu": "gpu", "c": "c_program", "web": "web"}
UNASKED = {"files", "gpu"}
"""Measured only when asked for: a million files, which many disks have no room to name; a GPU."""

HELP = {
    "engine": "Measure the engine against PyTorch and ONNX Runtime, one thread.",
    "train": "Measure training against PyTorch, the tutorial's program and nanoGPT.",
    "scale": "Measure how cost grows with the text, the network, the vocabulary and the processes.",
    "documents": "Measure documents against one stream, labels against scikit-learn.",
    "export": "Measure what exported models run at.",
}


def options(*, part: tuple[str, ...] = (), minutes: float) -> Callable[[Any], Any]:
    """The options of a command, those of `part` among them."""
    found = [
        click.option("--text", type=PathName(), help="A text for whole trainings."),
        click.option("--minutes", type=number(Ge(0.001)), default=minutes, help="Of a training."),
        click.option("--rounds", type=whole_number(at_least=1), default=ROUNDS, help="Of A B A B."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    ]
    if part:
        found += [
            click.option("--part", "parts", multiple=True, type=click.Choice(part)),
            click.option("--nanogpt", type=PathName(), help="A checkout of nanoGPT."),
            click.option("--names", type=PathName(), help="A text with a name on each line."),
            click.option("--languages", type=PathName(), help="A folder with a text a language."),
            click.option("--folder", type=PathName(), help="For generated texts."),
            click.option("--largest", default="1GB", help="The largest text to encode."),
        ]

    def decorate(function: Any) -> Any:
        for option in found:
            function = option(function)
        return function

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def command() -> None:
    """Measure ricorda against its peers on this machine, which should be otherwise idle.

    Each figure is the median of pairwise ratios, with the least and the most. What needs a text, a
    checkout of nanoGPT or a package that is not there is left out and reported.
    """
    from ricorda.engine import kernels_are_built

    if not kernels_are_built():
        raise MissingExtra("the compiled kernels are missing: there is nothing to measure")


def _add_command(name: str) -> None:
    @command.command(name, help=HELP[name])
    @options(part=PARTS[name], minutes=1.0)
    def measure(parts: tuple[str, ...], as_json: bool, **settings: Any) -> None:
        if settings["text"] is not None:
            find_sources([str(settings["text"])])  # a wrong name is reported before anything runs
        if settings["nanogpt"] is not None:
            importlib.import_module("benchmarks.nanogpt").check(settings["nanogpt"])
        settings["largest"] = parse_size("--largest", settings["largest"])
        chosen = parts or [part for part in PARTS[name] if part not in UNASKED]
        show(name, _results(name, chosen, settings), as_json=as_json)


for _name in PARTS:
    _add_command(_name)


def _results(
    name: str, parts: tuple[str, ...] | list[str], settings: dict[str, Any]
) -> Iterator[Result]:
    for part in parts:
        module = importlib.import_module(f"benchmarks.{PLACES.get(part, MODULES[name])}")
        try:
            yield from getattr(module, f"measure_{part}")(**settings)
        except MissingExtra as error:
            report(f"{part}: left out: {error}")


@command.command()
@click.option("--most", type=number(Ge(1)), default=5000.0, help="Largest forecast of a case, MB.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def memory(most: float, as_json: bool) -> None:
    """Measure the peak memory of trainings against the forecast of `ricorda train --dry-run`."""
    from benchmarks.memory import against_forecasts

    show("memory", against_forecasts(most), as_json=as_json)


@command.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@options(minutes=1.0)
@click.option("--seeds", type=whole_number(at_least=1), default=3, help="Of whole trainings.")
@click.option("--steps", type=whole_number(at_least=10), default=150, help="Of timed trainings.")
def against(folder: Path, seeds: int, as_json: bool, **settings: Any) -> None:
    """Measure training against another checkout, FOLDER, that has its own compiled kernels.

    Characters per second of LSTM 512 and GRU 256, batch 16, window 64, float32 and bfloat16; with
    --text also the validation loss after --minutes of training, for seeds 1 to --seeds.
    """
    from benchmarks.against import measure

    results = measure(folder, seeds=range(1, seeds + 1), **settings)
    show("against", results, as_json=as_json)


@command.command()
@click.argument("old", type=PathName())
@click.argument("new", type=PathName())
@click.option("--minutes", type=number(Ge(0.001)), default=1.0, help="Of each training of NEW.")
@click.option("--before", type=number(Ge(0.001)), default=3.0, help="Minutes of training OLD.")
@click.option("--hidden-size", type=whole_number(at_least=1), default=256)
@click.option("--seed", type=whole_number(at_least=0), default=1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def finetune(old: Path, new: Path, as_json: bool, **settings: Any) -> None:
    """Measure a start from a model of OLD on the text NEW against a cold start."""
    from benchmarks.finetune import measure

    find_sources([str(old), str(new)])
    show("finetune", measure(old, new, **settings), as_json=as_json)


@command.command()
@click.argument("files", type=PathName(), nargs=-1, required=True)
@click.option("--threads", type=whole_number(at_least=1), default=2)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compress(files: tuple[Path, ...], threads: int, as_json: bool) -> None:
    """Measure `ricorda compress` against xz, zstd and 7z's PPMd on FILES, in bytes and speed."""
    from benchmarks.compression import measure

    found = []
    for each in measure(list(files), threads):
        found.append(each._asdict())
        speed = each.size / each.seconds / 1000
        if not as_json:
            say(
                f"{each.file:<20} {each.program:<9} {each.compressed_size:>10,} bytes "
                f"{each.bits_per_byte:.3f} bits per byte {speed:>9,.0f} kB/s"
            )
    if as_json:
        print_json({"compress": found})


@command.command()
@click.option("--text", type=PathName(), help="A text, instead of Python's library.")
@click.option("--cells", default=",".join(CELLS), help="Which to compare.")
@click.option("--minutes", type=number(Ge(0.001)), default=1.0, help="Of a training.")
@click.option("--seeds", type=whole_number(at_least=1), default=3, help="Of each cell.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def cells(text: Path | None, cells: str, minutes: float, seeds: int, as_json: bool) -> None:
    """Compare cells at the same time: the chart and the table of the documentation."""
    from benchmarks.cells import PAGES, markdown, measure, write_pages

    comparison = measure(text, cells.split(","), minutes=minutes, seeds=seeds)
    write_pages(comparison, text, minutes, PAGES)
    print_json(comparison.as_json()) if as_json else say(markdown(comparison))


@command.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--seconds", type=number(Ge(0.1)), default=20.0, help="Of training each text.")
@click.option("--steps", type=whole_number(at_least=1), help="Of training, instead of --seconds.")
@click.option("--least", default="50KB", help="Size of the smallest text.")
@click.option("--threads", type=whole_number(at_least=1), default=2)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def adaptive(
    folder: Path, seconds: float, steps: int | None, least: str, threads: int, as_json: bool
) -> None:
    """Measure adaptive reading of the texts in FOLDER, in bits per byte.

    The first nine tenths of each train a network. The last tenth is read frozen, by networks that
    learn, and by these and counts; xz -9e is the peer.
    """
    from benchmarks.adaptive import measurements

    budget = ["--steps", str(steps)] if steps else ["--minutes", str(seconds / 60)]
    if not as_json:
        say(f"{'text':<24} {'bytes':>9} {'frozen':>8} {'networks':>8} {'adaptive':>8} {'xz':>8}")
    found = []
    for path, each in measurements(folder, budget, parse_size("--least", least), threads):
        if isinstance(each, str):
            report(f"{path}: left out: {each}")
            continue
        found.append(each._asdict())
        if not as_json:
            say(
                f"{each.text:<24} {each.size:>9,} {each.frozen:>8.3f} {each.networks:>8.3f} "
                f"{each.adaptive:>8.3f} {each.xz:>8.3f}  "
                + " ".join(f"{speed:,.0f}" for speed in each.speeds)
                + " symbols a second"
            )
    if as_json:
        print_json({"adaptive": found})


@command.command()
@click.argument("model", type=PathName())
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def precision(model: Path, texts: tuple[str, ...], reading: GivenReading, as_json: bool) -> None:
    """Measure what MODEL loses on TEXT in bfloat16 and in int8, in nats per character."""
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


@command.command()
@click.option("--minutes", type=number(Ge(0.001)), default=8.0, help="Of all turns together.")
@click.option("--rounds", type=whole_number(at_least=1), default=8, help="Of A B A B.")
@click.option("--hidden-size", type=whole_number(at_least=1), default=256)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def page(minutes: float, rounds: int, hidden_size: int, as_json: bool) -> None:
    """Measure what the studio's open page costs a training, in one run."""
    from benchmarks.page import measure

    results = measure(minutes=minutes, rounds=rounds, hidden_size=hidden_size)
    show("page", results, as_json=as_json)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; an error of ricorda is reported in one line."""
    try:
        command.main(arguments, prog_name="python -m benchmarks")
    except RicordaError as error:
        sys.exit(f"benchmarks: {error}")


if __name__ == "__main__":
    main()
