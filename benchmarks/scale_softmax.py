"""What a sampled softmax is worth: the speed of a step, and what is learned in the same time.

Both sides are ricorda: with the softmax over all symbols, and with the sampled one that its plan
takes where a text has many. In the same time each learns the network of its own plan.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.result import Result
from benchmarks.scale_training import generated_symbols
from benchmarks.steps import repeated, step_of
from benchmarks.timing import Ratio, compare
from ricorda.cores import usable_cores
from ricorda.errors import TextError
from ricorda.model.configuration import ModelConfiguration
from ricorda.text import find_sources, read_text
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.plan.planner import SOFTMAX_CANDIDATES

VOCABULARIES = (1000, 3000, 6000, 20_000)
SYMBOLS = 200_000  # of each generated text
HIDDEN_SIZE = 128
LEARNING_RATE = 1e-3
MOST_ROUNDS = 3  # of whole trainings

Say = Callable[[str], None]


def measure_softmax(
    say: Say, *, rounds: int, text: Path | None = None, minutes: float = 3.0
) -> Iterator[Result]:
    """The speed of steps over the vocabulary's size; with a text, what is learned of it.

    minutes: the budget of each training; there are two for each of at most three seeds.
    """
    for vocabulary_size in VOCABULARIES:
        yield _speed(vocabulary_size, rounds)
    if text is not None:
        yield _learned(say, text, minutes, min(rounds, MOST_ROUNDS))


def _speed(vocabulary_size: int, rounds: int) -> Result:
    """Steps of the same network on the same windows, by turns."""
    ids = generated_symbols(vocabulary_size, SYMBOLS).astype(np.uint32)
    configuration = TrainingConfiguration(
        model=ModelConfiguration(
            cell="lstm",
            vocabulary_size=vocabulary_size,
            hidden_size=HIDDEN_SIZE,
            embedding_size=128,
        ),
        budget=Budget(steps=1),
        batch_size=16,
        window=64,
        learning_rate=LEARNING_RATE,
        softmax_candidates=min(SOFTMAX_CANDIDATES, vocabulary_size // 2),
        threads=usable_cores(),
    )
    exact = replace(configuration, softmax_candidates=0)
    sampled, whole = (repeated(step_of(each, ids)) for each in (configuration, exact))
    ratio = compare(sampled, whole, rounds)
    return Result(
        f"sampled softmax, {vocabulary_size:,} symbols, lstm {HIDDEN_SIZE}: speed of a step",
        "softmax over all",
        ratio,
        details={"candidates": configuration.softmax_candidates},
    )


def _learned(say: Say, text: Path, minutes: float, rounds: int) -> Result:
    """Whole trainings of the same time, each as its plan has it; judged by all symbols."""
    import ricorda

    different = len(set().union(*read_text(find_sources([str(text)]))))
    if different <= SOFTMAX_CANDIDATES:
        raise TextError(
            f"{text}: expected more than {SOFTMAX_CANDIDATES} different characters to draw from, "
            f"got {different}"
        )
    differences, exact = [], []
    for seed in range(1, rounds + 1):
        nats = {}
        for candidates in (SOFTMAX_CANDIDATES, 0):
            with tempfile.TemporaryDirectory(prefix="ricorda-") as place:
                run = ricorda.train(
                    text,
                    out=Path(place, "run"),
                    minutes=minutes,
                    seed=seed,
                    softmax_candidates=candidates,
                    quiet=True,
                )
            nats[candidates] = run.metrics["validation"]["nats_per_character"]
        sampled, whole = nats[SOFTMAX_CANDIDATES], nats[0]
        say(f"seed {seed}: sampled {sampled:.4f}, exact {whole:.4f} nats a character")
        differences.append(sampled - whole)
        exact.append(whole)
    return Result(
        f"sampled softmax, {text.name}, {minutes:g} minutes: nats above the exact one's",
        "softmax over all",
        Ratio(statistics.median(differences), min(differences), max(differences)),
        0.0,
        at_most=True,
        unit="nats",
        details={"exact_nats_per_character": statistics.median(exact)},
    )
