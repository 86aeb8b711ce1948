"""What a run's rows tell: its curves over steps, time and characters, and what it wrote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ricorda.runs import RunFolder, read_rows

Row = dict[str, Any]


@dataclass(frozen=True)
class History:
    """The rows of metrics.jsonl and samples.jsonl, by kind, in order of steps."""

    training: Sequence[Row]
    evaluations: Sequence[Row]
    samples: Sequence[Row]

    @property
    def rows(self) -> list[Row]:
        """Training and evaluation rows, by step; at one step the training row comes first."""
        return sorted([*self.training, *self.evaluations], key=lambda row: int(row["step"]))

    @property
    def last_step(self) -> int:
        """The last step that a row tells of; 0 without rows."""
        return max((row["step"] for row in self.rows), default=0)

    def at(self, step: float, name: str) -> float:
        """Say how many seconds or characters_seen a step came after, between rows in proportion."""
        rows = [row for row in self.rows if row.get(name) is not None]
        steps = [0, *(row["step"] for row in rows)]
        return float(np.interp(step, steps, [0.0, *(row[name] for row in rows)]))

    def evaluation_at(self, step: int | None) -> Row | None:
        """The evaluation of a step, if it has a finite figure."""
        for row in self.evaluations:
            if row["step"] == step and math.isfinite(number(row, "nats_per_character")):
                return row
        return None

    def training_before(self, step: int) -> Row:
        """The last training row up to a step; empty if there is none."""
        return next((row for row in reversed(self.training) if row["step"] <= step), {})


def read_history(folder: RunFolder) -> History:
    """Read a run's rows; files that are not there yet have none."""
    rows = list(read_rows(folder.metrics))
    return History(
        training=[row for row in rows if row.get("event") == "training"],
        evaluations=[row for row in rows if row.get("event") == "evaluation"],
        samples=list(read_rows(folder.samples)),
    )


def number(row: Row, name: str) -> float:
    """A row's figure; NaN where it has none."""
    value = row.get(name)
    return math.nan if value is None else float(value)


def points(rows: Sequence[Row], name: str) -> list[tuple[float, float]]:
    """A figure over steps."""
    return [(row["step"], number(row, name)) for row in rows]
