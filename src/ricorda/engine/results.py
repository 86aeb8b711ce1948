"""What a model returns of the next symbol and of its inside."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ricorda.arguments import checked
from ricorda.engine.backend import Array
from ricorda.engine.display.cards import chances_card, chances_words
from ricorda.engine.display.heat_map import heat_map
from ricorda.engine.sampling import Probabilities, most_likely_first
from ricorda.frames import Library, frame
from ricorda.pages import plural


@dataclass(frozen=True, eq=False)
class Distribution:
    """How likely each symbol is to come next."""

    symbols: tuple[str, ...]
    """The V symbols as a person may read them, line ends and odd bytes spelled out."""

    probabilities: Probabilities
    """Their probabilities, (V,), with a sum of 1."""

    def __repr__(self) -> str:
        return f"<ricorda.Distribution: {chances_words(self.most_likely(3))}, ...>"

    def _repr_html_(self) -> str:
        return chances_card("Next symbol", "", self.most_likely(10))

    @checked
    def most_likely(self, count: int = 10) -> list[tuple[str, float]]:
        """List the most likely symbols and their probabilities, the most likely first."""
        order = most_likely_first(self.probabilities)[:count].tolist()
        return [(self.symbols[symbol], float(self.probabilities[symbol])) for symbol in order]


@dataclass(frozen=True, eq=False)
class Trace(Mapping[str, Array]):
    """The activations of all layers over a text, by name: `trace["hidden"]` is (T, L, H).

    The names are those of `Backend.trace`.
    """

    symbols: tuple[str, ...]
    """The T symbols as a person may read them, line ends and odd bytes spelled out."""

    arrays: dict[str, Array]
    """Each (T, L, H): the value of each unit after each symbol."""

    __eq__ = object.__eq__  # that of a mapping compares arrays
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        length, layers, units = self._shown.shape
        shape = (plural(length, "symbol"), plural(layers, "layer"), plural(units, "unit"))
        return f"<ricorda.Trace: {', '.join(self.arrays)}; each {' x '.join(shape)}>"

    def _repr_html_(self) -> str:
        return heat_map(self.symbols, self._name, self._shown)

    @property
    def _name(self) -> str:
        """The array that is shown unless another one is asked for."""
        return "hidden" if "hidden" in self.arrays else next(iter(self.arrays))

    @property
    def _shown(self) -> Array:
        return self.arrays[self._name]

    @checked
    def to_frame(self, library: Library = "pandas", name: str | None = None) -> Any:
        """Return one of the arrays as a table for pandas or polars, with a row for each symbol.

        Its columns are `symbol` and one for each unit, such as `0:17`: unit 17 of layer 0. By
        default it is the array `hidden`.

        Raises MissingExtra if the library is not installed, KeyError for an unknown name.
        """
        array = self.arrays[self._name if name is None else name]
        _, layers, units = array.shape
        columns: dict[str, Any] = {"symbol": list(self.symbols)}
        for layer, unit in itertools.product(range(layers), range(units)):
            columns[f"{layer}:{unit}"] = array[:, layer, unit]
        return frame(columns, library)

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)
