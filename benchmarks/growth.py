"""How the cost of training grows: with the network, the batch, the window, the vocabulary; how it
is divided between processes; what a sampled softmax saves.

Everything is measured on generated text, in float32 and with the threads that the machine has,
unless said otherwise. Speeds are of training alone: evaluations and saves are left out.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Ratio, Result, nats_more_than, ratio_of, report, spread
from benchmarks.runs import TIMED, Trained, train

VARIED = {
    "hidden-size": (64, 128, 256, 512, 1024),
    "batch-size": (8, 16, 32, 64, 128),
    "window": (16, 32, 64, 128, 256),
}
BASE = {"hidden-size": 256, "batch-size": 32, "window": 64}
MEMORY_HIDDEN_SIZES = (128, 256, 512, 1024, 2048)
VOCABULARIES = (100, 1000, 5000, 20_000)
SYMBOLS = 250_000  # of a generated text
STEPS = 40  # of each run that measures a speed
PROCESSES_STEPS = 200
SPEEDS = {"fastest tenth of steps": 0.9, "median step": 0.5}
"""What stands for a run's speed, and what share of its steps is slower; other work only slows."""
SOFTMAX_VOCABULARIES = (1000, 3000, 6000, 20_000)
SOFTMAX_CANDIDATES = 512
SOFTMAX_OPTIONS = {"hidden-size": 128, "embedding-size": 128, "batch-size": 16, "window": 64}
MOST_ROUNDS = 3  # of what takes long


def measure_training(*, rounds: int, **_: Any) -> Iterator[Result]:
    """Characters per second by hidden size, batch and window; memory by model and vocabulary."""
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        text = write_generated(Path(name, "text.txt"), 100)
        for option, values in VARIED.items():
            for value in values:
                sizes = {**BASE, option: value}
                runs = [_train(text, STEPS, **sizes) for _ in range(min(rounds, MOST_ROUNDS))]
                yield Result(
                    f"training, {option} {value}: characters per second",
                    "",
                    spread([run.speed() for run in runs]),
                    unit="characters_a_second",
                    details={option: value, "parameters": runs[0].result["parameters"]},
                )
        for value in MEMORY_HIDDEN_SIZES:
            yield _memory("hidden-size", value, _train(text, 2, **{**BASE, "hidden-size": value}))
        for vocabulary in VOCABULARIES:
            write_generated(text, vocabulary)
            yield _memory("vocabulary", vocabulary, _train(text, 2, **BASE))


def measure_processes(*, rounds: int, text: Path | None, **_: Any) -> Iterator[Result]:
    """Two processes of one thread against one of two, the same batch: speed, and the losses."""
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        text = text or write_generated(Path(name, "text.txt"), 100)
        pairs = [
            (
                _train(text, PROCESSES_STEPS, **BASE, processes=2, threads=1),
                _train(text, PROCESSES_STEPS, **BASE, processes=1, threads=2),
            )
            for _ in range(min(rounds, 5))
        ]
    for measure, slower in SPEEDS.items():
        yield Result(
            f"2 processes of 1 thread, batch {BASE['batch-size']}: speed by the {measure}",
            "1 process of 2 threads",
            ratio_of([(1 / two.speed(slower), 1 / one.speed(slower)) for two, one in pairs]),
        )
    yield Result(
        "the same: relative difference of losses",
        "1 process of 2 threads",
        spread([_apart(two, one) for two, one in pairs]),
        1e-4,
        at_most=True,
        unit="share",
    )


def measure_softmax(
    *, rounds: int, text: Path | None, minutes: float, **_: Any
) -> Iterator[Result]:
    """The speed of a sampled softmax over the vocabulary's size; with a text, what is learned."""
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        for vocabulary in SOFTMAX_VOCABULARIES:
            generated = write_generated(Path(name, "text.txt"), vocabulary)
            candidates = min(SOFTMAX_CANDIDATES, vocabulary // 2)
            ratio = _softmax_speed(generated, candidates, min(rounds, MOST_ROUNDS))
            yield Result(
                f"sampled softmax, {vocabulary:,} symbols: characters per second",
                "softmax over all",
                ratio,
                details={"candidates": candidates},
            )
    if text is not None:
        yield _learned(text, minutes, min(rounds, MOST_ROUNDS))


def _softmax_speed(text: Path, candidates: int, rounds: int) -> Ratio:
    """Steps with candidates against steps over all symbols."""

    def seconds(number: int) -> float:
        sizes = {**SOFTMAX_OPTIONS, "softmax-candidates": number}
        return 1 / _train(text, STEPS, **sizes).speed()

    return ratio_of([(seconds(candidates), seconds(0)) for _ in range(rounds)])


def _learned(text: Path, minutes: float, rounds: int) -> Result:
    """Whole trainings of the same time; the loss is that over all symbols."""
    differences = []
    for seed in range(1, rounds + 1):
        options = ["--minutes", f"{minutes:g}", "--seed", str(seed), "--softmax-candidates"]
        nats = []
        for candidates in (SOFTMAX_CANDIDATES, 0):
            with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
                run = train(text, Path(name, "run"), *options, str(candidates))
            nats.append(run.result["validation"]["nats_per_character"])
        report(f"seed {seed}: sampled {nats[0]:.4f}, exact {nats[1]:.4f} nats per character")
        differences.append(nats[0] - nats[1])
    training = f"sampled softmax, {text.name}, {minutes:g} minutes"
    return nats_more_than("softmax over all", training, differences, 0.0)


def write_generated(path: Path, vocabulary: int, symbols: int = SYMBOLS) -> Path:
    """Write the symbols of `generated_symbols` as ideographs."""
    path.write_text("".join(map(chr, 0x4E00 + generated_symbols(vocabulary, symbols))), "utf-8")
    return path


def generated_symbols(vocabulary: int, symbols: int, seed: int = 1) -> NDArray[np.int64]:
    """Symbols (N,), some frequent and many rare (Zipf), every second one following from the one
    before; each of the vocabulary occurs."""
    random = np.random.default_rng(seed)
    ranks = np.arange(1, vocabulary + 1)
    drawn = random.choice(vocabulary, symbols, p=(1 / ranks) / (1 / ranks).sum())
    drawn[1::2] = (7 * drawn[: len(drawn[1::2]) * 2 : 2] + 3) % vocabulary
    drawn[:vocabulary] = ranks - 1  # each occurs
    return drawn


def _train(text: Path, steps: int, **options: Any) -> Trained:
    """Train in float32 without dropout; options by their names on the command line."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    plain = ["--precision", "float32", *TIMED]
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        return train(text, Path(name, "run"), "--steps", str(steps), *plain, *words)


def _memory(name: str, value: int, run: Trained) -> Result:
    return Result(
        f"training, {name} {value}: peak memory, MB",
        "",
        spread([run.megabytes]),
        unit="megabytes",
        details={name: value},
    )


def _apart(ours: Trained, theirs: Trained) -> float:
    """How far two loss curves are apart at most, as a share of the loss."""
    apart: float = max(
        abs(mine["nats_per_character"] / its["nats_per_character"] - 1)
        for mine, its in zip(ours.rows, theirs.rows, strict=True)
    )
    return apart
