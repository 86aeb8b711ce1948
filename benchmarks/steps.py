"""Steps of a learning that goes on, to be timed."""

import itertools
from collections.abc import Callable

from ricorda.text import Ids
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.loader import make_loader
from ricorda.training.learner import make_learner, take_step
from ricorda.training.plan.machine import computing_with

Step = Callable[[], float]
"""Takes a step and returns its mean nats."""


def step_of(configuration: TrainingConfiguration, ids: Ids) -> Step:
    """Return a function that takes the next training step on ids (N,), at the peak rate."""
    learner = make_learner(configuration)
    learner.model.train()
    loader = make_loader(configuration, ids, learner.device)
    numbers = itertools.count()

    def step() -> float:
        batch = loader.batch_at(next(numbers))
        with computing_with(configuration):
            metrics = take_step(learner, batch, configuration.learning_rate, configuration)
        return metrics.nats_per_symbol

    return step


def repeated(step: Step) -> Callable[[int], None]:
    """The step so many times, as `compare` asks for it."""

    def take(count: int) -> None:
        for _ in range(count):
            step()

    return take
