"""This checkout against another: the speed of training, and what is learned in the same time.

Both are run by their command lines, by turns; each checkout has its own compiled kernels.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ricorda
from benchmarks.figures import Result, nats_more_than, ratio_of, report
from benchmarks.generated_text import write_text
from benchmarks.runs import TIMED, Trained, train
from ricorda.errors import ConfigurationError, InputError

OURS = Path(ricorda.__file__).parents[1]
LEAST_SPEED = 0.98
MOST_NATS = 0.005
TEXT_BYTES = 2 * 10**6
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Case:
    """A network whose training is timed."""

    cell: str
    hidden_size: int
    batch_size: int = 16
    window: int = 64


CASES = (Case("lstm", 512), Case("gru", 256))


def source_of(folder: Path) -> Path:
    """Find the package of a checkout, in `src` or in the folder itself.

    Raises ConfigurationError if it is not there or its kernels are not compiled.
    """
    for source in (folder / "src", folder):
        if list((source / "ricorda").glob("_kernels*.so")):
            return source.resolve()
    raise ConfigurationError(f"expected a checkout of ricorda with compiled kernels in {folder}")


def measure(
    folder: Path,
    *,
    text: Path | None,
    minutes: float,
    seeds: Sequence[int],
    rounds: int,
    steps: int,
) -> Iterator[Result]:
    """Compare speeds, and with a text what is learned of it in so many minutes."""
    other = source_of(folder)
    for case in CASES:
        for precision in PRECISIONS:
            yield from _speed(other, case, precision, rounds, steps)
    if text is not None:
        yield _quality(other, text, minutes, seeds)


def by_turns(
    other: Path, text: Path, options: Callable[[int], Sequence[str]], turns: Sequence[int]
) -> Iterator[tuple[Trained, Trained]]:
    """Train by both, A B A B; `options` has those of a turn."""
    for turn in turns:
        with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
            place = Path(name)
            ours = train(text, place / "ours", *options(turn), source=OURS)
            theirs = train(text, place / "theirs", *options(turn), source=other)
        yield ours, theirs


def _speed(other: Path, case: Case, precision: str, rounds: int, steps: int) -> Iterator[Result]:
    options = [
        *("--cell", case.cell, "--hidden-size", str(case.hidden_size)),
        *("--batch-size", str(case.batch_size), "--window", str(case.window)),
        *("--precision", precision, "--steps", str(steps), "--seed", "1"),
        *TIMED,
    ]
    what = f"training, {case.cell} {case.hidden_size} {precision}: characters per second"
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        text = Path(name, "text.txt")
        write_text(text, TEXT_BYTES)
        try:
            pairs = [
                (1 / ours.speed(), 1 / theirs.speed())
                for ours, theirs in by_turns(other, text, lambda _: options, range(rounds))
            ]
        except InputError as error:  # such as bfloat16 on a processor that lacks it
            return report(f"{what}: left out: {error}")
    yield Result(what, "the other checkout", ratio_of(pairs), LEAST_SPEED)


def _quality(other: Path, text: Path, minutes: float, seeds: Sequence[int]) -> Result:
    def options(seed: int) -> list[str]:
        return ["--minutes", f"{minutes:g}", "--seed", str(seed)]

    differences = []
    for seed, sides in zip(seeds, by_turns(other, text, options, seeds), strict=True):
        nats = [side.result["validation"]["nats_per_character"] for side in sides]
        report(f"seed {seed}: {nats[0]:.4f} nats per character, the other checkout {nats[1]:.4f}")
        differences.append(nats[0] - nats[1])
    training = f"training, {text.name}, {minutes:g} minutes"
    return nats_more_than("the other checkout", training, differences, MOST_NATS)
