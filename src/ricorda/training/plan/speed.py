"""How fast this machine takes the steps of a training, measured on a few of them."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ricorda.text import Ids
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.loader import make_loader
from ricorda.training.learner import make_learner, take_step
from ricorda.training.plan.machine import computing_with

SECONDS = 1.5  # of measuring, unless a step takes longer
WARM_UP_STEPS = 3  # in which PyTorch sets itself up and memory is first touched
WARM_UP_SHARE = 0.4  # of the seconds at most; a slower step is measured without more ado
LEARNING_RATE = 1e-6  # so low that no choice of settings can break the measurement


def measure_speed(
    configuration: TrainingConfiguration, ids: Ids | None = None, seconds: float = SECONDS
) -> float:
    """Take real steps of a new network for some seconds -> steps per second.

    Where processes share the batch, this one takes the first one's part by itself: what they
    exchange is not counted.

    ids (N,) is the text to learn; without it, random symbols are. It takes longer than `seconds`
    only where the first step alone does. The first steps are left out.
    """
    part = configuration.batch_size // configuration.processes
    configuration = replace(configuration, batch_size=max(1, part), processes=1)
    with computing_with(configuration):
        return _measure(configuration, _random_ids(configuration) if ids is None else ids, seconds)


def _measure(configuration: TrainingConfiguration, ids: Ids, seconds: float) -> float:
    learner = make_learner(configuration)
    learner.model.train()
    with make_loader(configuration, ids, learner.device) as loader:

        def take(number: int) -> float:
            take_step(learner, loader.batch_at(number), LEARNING_RATE, configuration)
            return time.monotonic()

        return _steps_a_second(take, seconds)


def _steps_a_second(take: Callable[[int], float], seconds: float) -> float:
    """take(n) takes step n, and says when it was done."""
    first = began = time.monotonic()
    now = take(0)
    steps = 1
    while steps < WARM_UP_STEPS and now - first < WARM_UP_SHARE * seconds:
        now = take(steps)
        steps += 1
    if now - first < seconds:
        began, warmed_up = now, steps
        while now - first < seconds:
            now = take(steps)
            steps += 1
        steps -= warmed_up
    return steps / max(now - began, 1e-9)


def _random_ids(configuration: TrainingConfiguration) -> Ids:
    """A text of four windows."""
    size = 4 * configuration.batch_size * configuration.window + 1
    random = np.random.default_rng(configuration.seed)
    return random.integers(configuration.model.vocabulary_size, size=size, dtype=np.uint32)
