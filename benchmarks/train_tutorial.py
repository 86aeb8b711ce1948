"""The tutorial's task, by ricorda and by the tutorial's own program, one thread each."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from benchmarks.peers import tutorial_program
from benchmarks.result import Result
from benchmarks.timing import compare_runs, ratio_of
from ricorda.training import demonstration

CHECKED_EVERY = 5  # epochs between two looks at the continuation
PEER = "the tutorial's program"

Learned = TypeVar("Learned")


def measure(epochs: int, rounds: int, say: Callable[[str], None]) -> Iterator[Result]:
    """The whole training, and the time to the first exact continuation; a seed each round."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network is quickest on one, the tutorial's too
    try:
        _warm_up()
        ratio = compare_runs(
            lambda seed: _seconds(demonstration.learn_as_the_tutorial(seed, epochs)),
            lambda seed: _seconds(tutorial_program.learn(seed, epochs)),
            rounds,
        )
        yield Result(f"the tutorial's task, {epochs:,} epochs", PEER, ratio, 40)
        yield _first_exact(epochs, rounds, say)
    finally:
        torch.set_num_threads(before)


def _warm_up() -> None:
    """Let PyTorch set itself up before a clock runs."""
    _seconds(demonstration.learn_as_the_tutorial(0, 3))
    _seconds(tutorial_program.learn(0, 3))


def _seconds(learning: Iterator[object]) -> float:
    """Seconds until a learning has ended."""
    began = time.perf_counter()
    for _ in learning:
        pass
    return time.perf_counter() - began


def _first_exact(epochs: int, rounds: int, say: Callable[[str], None]) -> Result:
    """Training only, to the first exact continuation of `a`, looked for every few epochs."""
    pairs, reached_after = [], []
    for seed in range(1, rounds + 1):
        ours = until_exact(
            demonstration.learn_as_the_tutorial(seed, epochs),
            lambda moment: demonstration.generate_seq(
                moment.model, "a", len(demonstration.SEQUENCE)
            ),
        )
        theirs = until_exact(
            tutorial_program.learn(seed, epochs),
            lambda network: tutorial_program.generate(network, "a", len(tutorial_program.SEQUENCE)),
        )
        for name, (_, after) in (("ricorda", ours), (PEER, theirs)):
            if after is None:
                say(f"{name}, seed {seed}: never exact in {epochs:,} epochs, counted in full")
        pairs.append((ours[0], theirs[0]))
        reached_after.append((ours[1] or epochs, theirs[1] or epochs))
    return Result(
        f"the first exact continuation of `a`, {rounds} seeds",
        PEER,
        ratio_of(pairs),
        40,
        details={
            "epochs_ours": statistics.median(ours for ours, _ in reached_after),
            "epochs_theirs": statistics.median(theirs for _, theirs in reached_after),
        },
    )


def until_exact(
    learning: Iterator[Learned], write: Callable[[Learned], str]
) -> tuple[float, int | None]:
    """Seconds of learning, and after how many epochs the sequence was written back, if ever.

    What the looks at the continuation take is left out.
    """
    seconds, epoch = 0.0, 0
    while True:
        began = time.perf_counter()
        learned = next(learning, None)
        seconds += time.perf_counter() - began
        if learned is None:
            return seconds, None
        epoch += 1
        if epoch % CHECKED_EVERY == 0 and write(learned) == demonstration.SEQUENCE:
            return seconds, epoch
