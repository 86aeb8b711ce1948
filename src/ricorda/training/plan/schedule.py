"""The learning rate of each step."""

import math

from ricorda.training.configuration import TrainingConfiguration


def learning_rate(
    step: int, total_steps: int | None, configuration: TrainingConfiguration
) -> float:
    """Linear warm-up to the peak, then a cosine down to a share of it (Loshchilov & Hutter, 2017).

    step counts from 0. total_steps is None while it is not known yet: it is always known before
    the warm-up ends, and the warm-up does not depend on it.
    """
    peak, warmup = configuration.learning_rate, configuration.warmup_steps
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    assert total_steps is not None
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    floor = configuration.final_learning_rate
    return peak * (floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress)))
