"""How the cost of learning grows: with the network, the batch, the window, the vocabulary; and how
it is divided between processes.

Everything is measured on generated text, float32 and the threads that the machine has, unless said
otherwise. Speeds are of training alone: evaluations and saves are left out.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.result import Result
from benchmarks.timing import Ratio
from benchmarks.train_memory import peak_megabytes
from ricorda.errors import RicordaError
from ricorda.model.configuration import ModelConfiguration
from ricorda.runs import RunFolder, read_rows

HIDDEN_SIZES = (64, 128, 256, 512, 1024)
BATCH_SIZES = (8, 16, 32, 64, 128)
WINDOWS = (16, 32, 64, 128, 256)
BASE: dict[str, int] = {"hidden_size": 256, "batch_size": 32, "window": 64}
MEMORY_HIDDEN_SIZES = (128, 256, 512, 1024, 2048)
VOCABULARIES = (100, 1000, 5000, 20_000)
SECONDS = 1.5  # of each measurement of a speed
SYMBOLS = 1_000_000  # of generated text
STEPS = 200  # of each run where processes are compared
PACES = {"fastest tenth of steps": 0.9, "median step": 0.5}
"""What stands for a run's speed, and what share of its steps is slower; other work only slows."""
WANTED_SPEED = 0.9
WANTED_LOSS = 1e-4

Say = Callable[[str], None]


def measure_training(say: Say, *, rounds: int = 1) -> Iterator[Result]:
    """Characters a second over hidden size, batch and window; memory over model and vocabulary.

    rounds: speeds are the median of so many turns, three at most.
    """
    turns = min(rounds, 3)
    for name, values in (
        ("hidden_size", HIDDEN_SIZES),
        ("batch_size", BATCH_SIZES),
        ("window", WINDOWS),
    ):
        for value in values:
            yield _speed(name, {**BASE, name: value}, turns)
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        text = Path(name) / "text.txt"
        text.write_text(generated_text(100, SYMBOLS // 4))
        say("memory over the model's size")
        for hidden_size in MEMORY_HIDDEN_SIZES:
            yield _memory("hidden_size", hidden_size, text, ("--hidden-size", str(hidden_size)))
        say("memory over the vocabulary's size")
        for vocabulary in VOCABULARIES:
            text.write_text(generated_text(vocabulary, SYMBOLS // 4))
            for kernels in ("auto", "off"):
                yield _memory(
                    f"vocabulary_kernels_{kernels}",
                    vocabulary,
                    text,
                    ("--hidden-size", "256", "--kernels", kernels),
                )


def measure_processes(
    say: Say,
    *,
    rounds: int,
    text: Path | None = None,
    steps: int = STEPS,
    **options: Any,
) -> Iterator[Result]:
    """Two processes of one thread against one of two, the same batch: speed, and the losses.

    text: one to learn in place of a generated one. Further options are those of `train`.
    """
    settings = {"hidden_size": 256, "batch_size": 32, "window": 64, **options}
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        place = Path(name)
        if text is None:
            text = place / "text.txt"
            text.write_text(generated_text(100, SYMBOLS))
        pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in PACES}
        apart = 0.0
        for number in range(1, rounds + 1):
            ours, theirs = (
                _run(place / f"{who}-{number}", text, steps, settings, processes, threads)
                for who, processes, threads in (("two", 2, 1), ("one", 1, 2))
            )
            apart = max(apart, _apart(ours, theirs))
            for pace, share in PACES.items():
                two, one = _pace(ours, share), _pace(theirs, share)
                pairs[pace].append((two, one))
                say(f"by the {pace}: two processes {two:,.0f}, one {one:,.0f} characters a second")
    for pace, found in pairs.items():
        ratios = [ours / theirs for ours, theirs in found]
        yield Result(
            f"2 processes of 1 thread, batch {settings['batch_size']}, {steps} steps: speed by "
            f"the {pace}",
            "1 process of 2 threads",
            Ratio(statistics.median(ratios), min(ratios), max(ratios)),
            WANTED_SPEED,
            details={
                "characters_a_second_of_two_processes": statistics.median(two for two, _ in found),
                "characters_a_second_of_one_process": statistics.median(one for _, one in found),
            },
        )
    yield Result(
        "the same: losses apart, relatively, at most",
        "1 process of 2 threads",
        Ratio(apart, apart, apart),
        WANTED_LOSS,
        at_most=True,
        unit="share",
    )


def generated_text(vocabulary: int, symbols: int, seed: int = 1) -> str:
    """The symbols of `generated_symbols` as ideographs."""
    return "".join(map(chr, 0x4E00 + generated_symbols(vocabulary, symbols, seed)))


def generated_symbols(vocabulary: int, symbols: int, seed: int = 1) -> NDArray[np.int64]:
    """Symbols (N,), some frequent and many rare (Zipf), every second one following from the one
    before; each of the vocabulary occurs."""
    random = np.random.default_rng(seed)
    ranks = np.arange(1, vocabulary + 1)
    drawn = random.choice(vocabulary, symbols, p=(1 / ranks) / (1 / ranks).sum())
    drawn[1::2] = (7 * drawn[: len(drawn[1::2]) * 2 : 2] + 3) % vocabulary
    drawn[:vocabulary] = ranks - 1  # each occurs
    return drawn


def _speed(name: str, sizes: dict[str, Any], turns: int) -> Result:
    """Real steps of a network on random symbols."""
    from ricorda.training import TrainingOptions, choose
    from ricorda.training.plan.machine import this_machine
    from ricorda.training.plan.speed import measure_speed

    options = TrainingOptions(**sizes, precision="float32", dropout=0.0, recurrent_dropout=0.0)
    configuration = choose(
        options, training_size=SYMBOLS, vocabulary_size=100, machine=this_machine(options)
    )
    symbols = configuration.batch_size * configuration.window
    speeds = [symbols * measure_speed(configuration, seconds=SECONDS) for _ in range(turns)]
    model: ModelConfiguration = configuration.model
    return Result(
        f"training, {name.replace('_', ' ')} {sizes[name]}: characters a second",
        "",
        Ratio(statistics.median(speeds), min(speeds), max(speeds)),
        unit="characters_a_second",
        details={name: sizes[name], "parameters": model.parameters},
    )


def _memory(name: str, value: int, text: Path, options: tuple[str, ...]) -> Result:
    """The peak memory of a short training in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        megabytes = peak_megabytes(
            [
                *(sys.executable, "-m", "ricorda", "train", str(text), "--quiet", "--steps", "2"),
                *("--batch-size", "32", "--window", "64", "--precision", "float32", *options),
                *("--out", str(Path(folder, "run"))),
            ]
        )
    return Result(
        f"training, {name.replace('_', ' ')} {value}: peak memory, MB",
        "",
        Ratio(megabytes, megabytes, megabytes),
        unit="megabytes",
        details={name: value},
    )


def _run(
    out: Path, text: Path, steps: int, settings: dict[str, Any], processes: int, threads: int
) -> list[dict[str, Any]]:
    """Train; hands back the training rows."""
    import ricorda

    ricorda.train(
        text,
        out=out,
        quiet=True,
        steps=steps,
        precision="float32",
        processes=processes,
        threads=threads,
        **settings,
    )
    rows = [row for row in read_rows(RunFolder(out).metrics) if row["event"] == "training"]
    if not rows:
        raise RicordaError(f"the training to be measured left no rows in {out}")
    return rows


def _pace(rows: list[dict[str, Any]], share: float) -> float:
    """Characters a second that so large a share of the steps does not reach."""
    speeds = sorted(row["characters_per_second"] for row in rows[len(rows) // 5 :])
    return float(speeds[int(share * len(speeds))])


def _apart(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> float:
    """How far two loss curves are apart at most, as a share of the loss."""
    apart: float = max(
        abs(mine["nats_per_character"] / its["nats_per_character"] - 1)
        for mine, its in zip(ours, theirs, strict=True)
    )
    return apart
