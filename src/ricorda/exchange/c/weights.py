"""weights.h: the numbers of a model as constants, in the layout that its C program reads."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.exchange.c.source import array
from ricorda.exchange.quantization import quantize_rows
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CELLS


def weights_header(model: ModelFile, *, is_int8: bool) -> tuple[str, int]:
    """Return weights.h and how many bytes its arrays have."""
    constants = _Constants(is_int8)
    shape, tensors = model.configuration, model.tensors
    if shape.embedding_size != "onehot":
        constants.define("embedding", constants.matrix("embedding", tensors["embedding.weight"]))
    else:  # one-hot input picks a column
        weight = tensors["layers.0.weight_ih"]
        constants.define("columns", constants.matrix("columns", weight, is_transposed=True))
    if shape.num_labels:
        constants.define("labels", constants.matrix("labels", tensors["labels.weight"]))
    layers = [_layer(constants, model, number) for number in range(shape.num_layers)]
    body = ",\n".join(f"    {{{layer}}}" for layer in layers)
    constants.text.append(f"static const struct layer layers[] = {{\n{body}}};\n")
    constants.define("output", constants.matrix("output", tensors["output.weight"]))
    constants.add("output_bias", tensors["output.bias"])
    return "\n".join(["/* The numbers of the model. */\n", *constants.text]), constants.bytes


@dataclass
class _Constants:
    """The definitions of weights.h so far."""

    is_int8: bool
    text: list[str] = field(default_factory=list)
    bytes: int = 0

    def add(self, name: str, values: NDArray[Any]) -> str:
        """Define an array and return its name."""
        self.text.append(array(name, values))
        self.bytes += values.nbytes
        return name

    def define(self, name: str, initializer: str) -> None:
        self.text.append(f"static const struct matrix {name} = {initializer};\n")

    def matrix(self, name: str, weight: NDArray[np.float32], *, is_transposed: bool = False) -> str:
        """Define the arrays of a matrix (R, C) and return the initializer of its struct."""
        if not self.is_int8:
            stored = weight.T if is_transposed else weight
            return f"{{{self.add(f'{name}_weights', np.ascontiguousarray(stored))}}}"
        integers, scales = quantize_rows(weight)
        stored = np.ascontiguousarray(integers.T if is_transposed else integers)
        return f"{{{self.add(f'{name}_weights', stored)}, {self.add(f'{name}_scales', scales)}}}"


def _layer(constants: _Constants, model: ModelFile, number: int) -> str:
    """Define the arrays of a layer and return the initializer of its struct."""
    shape, prefix = model.configuration, f"layers.{number}."
    parts, bias = [*_input(constants, model, number)], model.tensors[f"{prefix}bias_ih"]
    if CELLS[shape.cell].has_recurrent_weights:
        weight = model.tensors[f"{prefix}weight_hh"]
        parts += _recurrent(constants, shape, f"recurrent_{number}", weight)
        bias = _first_totals(shape, bias, model.tensors[f"{prefix}bias_hh"])
    return ", ".join([*parts, constants.add(f"bias_{number}", bias)])


def _input(constants: _Constants, model: ModelFile, number: int) -> Iterator[str]:
    """Yield the layer's input weights, if the program's struct has a place for them."""
    shape = model.configuration
    is_one_hot = shape.embedding_size == "onehot"
    if number > 0 or not is_one_hot:
        weight = model.tensors[f"layers.{number}.weight_ih"]
        yield constants.matrix(f"input_{number}", weight)
    elif shape.num_layers > 1:
        yield "{0, 0}" if constants.is_int8 else "{0}"


def _recurrent(
    constants: _Constants, shape: ModelConfiguration, name: str, weight: NDArray[np.float32]
) -> Iterator[str]:
    """Yield the recurrent weights; those of a gate that another multiplies are a second matrix."""
    scaled = _scaled_rows(shape)
    yield constants.matrix(name, weight[~scaled])
    if scaled.any():
        yield constants.matrix(f"candidate_{name}", weight[scaled])


def _first_totals(
    shape: ModelConfiguration, bias_ih: NDArray[np.float32], bias_hh: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what totals begin with, (blocks * H,): the sums of the biases of both sides.

    A gate that another multiplies has two blocks, that of the recurrent side the last.
    """
    scaled = _scaled_rows(shape)
    return np.concatenate([np.where(scaled, bias_ih, bias_ih + bias_hh), bias_hh[scaled]])


def _scaled_rows(shape: ModelConfiguration) -> NDArray[np.bool_]:
    """Say which rows (G*H,) belong to a gate whose recurrent part another gate multiplies."""
    is_scaled = [gate.scaled_by is not None for gate in CELLS[shape.cell].gates]
    return np.repeat(is_scaled, shape.hidden_size)
