"""What became of a trial of a search."""

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["waiting", "running", "complete", "stopped", "failed"]


@dataclass(frozen=True)
class TrialResult:
    """One trial of a search, as far as it is."""

    number: int
    state: State
    """complete: it used its whole budget; stopped: it was among the worse ones at a rung, or the
    rest of the budget was promised to others; failed: its training broke."""

    options: dict[str, Any]
    """The settings that were searched."""

    nats_per_character: float | None
    """The validation loss at its end, or where it was stopped."""

    share: float
    """The share of a whole trial's budget that it used."""

    is_planned: bool
    """Whether the settings are the planner's own."""

    error: str | None = None
    """Why its training broke."""

    first_rung: float | None = None
    """Its loss at the first rung, which is compared there."""
