"""Seconds of training until a text is predicted as well as nanoGPT's CPU recipe predicts it.

Protocol. Both learn the text's first nine tenths and are judged on the last tenth, by the mean
nats a character of as many windows of 64 characters, at random places, each read from nothing.
Only training counts: judging is left out. nanoGPT runs its recipe, which judges every 250
iterations. We learn by the plan for a budget, its learning rate falling to the end as always, and
are judged twenty times in it. The budget is the smallest of a row, each a quarter more than the
one before, that reaches the target with the first seed; the other seeds take it too, and where one
fails, the next larger. What the search for the budget took is not counted, nor what it took to find
nanoGPT's recipe.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks import nanogpt
from benchmarks.result import Result
from benchmarks.timing import ratio_of
from ricorda.model import RecurrentLanguageModel
from ricorda.text import CharacterVocabulary, Ids, find_sources, read_text
from ricorda.training import TrainingConfiguration, TrainingOptions, choose
from ricorda.training.data.loader import make_loader
from ricorda.training.learner import make_learner, take_step
from ricorda.training.learner_state import Learner
from ricorda.training.plan.forecast import settle_for
from ricorda.training.plan.machine import computing_with, this_machine
from ricorda.training.plan.schedule import learning_rate
from ricorda.training.plan.speed import measure_speed

TARGET = 1.886  # nats a character: what the recipe comes to on tinyshakespeare
WINDOW = 64
WINDOWS = 240  # as many as nanoGPT's twenty batches of twelve
JUDGED = 20  # times in a run
FIRST_MINUTES = 0.02
LONGEST_MINUTES = 5.0
GROWTH = 1.25


@dataclass(frozen=True)
class Task:
    """A text cut in two, and what is to be reached on its second part."""

    training: Ids  # (N,)
    inputs: torch.Tensor  # (240, 64)
    targets: torch.Tensor  # (240, 64)
    vocabulary_size: int


def measure(
    text: Path,
    checkout: Path,
    seeds: int,
    say: Callable[[str], None],
    changes: dict[str, object] | None = None,
) -> Iterator[Result]:
    """nanoGPT's seconds to the target against ours. Nothing if we never reach it."""
    content = "".join(read_text(find_sources([str(text)])))
    say("nanoGPT's recipe runs, which takes some minutes")
    moments = nanogpt.learn(checkout, content, changes)
    for moment in moments:
        say(f"nanoGPT: {moment.nats_per_character:.4f} nats after {moment.seconds:.1f} s")
    target = max(TARGET, min(moment.nats_per_character for moment in moments))
    theirs = nanogpt.first_to_reach(moments, target)
    assert theirs is not None
    if target > TARGET:
        say(f"nanoGPT stayed above {TARGET} nats: its best, {target:.4f}, is to be reached")
    found = seconds_to_target(make_task(content), target, seeds, say)
    if found is None:
        say(f"ricorda did not reach {target:.4f} nats in {LONGEST_MINUTES:g} minutes")
        return
    yield Result(
        f"{text.name}, training to {target:.4f} nats of cold 64-windows, {seeds} seeds",
        "nanoGPT's CPU recipe",
        ratio_of([(ours, theirs.seconds) for ours in found]),
        45,
        details={"target_nats_per_character": target},
    )


def make_task(text: str, longest: int = WINDOW) -> Task:
    """Cut as nanoGPT cuts, and choose the windows to judge by, always the same.

    longest: characters of a window, unless the text is too short for it.
    """
    vocabulary = CharacterVocabulary.from_text(text)
    ids = vocabulary.encode(text)
    split = int(len(ids) * nanogpt.TRAINING_SHARE)
    judged = ids[split:].astype(np.int64)
    window = min(longest, len(judged) - 1)
    begin = np.random.default_rng(1).integers(0, len(judged) - window, WINDOWS)
    places = torch.from_numpy(judged[begin[:, None] + np.arange(window + 1)])
    return Task(ids[:split], places[:, :-1], places[:, 1:], vocabulary.size)


def seconds_to_target(
    task: Task, target: float, seeds: int, say: Callable[[str], None]
) -> list[float] | None:
    """Our seconds for each seed, by the smallest budget that does; None if none does."""
    minutes, found = FIRST_MINUTES, []
    for seed in range(1, seeds + 1):
        while True:
            if minutes > LONGEST_MINUTES:
                return None
            seconds, nats = learn(task, minutes, seed, target)
            reached = nats <= target
            say(f"ricorda, {minutes:.3f} minutes, seed {seed}: {nats:.4f} after {seconds:.2f} s")
            if reached:
                found.append(seconds)
                break
            minutes *= GROWTH
    return found


def learn(task: Task, minutes: float, seed: int, target: float) -> tuple[float, float]:
    """Learn by the plan for a budget until the target is reached or the budget is spent.

    Hands back the seconds of training and the last result, nats a character.
    """
    options = TrainingOptions(minutes=minutes, seed=seed)
    machine = this_machine(options)
    if machine.device == "cuda":  # what the plan takes an unmeasured machine for is two cores
        configuration = settle_for(options, task.training, task.vocabulary_size, machine)
    else:
        configuration = choose(
            options,
            training_size=len(task.training),
            vocabulary_size=task.vocabulary_size,
            machine=machine,
        )
    steps = max(JUDGED, round(minutes * 60 * measure_speed(configuration, task.training)))
    with computing_with(configuration):
        return _learn(task, configuration, steps, target)


def _learn(
    task: Task, configuration: TrainingConfiguration, steps: int, target: float
) -> tuple[float, float]:
    """The steps of one run, with a result after each twentieth of them."""
    learner = make_learner(configuration)
    learner.model.train()
    seconds, nats = 0.0, float("inf")
    with make_loader(configuration, task.training, learner.device) as loader:
        for step in range(steps):
            began = time.perf_counter()
            batch = loader.batch_at(step)
            take_step(learner, batch, learning_rate(step, steps, configuration), configuration)
            seconds += time.perf_counter() - began
            if (step + 1) * JUDGED // steps > step * JUDGED // steps:
                nats = judge(task, learner)
                if nats <= target:
                    break
    return seconds, nats


def judge(task: Task, learner: Learner) -> float:
    """Nats a character of cold windows, by the weights or their average, which is the better."""
    nats = _nats(task, learner.model)
    if learner.average is not None:
        with learner.average.swapped_in(learner.model):
            nats = min(nats, _nats(task, learner.model))
    return nats


@torch.inference_mode()
def _nats(task: Task, model: RecurrentLanguageModel) -> float:
    """Read every window from the zero state, in float32."""
    model.eval()
    device = next(model.parameters()).device
    logits, _ = model(task.inputs.to(device))
    model.train()
    return F.cross_entropy(logits.flatten(0, 1), task.targets.flatten().to(device)).item()
