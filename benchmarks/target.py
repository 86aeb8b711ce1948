"""Seconds of training to nanoGPT's loss, against its own recipe, on a processor or on a GPU.

Both train on nine tenths of the text. The loss is that of 240 windows at random places of the last
tenth, each read from the zero state. Ours is the smallest of a row of budgets, each a quarter
longer than the one before, after which the loss is reached.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ricorda
from benchmarks import nanogpt as peer
from benchmarks.figures import Result, ratio_of, report
from benchmarks.runs import train
from ricorda.text import find_sources, read_text

WINDOWS = 240  # as many as nanoGPT's twenty batches of twelve
FIRST_MINUTES = 0.02
LONGEST_MINUTES = 5.0
GROWTH = 1.25


@dataclass(frozen=True)
class Goal:
    """A loss to reach, and the peer's recipe for it."""

    nats_per_character: float
    window: int
    device: str
    recipe: Mapping[str, object]
    wanted: float | None = None


ON_CPU = Goal(1.886, 64, "cpu", peer.RECIPE, 45)
ON_GPU = Goal(1.4697, 256, "cuda", peer.GPU_RECIPE)


def measure_target(
    *, text: Path | None, nanogpt: Path | None, rounds: int, **_: Any
) -> Iterator[Result]:
    """The goal on a processor."""
    yield from reach(ON_CPU, text, nanogpt, min(rounds, 3))


def reach(goal: Goal, text: Path | None, checkout: Path | None, seeds: int) -> Iterator[Result]:
    """nanoGPT's seconds to the goal against ours; where it stays above, to its best loss."""
    if text is None or checkout is None:
        return report("without --text and --nanogpt: the time to nanoGPT's loss is left out")
    content = "".join(read_text(find_sources([str(text)])))
    report("nanoGPT's recipe runs, which takes some minutes")
    moments = peer.learn(checkout, content, goal.recipe)
    for moment in moments:
        report(f"nanoGPT: {moment.nats_per_character:.4f} nats after {moment.seconds:.1f} s")
    target = max(goal.nats_per_character, min(moment.nats_per_character for moment in moments))
    theirs = peer.first_to_reach(moments, target)
    assert theirs is not None
    found = seconds_to(target, content, goal, seeds)
    if found is None:
        report(f"ricorda did not reach {target:.4f} nats in {LONGEST_MINUTES:g} minutes")
        return None
    yield Result(
        f"{text.name}, training to {target:.4f} nats of cold {goal.window}-windows, {seeds} seeds",
        f"nanoGPT's recipe, {goal.device}",
        ratio_of([(ours, theirs.seconds) for ours in found]),
        goal.wanted,
        details={"target_nats_per_character": target},
    )


def seconds_to(target: float, content: str, goal: Goal, seeds: int) -> list[float] | None:
    """Our seconds for each seed, by the smallest budget that does; None if none does."""
    found = []
    for seed in range(1, seeds + 1):
        minutes = FIRST_MINUTES
        while True:
            if minutes > LONGEST_MINUTES:
                return None
            seconds, nats = learn(content, goal, minutes, seed)
            report(f"ricorda, {minutes:.3f} minutes, seed {seed}: {nats:.4f} after {seconds:.2f} s")
            if nats <= target:
                found.append(seconds)
                break
            minutes *= GROWTH
    return found


def learn(content: str, goal: Goal, minutes: float, seed: int) -> tuple[float, float]:
    """Train for a budget; return the seconds of training and the loss."""
    split = int(len(content) * peer.TRAINING_SHARE)
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        text, run = Path(name, "text.txt"), Path(name, "run")
        text.write_text(content[:split], "utf-8")
        options = ["--minutes", f"{minutes:g}", "--seed", str(seed), "--device", goal.device]
        trained = train(text, run, *options)
        model = ricorda.load(run)
    return trained.result["train_seconds"], loss(model, content[split:], goal.window)


def loss(model: ricorda.Model, text: str, longest: int) -> float:
    """Nats a character of cold windows, at the same places every time."""
    ids = model.vocabulary.encode(text, on_unknown="skip").astype(np.int64)
    window = min(longest, len(ids) - 1)
    begin = np.random.default_rng(1).integers(0, len(ids) - window, WINDOWS)
    windows = ids[begin[:, None] + np.arange(window + 1)]  # (240, window + 1)
    state = model.backend.zero_state(WINDOWS)
    surprisals, _ = model.backend.score(windows[:, :-1], windows[:, 1:], state)
    return float(np.mean(surprisals.nats))
