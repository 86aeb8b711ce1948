"""What `ricorda tune` searches: an interval or a few choices around the planner's own settings.

    learning_rate       a quarter to four times the planner's, logarithmic
    hidden_size         half to twice the planner's, in steps of 16
    batch_size          half, once and twice the planner's
    window              32, 64, 128, 256
    dropout             0 to 0.6
    recurrent_dropout   0 to 0.5, if every cell has recurrent weights
    weight_decay        0.001 to 0.3, logarithmic
    cell                those of --cells

An option that is given is fixed, and not searched.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ricorda.model.cells import CELLS
from ricorda.pages.svg import tick_text
from ricorda.training.configuration import TrainingConfiguration

FACTOR = 4  # between the planner's learning rate and both ends
SIZE_STEP = 16  # units
WINDOWS = (32, 64, 128, 256)
MOST_DROPOUT, MOST_RECURRENT_DROPOUT = 0.6, 0.5
WEIGHT_DECAYS = (0.001, 0.3)


class Tick(NamedTuple):
    """A place on an axis from 0 to 1, and its text."""

    place: float
    text: str


@dataclass(frozen=True)
class Dimension:
    """One option that is searched."""

    name: str
    scale: Literal["linear", "logarithmic", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: int | None = None
    """Of whole numbers; None for others."""

    choices: tuple[Any, ...] = ()

    def place(self, value: Any) -> float:
        """Return where a value lies between the lowest, 0, and the highest, 1."""
        if self.scale == "choice":
            return self.choices.index(value) / max(1, len(self.choices) - 1)
        if self.scale == "logarithmic":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / ((self.high - self.low) or 1))

    def ticks(self) -> list[Tick]:
        """Return the values to write on its axis."""
        if self.scale == "choice":
            return [Tick(self.place(each), str(each)) for each in self.choices]
        middle = (self.low + self.high) / 2
        if self.scale == "logarithmic":
            middle = math.sqrt(self.low * self.high)
        return [Tick(self.place(each), tick_text(each)) for each in (self.low, middle, self.high)]


Plans = Sequence[TrainingConfiguration]


def search_space(plans: Plans, given: Collection[str], cells: Sequence[str]) -> list[Dimension]:
    """Return the dimensions around the planner's settings, one of them for each cell.

    given: the names of options that are fixed.
    """
    unfit = set[str]().union(*(CELLS[each.model.cell].other_options for each in plans))
    left_out = unfit.union(given)
    found = [make(plans) for name, make in DIMENSIONS.items() if name not in left_out]
    if len(cells) > 1:
        found.append(Dimension("cell", "choice", choices=tuple(cells)))
    return found


def planned_parameters(plan: TrainingConfiguration, space: Sequence[Dimension]) -> dict[str, Any]:
    """Return the planner's own settings as a point of the space."""
    names = [each.name for each in space]
    return {name: _setting(plan, name) for name in names}


def _setting(plan: TrainingConfiguration, name: str) -> Any:
    return getattr(plan.model if name in ("hidden_size", "cell") else plan, name)


def _values(plans: Plans, name: str) -> list[Any]:
    return [_setting(plan, name) for plan in plans]


def _learning_rate(plans: Plans) -> Dimension:
    rates = _values(plans, "learning_rate")
    return Dimension(
        "learning_rate", "logarithmic", min(rates) / FACTOR, min(1.0, max(rates) * FACTOR)
    )


def _hidden_size(plans: Plans) -> Dimension:
    sizes = _values(plans, "hidden_size")
    step = SIZE_STEP if all(size % SIZE_STEP == 0 for size in sizes) else 1
    low = max(step, min(sizes) // (2 * step) * step)
    return Dimension("hidden_size", "linear", low, 2 * max(sizes), step)


def _batch_size(plans: Plans) -> Dimension:
    sizes = _values(plans, "batch_size")
    found = {each for size in sizes for each in (max(1, size // 2), size, 2 * size)}
    return Dimension("batch_size", "choice", choices=tuple(sorted(found)))


def _window(plans: Plans) -> Dimension:
    found = {*WINDOWS, *_values(plans, "window")}
    return Dimension("window", "choice", choices=tuple(sorted(found)))


def _dropout(plans: Plans) -> Dimension:
    return Dimension("dropout", "linear", 0.0, MOST_DROPOUT)


def _recurrent_dropout(plans: Plans) -> Dimension:
    return Dimension("recurrent_dropout", "linear", 0.0, MOST_RECURRENT_DROPOUT)


def _weight_decay(plans: Plans) -> Dimension:
    return Dimension("weight_decay", "logarithmic", *WEIGHT_DECAYS)


DIMENSIONS: Mapping[str, Callable[[Plans], Dimension]] = {
    "learning_rate": _learning_rate,
    "hidden_size": _hidden_size,
    "batch_size": _batch_size,
    "window": _window,
    "dropout": _dropout,
    "recurrent_dropout": _recurrent_dropout,
    "weight_decay": _weight_decay,
}
