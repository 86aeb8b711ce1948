"""Units that do nothing, and gates that never move, while a network reads a text."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.engine import Model
from ricorda.insight.units import Block, Text, Unit, known_text, read_activations
from ricorda.model.cells import CELLS

DEAD_BELOW = 0.01
"""A unit is dead if its standard deviation over the text is below this: its output, whatever it
is, carries no information (a range of -1 to 1 has room for 100 such deviations to each side)."""

SATURATED_FROM = 0.95
"""An output of this size is near the end of tanh, where its slope is below a tenth."""

SATURATED_SHARE = 0.9
"""A unit that is not dead is saturated if it is near an end in so large a share of the text."""

GATE_SHUT = 0.1
GATE_OPEN = 0.9
"""A gate is closed below the first and open above the second, as in Karpathy et al. (2015)."""

GATES = {
    gate.name for cell in CELLS.values() for gate in cell.gates if gate.activation == "sigmoid"
}

Numbers: TypeAlias = NDArray[np.float64]
State: TypeAlias = Literal["works", "dead", "saturated"]


@dataclass(frozen=True, eq=False)
class Health:
    """What every unit's output did over a text; arrays are (L, H)."""

    symbols: int

    mean: Numbers
    deviation: Numbers
    """The standard deviation over the text."""

    smallest: Numbers
    largest: Numbers

    saturated_share: Numbers
    """The share of the text in which the output was within 0.05 of -1 or 1; 0 with relu."""

    shut: dict[str, Numbers]
    """By gate, the share of the text in which it was below 0.1."""

    open: dict[str, Numbers]
    """By gate, the share of the text in which it was above 0.9."""

    @property
    def dead(self) -> list[Unit]:
        """The units whose output hardly ever changes."""
        return _units(self.deviation < DEAD_BELOW)

    @property
    def saturated(self) -> list[Unit]:
        """The units that change, but from one end of their range to the other."""
        return _units(self._saturated)

    @checked
    def state_of(self, unit: Unit) -> State:
        """Say in a word how one unit is."""
        if self.deviation[unit] < DEAD_BELOW:
            return "dead"
        return "saturated" if self._saturated[unit] else "works"

    @property
    def _saturated(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (self.deviation >= DEAD_BELOW) & (
            self.saturated_share >= SATURATED_SHARE
        )
        return found


@checked
def unit_health(model: Model, text: Text, *, label: str | None = None) -> Health:
    """Read a text of any length and find dead and saturated units, and how open the gates are.

    Characters after one that the model never saw do not count; `label` is that of the text's
    documents. Raises TextError for a text without a known symbol.
    """
    known = known_text(model, text)
    counted = known.counted(model.vocabulary)
    if not counted.any():
        counted[:] = True
    configuration = model.configuration
    tally = _Tally(bounded=configuration.is_bounded)
    for block in read_activations(model, known.ids, label=label):
        length = len(block.arrays["hidden"])
        here = counted[block.begin : block.begin + length]
        if here.any():
            arrays = {name: array[here] for name, array in block.arrays.items()}
            tally.add(Block(block.begin, arrays))
    return tally.health()


class _Tally:
    """Sums over the blocks of a text."""

    def __init__(self, bounded: bool) -> None:
        self._bounded = bounded
        self._count = 0
        self._mean: Numbers = np.zeros(())
        self._squares: Numbers = np.zeros(())  # of distances from the mean
        self._smallest: Numbers = np.array(np.inf)
        self._largest: Numbers = np.array(-np.inf)
        self._saturated: Numbers = np.zeros(())
        self._shut: dict[str, Numbers] = {}
        self._open: dict[str, Numbers] = {}

    def add(self, block: Block) -> None:
        hidden = block.arrays["hidden"].astype(np.float64)  # (T, L, H)
        self._add_moments(hidden)
        self._smallest = np.minimum(self._smallest, hidden.min(axis=0))
        self._largest = np.maximum(self._largest, hidden.max(axis=0))
        if self._bounded:
            self._saturated = self._saturated + (np.abs(hidden) >= SATURATED_FROM).sum(axis=0)
        for name in block.arrays:
            if name in GATES:
                gate = block.arrays[name]
                self._shut[name] = self._shut.get(name, 0) + (gate < GATE_SHUT).sum(axis=0)
                self._open[name] = self._open.get(name, 0) + (gate > GATE_OPEN).sum(axis=0)

    def _add_moments(self, values: Numbers) -> None:
        """Join means and squares without cancellation (Chan et al., 1983)."""
        count = len(values)
        mean = values.mean(axis=0)
        distance = mean - self._mean
        total = self._count + count
        self._squares = (
            self._squares
            + ((values - mean) ** 2).sum(axis=0)
            + distance**2 * (self._count * count / total)
        )
        self._mean = self._mean + distance * (count / total)
        self._count = total

    def health(self) -> Health:
        count = self._count
        return Health(
            symbols=count,
            mean=self._mean,
            deviation=np.sqrt(self._squares / count),
            smallest=self._smallest,
            largest=self._largest,
            saturated_share=np.broadcast_to(self._saturated / count, self._mean.shape),
            shut={name: sums / count for name, sums in self._shut.items()},
            open={name: sums / count for name, sums in self._open.items()},
        )


def _units(chosen: NDArray[np.bool_]) -> list[Unit]:
    """The units, (L, H), that a mask is true for."""
    return [Unit(int(layer), int(number)) for layer, number in np.argwhere(chosen)]
