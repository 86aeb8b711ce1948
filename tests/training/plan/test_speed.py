"""Measuring a training's speed: what it takes, how long, and what it leaves alone."""

from typing import Any

import numpy as np
import pytest

from ricorda.model import ModelConfiguration
from ricorda.text import Part
from ricorda.training import Budget, TrainingConfiguration
from ricorda.training.kernel_learner import KernelLearner
from ricorda.training.learner import Batch
from ricorda.training.plan import forecast
from ricorda.training.plan.forecast import measure_speed


def configuration(**changes: Any) -> TrainingConfiguration:
    settings: dict[str, Any] = {
        "model": ModelConfiguration(cell="gru", vocabulary_size=5, hidden_size=4),
        "budget": Budget(minutes=1),
        "batch_size": 3,
        "window": 7,
        "learning_rate": 10.0,
        "threads": 1,
    }
    return TrainingConfiguration(**(settings | changes))


class Clock:
    """Replaces the module `time`: each step takes the given seconds."""

    def __init__(self, seconds: list[float]) -> None:
        self.now, self.seconds, self.steps = 0.0, seconds, 0

    def monotonic(self) -> float:
        return self.now

    def take_step(self, *arguments: Any) -> None:
        self.now += self.seconds[min(self.steps, len(self.seconds) - 1)]
        self.steps += 1


@pytest.mark.parametrize(
    "seconds, expected, steps",
    [
        ([0.5, 0.25, 0.25, 0.125], 8.0, 16),  # a slow beginning does not count
        ([0.5, 0.25], 4.0, 10),
        ([1.5, 0.25], 4.0, 6),  # so slow a beginning ends the warm-up
        ([5.0, 5.0], 0.2, 1),  # a step longer than all the time is measured alone
        ([0.1, 0.1, 0.1, 0.25, 0.25, 1.5, 0.25], 4.0, 8),  # what interrupts a step does not count
    ],
)
def test_steps_are_timed_after_the_first(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], expected: float, steps: int
) -> None:
    clock = Clock(seconds)
    monkeypatch.setattr(forecast, "time", clock)
    monkeypatch.setattr(KernelLearner, "take_step", clock.take_step)
    text = Part.whole(np.arange(100, dtype=np.uint8) % 5)
    found = measure_speed(configuration(), text, seconds=2.6)
    assert found == pytest.approx(expected)
    assert clock.steps == steps


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_real_steps_on_random_symbols_cannot_fail_by_the_learning_rate(averaging: float) -> None:
    assert measure_speed(configuration(averaging=averaging), seconds=0.02) > 0


def test_the_text_itself_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    clock = Clock([1.0])

    def take_step(learner: Any, batch: Batch, *arguments: Any) -> None:
        seen.append(batch.inputs)
        clock.take_step()

    monkeypatch.setattr(forecast, "time", clock)
    monkeypatch.setattr(KernelLearner, "take_step", take_step)
    measure_speed(configuration(), Part.whole(np.full(50, 3, np.uint8)), seconds=3)
    assert len(seen) == 3
    assert all((each == 3).all() and each.shape == (3, 7) for each in seen)
