"""The throughput of a training on this machine, measured on a few steps."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ricorda import draws
from ricorda.draws import Purpose
from ricorda.text import Ids
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.loader import make_loader
from ricorda.training.learner import make_learner

SECONDS = 1.5  # of measuring, unless a step takes longer
WARM_UP_STEPS = 3  # in which memory is first touched
WARM_UP_SHARE = 0.4  # of the seconds at most; a slower step is measured at once
LEARNING_RATE = 1e-6  # so low that no choice of settings can break the measurement


def measure_speed(
    configuration: TrainingConfiguration, ids: Ids | None = None, seconds: float = SECONDS
) -> float:
    """Take real steps of a new network for some seconds -> steps per second.

    Where processes share the batch, this one takes the first one's part alone: communication is not
    counted.

    ids (N,) is the training text; without it, random symbols are read. It takes longer than
    `seconds` only where the first step alone does. The first steps are left out.
    """
    part = configuration.batch_size // configuration.processes
    configuration = replace(configuration, batch_size=max(1, part), processes=1)
    learner = make_learner(configuration)
    with make_loader(learner, _random_ids(configuration) if ids is None else ids) as loader:

        def take(number: int) -> float:
            learner.take_step(loader.batch_at(number), LEARNING_RATE, number)
            return time.monotonic()

        return _steps_a_second(take, seconds)


def _steps_a_second(take: Callable[[int], float], seconds: float) -> float:
    """Return the steps per second; take(n) takes step n and returns the time at its end."""
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
    """Return a text of four windows."""
    size = 4 * configuration.batch_size * configuration.window + 1
    random = draws.generator(configuration.seed, Purpose.MEASUREMENT)
    return random.integers(configuration.model.vocabulary_size, size=size, dtype=np.uint32)
