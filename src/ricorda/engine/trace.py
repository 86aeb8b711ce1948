"""What every unit did while a text was read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ricorda.engine.backend import Array


@dataclass(frozen=True, eq=False)
class Trace(Mapping[str, Array]):
    """The activations of all layers over a text, by name: `trace["hidden"]` is (T, L, H).

    The names are those of `Backend.trace`.
    """

    symbols: tuple[str, ...]
    """The T symbols as a person may read them, line ends and odd bytes spelled out."""

    arrays: dict[str, Array]
    """Each (T, L, H): what each unit was after the symbol had been read."""

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)
