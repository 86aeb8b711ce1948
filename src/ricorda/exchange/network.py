"""A network as other tools store it, in torch.nn's layout, and what it is as a model file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ricorda.errors import InputError, ModelFileError
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CELLS, CellName
from ricorda.model.model_file import model_file_bytes
from ricorda.text.vocabulary import Vocabulary
from ricorda.validation import explain

Weight = NDArray[np.float32]


class ForeignLayer(NamedTuple):
    """One recurrent layer: gates stacked as in the table of cells, I inputs."""

    weight_ih: Weight  # (G*H, I)
    weight_hh: Weight  # (G*H, H)
    bias_ih: Weight  # (G*H,)
    bias_hh: Weight  # (G*H,)


class Symbols(NamedTuple):
    """A vocabulary whose ids are in another order than those of a foreign network."""

    vocabulary: Vocabulary
    order: NDArray[np.intp] | None = None
    """For each id of the vocabulary that of the network, (V,); None where they are the same."""

    notes: tuple[str, ...] = ()
    """Lines for the person who imports."""


@dataclass(frozen=True)
class ForeignNetwork:
    """What a reader finds in another tool's file."""

    cell: CellName
    layers: tuple[ForeignLayer, ...]
    output_weight: Weight  # (V, H)
    output_bias: Weight  # (V,)
    embedding: Weight | None = None  # (V, E); None for one-hot input
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    symbols: "Symbols | InputError | None" = None
    """The symbols, where the file has them, or what is wrong with them."""

    training: Mapping[str, Any] = field(default_factory=dict)
    """Where the model came from: {"imported": {"version": ..., ...}}."""

    notes: tuple[str, ...] = ()
    """Lines for the person who imports, such as a way in which the model differs."""

    def model_file(self, symbols: Symbols | None = None) -> ModelFile:
        """Return it as a model file; symbols that are given replace the file's own.

        Raises ModelFileError for symbols that are missing and for shapes or numbers that fit no
        model.
        """
        found = symbols or self.symbols
        if found is None:
            raise ModelFileError(
                "the file does not say which symbols its ids stand for: name them with --symbols"
            )
        if isinstance(found, InputError):
            raise found
        vocabulary, order, _ = found
        if self.output_bias.ndim != 1:
            raise ModelFileError(
                f"expected an output bias for each symbol, got a shape {self.output_bias.shape}"
            )
        if vocabulary.size != len(self.output_bias):
            raise ModelFileError(
                f"expected {len(self.output_bias)} symbols, as many as the network's outputs, "
                f"got {vocabulary.size}: correct the symbols"
            )
        self._check_shapes(vocabulary.size)
        try:
            configuration = self._configuration(vocabulary)
        except ValidationError as error:
            raise ModelFileError(
                f"the network is none of ricorda's: {explain(error, ModelConfiguration)}"
            ) from error
        model = ModelFile(
            configuration,
            vocabulary,
            {name: np.ascontiguousarray(each, "<f4") for name, each in self._tensors(order)},
            dict(self.training),
        )
        model_file_bytes(model)  # looks at shapes and numbers
        return model

    def _check_shapes(self, size: int) -> None:
        """Matrices are matrices, and each symbol has a row of what is read and written."""
        read = [] if self.embedding is None else [self.embedding]
        for weight in (
            self.output_weight,
            *read,
            *(each for layer in self.layers for each in layer[:2]),
        ):
            if weight.ndim != 2 or not weight.size:
                raise ModelFileError(f"expected a matrix of weights, got a shape {weight.shape}")
        if len(self.output_weight) != size:
            raise ModelFileError(
                f"expected output weights of {size} symbols, as many as biases, got "
                f"{len(self.output_weight)}"
            )
        if self.embedding is not None and len(self.embedding) != size:
            raise ModelFileError(
                f"expected an embedding of {size} symbols, as many as the network's outputs, got "
                f"{len(self.embedding)}"
            )
        numbers = self.layers[0].weight_ih.shape[1]
        if self.embedding is None and numbers != size:
            raise ModelFileError(
                f"expected one-hot input of {size} numbers, as many as the network's outputs, got "
                f"{numbers}: a model that reads other numbers than symbols cannot be imported"
            )

    def _configuration(self, vocabulary: Vocabulary) -> ModelConfiguration:
        rows, hidden = self.layers[0].weight_hh.shape
        gates = len(CELLS[self.cell].gates)
        if rows != gates * hidden:
            raise ModelFileError(
                f"expected recurrent weights of {gates} gates for a cell {self.cell}, "
                f"got a shape of ({rows}, {hidden})"
            )
        return ModelConfiguration(
            cell=self.cell,
            vocabulary_size=vocabulary.size,
            hidden_size=hidden,
            num_layers=len(self.layers),
            embedding_size="onehot" if self.embedding is None else self.embedding.shape[1],
            nonlinearity=self.nonlinearity,
            documents=vocabulary.boundary is not None,
        )

    def _tensors(self, order: NDArray[np.intp] | None) -> Iterator[tuple[str, Weight]]:
        """Yield the tensors of the model file, their symbols in the vocabulary's order."""

        def sorted_symbols(weight: Weight) -> Weight:  # (V, ...)
            return weight if order is None else weight[order]

        if self.embedding is not None:
            yield "embedding.weight", sorted_symbols(self.embedding)
        for number, layer in enumerate(self.layers):
            for name, weight in layer._asdict().items():
                if name == "weight_ih" and number == 0 and self.embedding is None:
                    weight = sorted_symbols(weight.T).T  # noqa: PLW2901
                yield f"layers.{number}.{name}", weight
        yield "output.weight", sorted_symbols(self.output_weight)
        yield "output.bias", sorted_symbols(self.output_bias)


def reordered(weight: Weight, gates: str, order: str) -> Weight:
    """Stack a weight's blocks of H rows, whose gates are the letters `gates`, in another order.

    >>> reordered(keras_kernel.T, "ifgo", "ifgo")
    """
    blocks = dict(zip(gates, np.split(weight, len(gates)), strict=True))
    return np.concatenate([blocks[letter] for letter in order])


def lstm_of_cifg(weight: Weight) -> Weight:
    """Turn a cifg's stacked weight or bias (3H, ...) into that of an LSTM (4H, ...).

    The forget gate is 1 - i, and 1 - sigmoid(x) = sigmoid(-x), so its rows are those of i negated.
    """
    input_gate, candidate, output_gate = np.split(weight, 3)
    return np.concatenate([input_gate, -input_gate, candidate, output_gate])


def is_coupled(layer: ForeignLayer) -> bool:
    """Whether an LSTM's forget gate is 1 - i in all its weights: it is a cifg."""
    return all(
        np.array_equal(blocks[1], -blocks[0]) for blocks in (np.split(each, 4) for each in layer)
    )


def cifg_of_lstm(layer: ForeignLayer) -> ForeignLayer:
    """Leave out the forget gate of an LSTM whose gates are coupled."""

    def three(weight: Weight) -> Weight:
        input_gate, _, candidate, output_gate = np.split(weight, 4)
        return np.concatenate([input_gate, candidate, output_gate])

    return ForeignLayer(*map(three, layer))
