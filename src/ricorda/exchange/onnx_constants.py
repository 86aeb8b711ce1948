"""The constants of an ONNX graph, with what follows from them alone.

Exporters rearrange weights in the graph itself: they cut them into gates and join them in another
order, transpose them, or turn eight bits into float32.
"""

import math
from collections.abc import Callable

import numpy as np

from ricorda.exchange.onnx_file import Array, Graph, Node, OnnxFileError, Tensor

GROWTH = 64
"""Bytes that are computed for each byte of a file, at most."""


def computed_constants(graph: Graph) -> dict[str, Array]:
    """Compute what follows from the constants of a graph alone, floating-point as float32.

    What is computed takes at most GROWTH times the file's bytes. Raises OnnxFileError if it would
    take more, or if a node is damaged.
    """
    constants = {name: _plain(tensor.array()) for name, tensor in graph.tensors.items()}
    left = GROWTH * graph.size
    for node in graph.nodes:
        fold = FOLDS.get(node.operator)
        if (
            fold is None
            or not node.outputs
            or not all(name in constants for name in node.inputs if name)
        ):
            continue
        operands = [constants[name] for name in node.inputs if name]
        left -= 8 * sum(each.size for each in operands)
        if left < 0:
            raise OnnxFileError("what it computes from its constants takes too much memory")
        try:
            found = fold(node, *operands)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise OnnxFileError(f"its {node.operator} of constants is wrong") from error
        constants[node.outputs[0]] = _plain(found)
    return constants


def _plain(array: Array) -> Array:
    if array.dtype.kind not in "biuf":
        raise OnnxFileError("a constant is no number")
    if array.ndim > 1 and not array.size:  # its lengths may be any
        raise OnnxFileError("a constant has a shape and no numbers")
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def _constant(node: Node) -> Array:
    (value,) = node.attributes.values()
    return value.array() if isinstance(value, Tensor) else np.array(value)


def _axes(node: Node, axes: tuple[Array, ...]) -> tuple[int, ...] | None:
    """The axes of Squeeze or Unsqueeze: an input, before opset 13 an attribute."""
    if axes:
        return tuple(axes[0].reshape(-1).tolist())
    return tuple(node.attributes["axes"]) if "axes" in node.attributes else None


def _slice(node: Node, array: Array, *given: Array) -> Array:
    options = [each.tolist() for each in given] or [
        node.attributes[each] for each in ("starts", "ends")
    ]
    starts, ends = options[:2]
    axes = options[2] if len(options) > 2 else node.attributes.get("axes", range(len(starts)))
    steps = options[3] if len(options) > 3 else [1] * len(starts)
    taken = [slice(None)] * array.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        taken[axis] = slice(start, end, step)
    return array[tuple(taken)]


def _multiplied(node: Node, left: Array, right: Array) -> Array:
    if math.prod(np.broadcast_shapes(left.shape, right.shape)) > max(left.size, right.size):
        raise ValueError("a product that is larger than its factors")
    with np.errstate(over="ignore", invalid="ignore"):  # weights that are not finite are refused
        return left * right


def _dequantized(node: Node, numbers: Array, scales: Array, zero: Array | None = None) -> Array:
    def along(array: Array) -> Array:
        shape = [1] * numbers.ndim
        if array.size > 1:
            shape[node.attributes.get("axis", 1)] = array.size
        return array.reshape(shape)

    shifted = numbers.astype(np.float32) - (0 if zero is None else along(zero).astype(np.float32))
    return _multiplied(node, shifted, along(scales))


def _cast(node: Node, array: Array) -> Array:
    return array.astype(np.float32 if node.attributes["to"] in FLOATING else np.int64)


def _reshaped(node: Node, array: Array, shape: Array) -> Array:
    lengths = [array.shape[axis] if each == 0 else each for axis, each in enumerate(shape.tolist())]
    return array.reshape(lengths)


FLOATING = frozenset({1, 10, 11, 16})
"""ONNX's numbers of floating-point types."""

FOLDS: dict[str, Callable[..., Array]] = {
    "Cast": _cast,
    "Concat": lambda node, *parts: np.concatenate(parts, node.attributes["axis"]),
    "Constant": _constant,
    "DequantizeLinear": _dequantized,
    "Identity": lambda node, array: array,
    "Mul": _multiplied,
    "Neg": lambda node, array: -array,
    "Reshape": _reshaped,
    "Slice": _slice,
    "Squeeze": lambda node, array, *axes: np.squeeze(array, _axes(node, axes)),
    "Transpose": lambda node, array: np.transpose(array, node.attributes.get("perm")),
    "Unsqueeze": lambda node, array, *axes: np.expand_dims(array, _axes(node, axes) or ()),
}
"""What is computed from constants: how exporters rearrange weights."""
