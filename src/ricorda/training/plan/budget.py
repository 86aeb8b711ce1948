"""Turn a budget into steps and keep to it; the learning rate of each step."""

import math
import time
from dataclasses import dataclass, field
from typing import Any, Self

from ricorda.errors import ConfigurationError
from ricorda.training.checkpoint.snapshot import Progress
from ricorda.training.configuration import Budget, Schedule, TrainingConfiguration

USED = 0.98  # the share of the minutes that is planned for; the rest absorbs a slower moment
TOLERATED = 0.02  # of the minutes, by which the plan may be off before the steps are changed
CALIBRATION_SHARE = 0.05  # of the minutes, at most, until the number of steps is settled


@dataclass
class BudgetClock:
    """The clock of one run: how many steps its budget buys, and whether it is spent.

    Epochs and steps are known at once. Minutes become a number of steps after a short calibration
    on the run's own first steps, so that all that follows is repeatable; the number is changed
    only where the machine's speed has changed so much that the plan no longer suits the time.
    """

    budget: Budget
    windows_per_epoch: int
    evaluations: int
    warmup_steps: int
    total_steps: int | None = None
    schedule: Schedule | None = None
    """The schedule of the run that this one repeats; the clock is then ignored."""

    seconds_before: float = 0.0
    """Seconds before this resume."""

    evaluation_seconds: float = 0.0
    """What the last evaluation, sample and save took together."""

    step_seconds: float = 0.0
    """What a step takes, a mean that forgets steps of long ago."""

    _steps_timed: int = 0
    _started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, configuration: TrainingConfiguration, windows_per_epoch: int, **facts: Any) -> Self:
        """Make the clock of a run's settings; facts: further fields."""
        names = ("budget", "evaluations", "warmup_steps", "schedule")
        settings = {name: getattr(configuration, name) for name in names}
        return cls(windows_per_epoch=windows_per_epoch, **settings, **facts)

    def continue_from(self, progress: Progress) -> None:
        """Plan the steps of a run that has taken some, and count its seconds.

        A new budget in minutes is planned from the mean time per step so far, evaluations included.
        """
        self.seconds_before = progress.seconds
        self.begin()
        minutes = self.budget.minutes
        if minutes is None and self.schedule is None:
            return  # the budget itself says how many steps
        if not self.is_new_for(progress):
            self.total_steps = progress.total_steps
        elif minutes is None or progress.step < max(2, self.warmup_steps):
            self.total_steps = None  # settled by calibration
        else:
            left = USED * 60 * minutes - progress.seconds
            self.total_steps = progress.step + max(1, int(left * progress.step / progress.seconds))

    def check(self, progress: Progress) -> None:
        """Raise ConfigurationError if a new budget leaves no steps to take."""
        if not self.is_new_for(progress):
            return
        minutes, total_steps = self.budget.minutes, self.total_steps
        spent = minutes is not None and progress.seconds >= 60 * minutes
        if spent or (total_steps is not None and total_steps <= progress.step):
            raise ConfigurationError(
                f"expected a budget beyond the {progress.step:,} steps and "
                f"{progress.seconds / 60:.2f} minutes that the run has taken, got {self.budget}: "
                "the budget counts from the run's beginning"
            )

    def is_new_for(self, progress: Progress) -> bool:
        """Return whether the budget differs from the one that the steps so far were planned for."""
        return progress.budget not in (None, self.budget)

    def __post_init__(self) -> None:
        if self.schedule is not None:
            return
        if self.budget.steps is not None:
            self.total_steps = self.budget.steps
        elif self.budget.epochs is not None:
            self.total_steps = max(1, math.ceil(self.budget.epochs * self.windows_per_epoch))

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the first step, those before a resume included."""
        return self.seconds_before + time.monotonic() - self._started

    def begin(self) -> None:
        """Start the clock: the first step comes next."""
        self._started = time.monotonic()

    def stepped(self, seconds: float) -> None:
        """Measure a step; the first one, in which memory is first touched, does not count."""
        if self._steps_timed:
            weight = max(0.005, 1 / self._steps_timed)
            self.step_seconds += weight * (seconds - self.step_seconds)
        self._steps_timed += 1

    def must_calibrate(self, steps: int) -> bool:
        """Whether, after so many steps, the number of all steps must be settled now."""
        if self.total_steps is not None or self.budget.minutes is None or steps < 2:
            return False
        used = self.seconds / (self.budget.minutes * 60)
        return steps >= max(2, self.warmup_steps) or used >= CALIBRATION_SHARE

    def follow(self, steps: int) -> None:
        """Make the plan that the repeated run made after this number of steps."""
        if self.schedule is not None:
            self.total_steps = dict(self.schedule.plans).get(steps, self.total_steps)

    def ends_after(self, steps: int) -> bool:
        """Whether the budget ends after this number of steps."""
        return steps == (self.total_steps if self.schedule is None else self.schedule.steps)

    def calibrate(self, steps: int) -> int:
        """Settle the number of steps from what steps and one evaluation have cost so far."""
        assert self.budget.minutes is not None
        left = USED * self.budget.minutes * 60 - self.seconds
        left -= self.evaluations * self.evaluation_seconds
        self.total_steps = steps + max(1, int(left / max(self.step_seconds, 1e-9)))
        return self.total_steps

    def plan_after(self, steps: int) -> int | None:
        """Plan again after an evaluation; return the total number of steps."""
        if self.must_calibrate(steps):
            return self.calibrate(steps)
        self.replan(steps)
        self.follow(steps)
        return self.total_steps

    def replan(self, steps: int) -> int | None:
        """Another number of steps if the planned ones no longer suit the time left, else None.

        It is raised in the first nine tenths alone: later the learning rate is down.
        """
        if self.budget.minutes is None or self.total_steps is None:
            return None
        all_seconds = self.budget.minutes * 60
        evaluations_left = self.evaluations * (1 - steps / self.total_steps)
        left = USED * all_seconds - self.seconds - evaluations_left * self.evaluation_seconds
        affordable = steps + max(1, int(left / max(self.step_seconds, 1e-9)))
        difference = (affordable - self.total_steps) * self.step_seconds
        if abs(difference) < TOLERATED * all_seconds:
            return None
        if difference > 0 and steps > 0.9 * self.total_steps:
            return None
        self.total_steps = affordable
        return affordable

    @property
    def spent(self) -> bool:
        """Whether the minutes are over; a budget in steps or epochs ends with its last step."""
        return self.budget.minutes is not None and self.seconds >= self.budget.minutes * 60

    def evaluates_after(self, step: int, evaluated_step: int) -> bool:
        """Whether the model is evaluated after this step, counted from 1: evenly and at the end.

        evaluated_step is the last one after which it was: where the number of steps has changed
        meanwhile, the next does not follow at once.
        """
        if self.schedule is not None:
            return step in self.schedule.evaluated
        if self.total_steps is None:
            return False
        if step == self.total_steps:
            return True
        each = self.evaluations / self.total_steps
        is_due = math.floor(step * each) > math.floor((step - 1) * each)
        return is_due and (step - evaluated_step) * each >= 0.5

    def seconds_left(self, steps: int) -> float | None:
        """An estimate for the person who waits; None before there is one."""
        if self.total_steps is None:
            return None if self.budget.minutes is None else self.budget.minutes * 60 - self.seconds
        evaluations_left = self.evaluations * (1 - steps / self.total_steps)
        return (
            self.total_steps - steps
        ) * self.step_seconds + evaluations_left * self.evaluation_seconds

    def share(self, steps: int) -> float:
        """How much of the budget is used, from 0 to 1."""
        total = self.total_steps if self.schedule is None else self.schedule.steps
        if total is not None:
            return min(1.0, steps / total)
        assert self.budget.minutes is not None
        return min(1.0, self.seconds / (self.budget.minutes * 60))


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
