"""The rows of metrics.jsonl while a run trains, and its throughput."""

import time
from collections.abc import Callable
from typing import Any

from ricorda.training.checkpoint.snapshot import Interval, Progress
from ricorda.training.learner import StepMetrics
from ricorda.training.plan.budget import BudgetClock
from ricorda.training.report.progress import Reporter


class MetricsLog:
    """Sums the figures of steps, and adds rows with their means.

    append: adds a row to metrics.jsonl. reporter: receives each row, too. symbols_per_step: of all
    streams. symbols_per_character: 1 except for bytes.
    """

    def __init__(
        self,
        append: Callable[[dict[str, Any]], None],
        reporter: Reporter,
        clock: BudgetClock,
        symbols_per_step: int,
        symbols_per_character: float,
    ) -> None:
        self._append = append
        self._reporter = reporter
        self._clock = clock
        self._characters_per_step = symbols_per_step / symbols_per_character
        self.symbols_per_character = symbols_per_character
        self._began = time.monotonic()

    def add_step(self, progress: Progress, metrics: StepMetrics) -> None:
        """Count a step that was taken."""
        progress.step += 1
        interval = progress.interval
        interval.nats += metrics.nats_per_symbol * self.symbols_per_character
        interval.gradient_norm += metrics.gradient_norm
        interval.steps += 1

    def add_training_row(self, progress: Progress, rate: float) -> None:
        """Add a row with the means since the last one; rate is the learning rate."""
        interval = progress.interval
        self.add_row(
            progress,
            event="training",
            nats_per_character=interval.nats / interval.steps,
            learning_rate=rate,
            gradient_norm=interval.gradient_norm / interval.steps,
            characters_per_second=round(self.characters_per_second(progress), 1),
        )
        progress.interval = Interval()
        self.restart()

    def add_row(self, progress: Progress, **figures: Any) -> None:
        """Add a row."""
        row: dict[str, Any] = {
            "step": progress.step,
            "seconds": round(self._clock.seconds, 3),
            "characters_seen": self.characters_seen(progress),
        }
        row |= figures
        self._append(row)
        self._reporter.logged(row)

    def characters_seen(self, progress: Progress) -> int:
        """Return the characters that all steps so far have read."""
        return round(progress.step * self._characters_per_step)

    def characters_per_second(self, progress: Progress) -> float:
        """Return the throughput since the last training row, evaluations left out."""
        interval = progress.interval
        seconds = interval.seconds + time.monotonic() - self._began
        return self._characters_per_step * interval.steps / max(seconds, 1e-9)  # it may be 0

    def restart(self) -> None:
        """Measure the throughput from now on."""
        self._began = time.monotonic()

    def leave_out(self, seconds: float) -> None:
        """Leave the last seconds out of the throughput."""
        self._began += seconds

    def keep_seconds(self, progress: Progress) -> None:
        """Put the seconds since the last training row into the progress, for a checkpoint."""
        now = time.monotonic()
        progress.interval.seconds += now - self._began
        self._began = now
