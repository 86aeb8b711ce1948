"""Budgets become steps, and minutes are kept."""

from unittest.mock import Mock

import pytest

from ricorda.training import Budget
from ricorda.training.plan.budget import BudgetClock


class Clock:
    """A clock that moves when a test moves it."""

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


def run(
    budget_clock: BudgetClock, clock: Clock, step_seconds: float, evaluation_seconds: float
) -> int:
    """Play a whole run with a machine of constant speed; hands back its steps."""
    budget_clock.begin()
    step = evaluated = 0
    while not budget_clock.spent and step != budget_clock.total_steps:
        clock.now += step_seconds
        step += 1
        budget_clock.stepped(step_seconds)
        must_calibrate = budget_clock.must_calibrate(step)
        if must_calibrate or budget_clock.evaluates_after(step, evaluated):
            evaluated = step
            clock.now += evaluation_seconds
            budget_clock.evaluation_seconds = evaluation_seconds
        if must_calibrate:
            budget_clock.calibrate(step)
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
    budget_clock = make(Budget(minutes=1))
    steps = run(budget_clock, clock, step_seconds, evaluation_seconds)
    assert steps == budget_clock.total_steps
    assert 54 < budget_clock.seconds <= 60


def calibrated(clock: Clock, step_seconds: float) -> BudgetClock:
    """A budget clock of one minute after eleven steps."""
    budget_clock = make(Budget(minutes=1))
    budget_clock.begin()
    for _ in range(11):
        clock.now += step_seconds
        budget_clock.stepped(step_seconds)
    budget_clock.calibrate(11)
    return budget_clock


def go_on(budget_clock: BudgetClock, clock: Clock, steps: int, step_seconds: float) -> None:
    for _ in range(steps):
        clock.now += step_seconds
        budget_clock.stepped(step_seconds)


def test_a_machine_of_constant_speed_keeps_to_its_plan(clock: Clock) -> None:
    budget_clock = calibrated(clock, 0.1)
    go_on(budget_clock, clock, 200, 0.1)
    assert budget_clock.replan(211) is None


def test_a_machine_that_slows_down_gets_fewer_steps(clock: Clock) -> None:
    budget_clock = calibrated(clock, 0.1)
    planned = budget_clock.total_steps
    go_on(budget_clock, clock, 100, 0.5)
    fewer = budget_clock.replan(111)
    assert planned is not None
    assert fewer is not None
    assert fewer < planned
    assert budget_clock.total_steps == fewer
    assert budget_clock.seconds + (fewer - 111) * budget_clock.step_seconds <= 60


def test_a_machine_that_is_free_again_gets_more_steps_but_not_at_the_end(clock: Clock) -> None:
    budget_clock = calibrated(clock, 0.5)
    planned = budget_clock.total_steps
    assert planned is not None
    go_on(budget_clock, clock, 20, 0.05)
    more = budget_clock.replan(31)
    assert more is not None
    assert more > planned
    budget_clock.total_steps = 33
    assert budget_clock.replan(31) is None


def test_a_calibration_waits_for_the_warm_up_but_not_long(clock: Clock) -> None:
    budget_clock = make(Budget(minutes=1), warmup_steps=100)
    budget_clock.begin()
    clock.now += 1.0
    assert not budget_clock.must_calibrate(50)
    assert budget_clock.must_calibrate(100)
    clock.now += 2.1  # more than a twentieth of the minute
    assert budget_clock.must_calibrate(50)


@pytest.mark.parametrize("total, evaluations", [(100, 20), (7, 20), (1, 20), (1000, 3), (21, 4)])
def test_evaluations_are_even_and_the_last_step_has_one(total: int, evaluations: int) -> None:
    budget_clock = make(Budget(steps=total), evaluations=evaluations)
    steps = [step for step in range(1, total + 1) if budget_clock.evaluates_after(step, 0)]
    assert len(steps) == min(total, evaluations)
    assert steps[-1] == total
    gaps = [one - other for one, other in zip(steps, [0, *steps], strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_another_number_of_steps_brings_no_evaluation_at_once() -> None:
    budget_clock = make(Budget(steps=1000), evaluations=10)
    assert budget_clock.evaluates_after(500, 400)
    budget_clock.total_steps = 1040  # 520 is due by the new number
    assert not budget_clock.evaluates_after(520, 500)
    assert budget_clock.evaluates_after(624, 500)


def test_an_earlier_session_counts(clock: Clock) -> None:
    budget_clock = BudgetClock(
        Budget(minutes=1), windows_per_epoch=7, evaluations=4, warmup_steps=5, seconds_before=59.0
    )
    budget_clock.begin()
    assert not budget_clock.spent
    clock.now += 1.5
    assert budget_clock.spent
