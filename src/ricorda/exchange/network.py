"""A network as other tools store it, in torch.nn's layout, and what it is as a model file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Self

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
    nonlinearity: Literal["tanh", "relu"] | None = "tanh"
    """The activation of an rnn; None where the file does not say it."""

    labels: Weight | None = None  # (K, G*H); a row for each label, the first for none
    symbols: "Symbols | InputError | None" = None
    """The symbols, where the file has them, or what is wrong with them."""

    training: Mapping[str, Any] = field(default_factory=dict)
    """Where the model came from: {"imported": {"version": ..., ...}}."""

    notes: tuple[str, ...] = ()
    """Lines for the person who imports, such as a way in which the model differs."""

    def with_nonlinearity(self, given: Literal["tanh", "relu"] | None) -> Self:
        """Set the activation of an rnn where the file does not say it; tanh if it is not given.

        Raises ModelFileError where there is none to set.
        """
        if self.nonlinearity is not None:
            if given is None:
                return self
            raise ModelFileError("the file says its activation: leave out --nonlinearity")
        note = "The file does not say its activation: tanh is assumed (--nonlinearity relu)."
        notes = self.notes if given else (*self.notes, note)
        return replace(self, nonlinearity=given or "tanh", notes=notes)

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
        labels = len(vocabulary.labels)
        if self.labels is not None and self.labels.shape[:1] != (labels + 1,):
            raise ModelFileError(
                f"expected rows for {labels} labels and for none, got a shape "
                f"{self.labels.shape}: leave out --symbols"
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
            nonlinearity=self.nonlinearity or "tanh",
            documents=vocabulary.boundary is not None,
            num_labels=0 if self.labels is None else len(self.labels),
        )

    def _tensors(self, order: NDArray[np.intp] | None) -> Iterator[tuple[str, Weight]]:
        """Yield the tensors of the model file, their symbols in the vocabulary's order."""

        def sorted_symbols(weight: Weight) -> Weight:  # (V, ...)
            return weight if order is None else weight[order]

        if self.embedding is not None:
            yield "embedding.weight", sorted_symbols(self.embedding)
        if self.labels is not None:
            yield "labels.weight", self.labels
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


def check_gates(weight: Weight, gates: int) -> None:
    """Raise ModelFileError unless the rows of a weight can be those of so many gates."""
    if weight.ndim == 0 or len(weight) % gates:
        raise ModelFileError(f"expected weights of {gates} gates, got a shape of {weight.shape}")


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
    return ForeignLayer(*map(three_gates, layer))


def three_gates(weight: Weight) -> Weight:
    """Leave out the forget gate's rows: (4H, ...) -> (3H, ...)."""
    input_gate, _, candidate, output_gate = np.split(weight, 4)
    return np.concatenate([input_gate, candidate, output_gate])


def coupled(
    cell: CellName, layers: Sequence[ForeignLayer]
) -> tuple[CellName, tuple[ForeignLayer, ...]]:
    """Turn an LSTM whose gates are coupled in all layers into a cifg; others stay as they are."""
    if cell == "lstm" and all(map(is_coupled, layers)):
        return "cifg", tuple(map(cifg_of_lstm, layers))
    return cell, tuple(layers)
