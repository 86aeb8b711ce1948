"""Budgets become steps, and minutes are kept."""

from unittest.mock import Mock

import pytest

from ricorda.training import Budget
from ricorda.training.plan.budget import BudgetClock


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("ricorda.training.plan.budget.time", Mock(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def make(budget: Budget, *, warmup_steps: int = 10, evaluations: int = 4) -> BudgetClock:
    return BudgetClock(
        budget, windows_per_epoch=7, evaluations=evaluations, warmup_steps=warmup_steps
    )


def run(pace: BudgetClock, clock: Clock, step_seconds: float, evaluation_seconds: float) -> int:
    """Play a whole run with a machine of constant speed; hands back its steps."""
    pace.begin()
    step = evaluated = 0
    while not pace.spent and step != pace.total_steps:
        clock.now += step_seconds
        step += 1
        pace.stepped(step_seconds)
        must_calibrate = pace.must_calibrate(step)
        if must_calibrate or pace.evaluates_after(step, evaluated):
            evaluated = step
            clock.now += evaluation_seconds
            pace.evaluation_seconds = evaluation_seconds
        if must_calibrate:
            pace.calibrate(step)
    return step


def test_steps_and_epochs_are_known_at_once() -> None:
    assert make(Budget(steps=12)).total_steps == 12
    assert make(Budget(epochs=3)).total_steps == 21
    assert make(Budget(epochs=0.01)).total_steps == 1
    assert not make(Budget(steps=12)).must_calibrate(5)


@pytest.mark.parametrize("step_seconds", [0.0005, 0.01, 0.3, 2.0])
@pytest.mark.parametrize("evaluation_seconds", [0.0, 0.2])
def test_minutes_are_used_and_never_passed(
    clock: Clock, step_seconds: float, evaluation_seconds: float
) -> None:
    pace = make(Budget(minutes=1))
    steps = run(pace, clock, step_seconds, evaluation_seconds)
    assert steps == pace.total_steps
    assert 54 < pace.seconds <= 60


def calibrated(clock: Clock, step_seconds: float) -> BudgetClock:
    """A pace of one minute after eleven steps."""
    pace = make(Budget(minutes=1))
    pace.begin()
    for _ in range(11):
        clock.now += step_seconds
        pace.stepped(step_seconds)
    pace.calibrate(11)
    return pace


def go_on(pace: BudgetClock, clock: Clock, steps: int, step_seconds: float) -> None:
    for _ in range(steps):
        clock.now += step_seconds
        pace.stepped(step_seconds)


def test_a_machine_of_constant_speed_keeps_to_its_plan(clock: Clock) -> None:
    pace = calibrated(clock, 0.1)
    go_on(pace, clock, 200, 0.1)
    assert pace.replan(211) is None


def test_a_machine_that_slows_down_gets_fewer_steps(clock: Clock) -> None:
    pace = calibrated(clock, 0.1)
    planned = pace.total_steps
    go_on(pace, clock, 100, 0.5)
    fewer = pace.replan(111)
    assert planned is not None
    assert fewer is not None
    assert fewer < planned
    assert pace.total_steps == fewer
    assert pace.seconds + (fewer - 111) * pace.step_seconds <= 60


def test_a_machine_that_is_free_again_gets_more_steps_but_not_at_the_end(clock: Clock) -> None:
    pace = calibrated(clock, 0.5)
    planned = pace.total_steps
    assert planned is not None
    go_on(pace, clock, 20, 0.05)
    more = pace.replan(31)
    assert more is not None
    assert more > planned
    pace.total_steps = 33
    assert pace.replan(31) is None


def test_a_calibration_waits_for_the_warm_up_but_not_long(clock: Clock) -> None:
    pace = make(Budget(minutes=1), warmup_steps=100)
    pace.begin()
    clock.now += 1.0
    assert not pace.must_calibrate(50)
    assert pace.must_calibrate(100)
    clock.now += 2.1  # more than a twentieth of the minute
    assert pace.must_calibrate(50)


@pytest.mark.parametrize("total, evaluations", [(100, 20), (7, 20), (1, 20), (1000, 3), (21, 4)])
def test_evaluations_are_even_and_the_last_step_has_one(total: int, evaluations: int) -> None:
    pace = make(Budget(steps=total), evaluations=evaluations)
    steps = [step for step in range(1, total + 1) if pace.evaluates_after(step, 0)]
    assert len(steps) == min(total, evaluations)
    assert steps[-1] == total
    gaps = [one - other for one, other in zip(steps, [0, *steps], strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_another_number_of_steps_brings_no_evaluation_at_once() -> None:
    pace = make(Budget(steps=1000), evaluations=10)
    assert pace.evaluates_after(500, 400)
    pace.total_steps = 1040  # 520 is due by the new number
    assert not pace.evaluates_after(520, 500)
    assert pace.evaluates_after(624, 500)


def test_an_earlier_sitting_counts(clock: Clock) -> None:
    pace = BudgetClock(
        Budget(minutes=1), windows_per_epoch=7, evaluations=4, warmup_steps=5, seconds_before=59.0
    )
    pace.begin()
    assert not pace.spent
    clock.now += 1.5
    assert pace.spent
