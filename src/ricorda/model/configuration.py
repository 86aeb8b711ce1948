"""The shape of a network: what is saved beside its weights."""

import math
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.model.cells import CELLS, CellName

Initialisation = Literal["orthogonal", "uniform"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class ModelConfiguration:
    """What must be known to build a network and to check the tensors of a model file."""

    cell: CellName
    """The recurrent cell, a name in `CELLS`."""

    vocabulary_size: Annotated[int, Field(ge=1, le=0x110000)]
    """V, how many symbols there are."""

    hidden_size: Annotated[int, Field(ge=1, le=65536)]
    """H, the units of each layer."""

    num_layers: Annotated[int, Field(ge=1, le=64)] = 1
    """L, how many layers stand on each other."""

    embedding_size: Annotated[int, Field(ge=1, le=65536)] | Literal["onehot"] = "onehot"
    """E, the length of each symbol's vector; `onehot` feeds the symbol itself, V numbers."""

    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """The activation of the `rnn` cell; other cells have their own."""

    documents: bool = False
    """Whether the last symbol is the boundary between documents: before it is read, the state
    becomes zero."""

    num_labels: Annotated[int, Field(ge=0, le=65536)] = 0
    """K, the labels that a document may have, counting label 0 for documents without one."""

    @property
    def input_size(self) -> int:
        """I, the length of the first layer's input: V for one-hot, else E."""
        return self.vocabulary_size if self.embedding_size == "onehot" else self.embedding_size

    @property
    def gates(self) -> int:
        """G, the rows of H in a cell's stacked weights."""
        return len(CELLS[self.cell].gates)

    @property
    def is_bounded(self) -> bool:
        """Whether hidden states stay within -1 and 1: not where relu replaces tanh."""
        cell = CELLS[self.cell]
        return cell.is_bounded and not (cell.takes_nonlinearity and self.nonlinearity == "relu")

    @property
    def state_parts(self) -> int:
        """S, the vectors of H that a layer carries, the hidden state first."""
        return len(CELLS[self.cell].state)

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(map(math.prod, self.tensor_shapes().values()))

    @property
    def boundary(self) -> int | None:
        """The id of the boundary symbol; None where the text is one stream."""
        return self.vocabulary_size - 1 if self.documents else None

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of every tensor of the model file, in order."""
        shapes: dict[str, tuple[int, ...]] = {}
        rows, hidden = self.gates * self.hidden_size, self.hidden_size
        if self.embedding_size != "onehot":
            shapes["embedding.weight"] = (self.vocabulary_size, self.embedding_size)
        if self.num_labels:  # added to the first layer's gates at each step
            shapes["labels.weight"] = (self.num_labels, rows)
        has_recurrent_weights = CELLS[self.cell].has_recurrent_weights
        for layer in range(self.num_layers):
            shapes[f"layers.{layer}.weight_ih"] = (rows, hidden if layer else self.input_size)
            if has_recurrent_weights:
                shapes[f"layers.{layer}.weight_hh"] = (rows, hidden)
            shapes[f"layers.{layer}.bias_ih"] = (rows,)
            if has_recurrent_weights:
                shapes[f"layers.{layer}.bias_hh"] = (rows,)
        shapes["output.weight"] = (self.vocabulary_size, hidden)
        shapes["output.bias"] = (self.vocabulary_size,)
        return shapes
