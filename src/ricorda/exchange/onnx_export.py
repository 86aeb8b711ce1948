"""Graphs of standard ONNX operators: one that reads a symbol, one that reads a sequence.

    step.onnx       ids (B,), state -> logits (B, V), state after them
    sequence.onnx   ids (B, T), state -> logits (B, T, V), state after them

The state is `hidden` (L, B, H), and `cell` (L, B, H) of an LSTM; what follows a graph's end is
`hidden_after`, `cell_after`. A model with labels takes `labels`, one for each id. B and T are any.
A layer is one operator, or several for a cell that ONNX does not have. Before the boundary between
documents is read, the state becomes zero. Where there are documents, or several operators, a Scan
reads a sequence symbol by symbol.

Weights in eight bits become float32 by Cast and Mul, which a runtime computes once, when it loads
the graph; it would keep DequantizeLinear and compute it at each step.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import ConfigurationError
from ricorda.exchange.exporting import Export, Weights
from ricorda.exchange.network import lstm_of_cifg, reordered
from ricorda.exchange.onnx_file import GATE_ORDERS, LARGEST
from ricorda.exchange.quantization import quantize_rows
from ricorda.extras import require_onnx
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CELLS
from ricorda.model.model_file import model_metadata

OPSET = 17
IR_VERSION = 8
"""Of 2022; runtimes read all earlier ones."""

Array = NDArray[Any]


def export(model: ModelFile, weights: Weights) -> Export:
    """Make step.onnx and sequence.onnx.

    Raises MissingExtra without the onnx package, ConfigurationError for more weights than a file
    of ONNX can hold.
    """
    require_onnx()
    constants = dict(_constants(model, weights))
    if sum(array.nbytes for array in constants.values()) > LARGEST - 2**24:
        raise ConfigurationError(
            f"the weights take more than the {LARGEST:,} bytes of an ONNX file: "
            "choose --weights int8"
        )
    return Export(
        {
            f"{name}.onnx": _Network(model, constants).file(is_sequence=name == "sequence")
            for name in ("step", "sequence")
        },
        (f"ONNX opset {OPSET}; ids and labels are int64, logits and states float32",),
    )


def _constants(model: ModelFile, weights: Weights) -> Iterator[tuple[str, Array]]:
    """Yield the constants of the graphs, matrices in eight bits with the scales of their rows."""
    for name, array, axis in _operands(model):
        if axis is None or weights == "float32":
            yield name, np.ascontiguousarray(array, np.float32)
            continue
        matrix = np.moveaxis(array, axis, 0)  # its rows first
        integers, scales = quantize_rows(matrix.reshape(len(matrix), -1))
        yield (
            f"{name}.int8",
            np.ascontiguousarray(np.moveaxis(integers.reshape(matrix.shape), 0, axis)),
        )
        shape = [-1 if each == axis else 1 for each in range(array.ndim)]
        yield f"{name}.scales", scales.reshape(shape)


def _operands(model: ModelFile) -> Iterator[tuple[str, Array, int | None]]:
    """Yield what the operators take, as ONNX stacks it, and the axis of a matrix's rows."""
    tensors = model.tensors
    if "embedding.weight" in tensors:
        yield "embedding.weight", tensors["embedding.weight"], 0  # (V, E)
    has_recurrent_weights = CELLS[model.configuration.cell].has_recurrent_weights
    yield from (_of_operators if has_recurrent_weights else _of_products)(model)
    yield "output.weight", tensors["output.weight"].T, 1  # (H, V)
    yield "output.bias", tensors["output.bias"], None


def _of_operators(model: ModelFile) -> Iterator[tuple[str, Array, int | None]]:
    """Yield the weights of layers that are one operator each."""
    tensors, cell = model.tensors, model.configuration.cell

    def stacked(name: str) -> Array:
        return stacked_gates(tensors[name], cell)

    if "labels.weight" in tensors:
        rows = stacked_gates(tensors["labels.weight"].T, cell)  # (G*H, K)
        yield "labels.W", rows[np.newaxis], 1
    for layer in range(model.configuration.num_layers):
        here = f"layers.{layer}"
        yield f"{here}.W", stacked(f"{here}.weight_ih")[np.newaxis], 1  # (1, G*H, I)
        yield f"{here}.R", stacked(f"{here}.weight_hh")[np.newaxis], 1  # (1, G*H, H)
        biases = [stacked(f"{here}.bias_{part}") for part in ("ih", "hh")]
        yield f"{here}.B", np.concatenate(biases)[np.newaxis], None  # (1, 2*G*H)


def _of_products(model: ModelFile) -> Iterator[tuple[str, Array, int | None]]:
    """Yield the weights of layers that are a product of the input and operators on its results."""
    tensors = model.tensors
    if "labels.weight" in tensors:
        yield "labels.W", tensors["labels.weight"], 1  # (K, G*H)
    for layer in range(model.configuration.num_layers):
        here = f"layers.{layer}"
        yield f"{here}.W", tensors[f"{here}.weight_ih"].T, 1  # (I, G*H)
        yield f"{here}.B", tensors[f"{here}.bias_ih"], None


def stacked_gates(weight: Array, cell: str) -> Array:
    """Stack a weight's gates (G*H, ...) as ONNX's operator has them; a cifg's as an LSTM's."""
    if cell == "cifg":
        return stacked_gates(lstm_of_cifg(weight), "lstm")
    return reordered(weight, *GATE_ORDERS[cell])  # type: ignore[index]


class _Network:
    """A graph while it is made: each method adds nodes and returns the name of a result."""

    def __init__(self, model: ModelFile, constants: dict[str, Array]) -> None:
        self._model = model
        self._configuration: ModelConfiguration = model.configuration
        self._constants = dict(constants)
        self._nodes: list[Any] = []
        cell = CELLS[self._configuration.cell]
        self._has_operator = cell.has_recurrent_weights
        self._parts = [part.name for part in cell.state]
        self._inputs = ["ids", "labels"] if self._configuration.num_labels else ["ids"]

    def file(self, *, is_sequence: bool) -> bytes:
        """Make the bytes of a file."""
        from onnx import helper

        self._dequantize()
        inputs = dict.fromkeys(self._inputs, "")
        for name in inputs:  # (T, B): time first
            inputs[name] = (
                self._add("Transpose", name, perm=[1, 0])
                if is_sequence
                else self._add("Unsqueeze", name, self._axis(0))
            )
        is_scanned = is_sequence and (self._configuration.documents or not self._has_operator)
        hidden, states = (self._scan if is_scanned else self._read)(inputs, self._parts)
        for name, state in zip(self._parts, states, strict=True):
            self._add("Identity", state, output=f"{name}_after")
        hidden = (
            self._add("Transpose", hidden, perm=[1, 0, 2])  # (B, T, H)
            if is_sequence
            else self._add("Squeeze", hidden, self._axis(0))  # (B, H)
        )
        product = self._add("MatMul", hidden, "output.weight")
        self._add("Add", product, "output.bias", output="logits")

        model = helper.make_model(
            self._graph("sequence" if is_sequence else "step", is_sequence),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="ricorda",
        )
        helper.set_model_props(model, model_metadata(self._model))
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _graph(self, name: str, is_sequence: bool) -> Any:
        from onnx import TensorProto, helper, numpy_helper

        each = ["batch", "time"] if is_sequence else ["batch"]
        state = [self._configuration.num_layers, "batch", self._configuration.hidden_size]
        logits = [*each, self._configuration.vocabulary_size]

        def numbers(name: str) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.INT64, each)

        return helper.make_graph(
            self._nodes,
            name,
            [
                *map(numbers, self._inputs),
                *(_floats(name, state) for name in self._parts),
            ],
            [_floats("logits", logits), *(_floats(f"{name}_after", state) for name in self._parts)],
            [numpy_helper.from_array(array, name) for name, array in self._constants.items()],
        )

    def _dequantize(self) -> None:
        """Compute float32 from the weights in eight bits."""
        from onnx import TensorProto

        for name in [each for each in self._constants if each.endswith(".int8")]:
            name = name.removesuffix(".int8")  # noqa: PLW2901
            numbers = self._add("Cast", f"{name}.int8", to=TensorProto.FLOAT)
            self._add("Mul", numbers, f"{name}.scales", output=name)

    def _scan(self, inputs: dict[str, str], states: list[str]) -> tuple[str, list[str]]:
        """Read a sequence symbol by symbol: ids (T, B), states (L, B, H) -> hidden (T, B, H)."""
        from onnx import TensorProto, helper

        outer, self._nodes = self._nodes, []
        before = [f"{name}_before" for name in states]
        time_axis = self._axis(0)
        symbols = {name: self._add("Unsqueeze", f"{name}_now", time_axis) for name in inputs}
        hidden, after = self._read(symbols, before)
        hidden = self._add("Squeeze", hidden, time_axis)
        shape = [self._configuration.num_layers, None, self._configuration.hidden_size]

        body = helper.make_graph(
            self._nodes,
            "symbol",
            [
                *(_floats(name, shape) for name in before),
                *(
                    helper.make_tensor_value_info(f"{name}_now", TensorProto.INT64, [None])
                    for name in inputs
                ),
            ],
            [*(_floats(name, shape) for name in after), _floats(hidden, shape[1:])],
        )
        self._nodes = outer
        results = [f"{name}_last" for name in states]
        node = helper.make_node(
            "Scan",
            [*states, *inputs.values()],
            [*results, "hidden_states"],
            body=body,
            num_scan_inputs=len(inputs),
        )
        self._nodes.append(node)
        return "hidden_states", results

    def _read(self, inputs: dict[str, str], states: list[str]) -> tuple[str, list[str]]:
        """Read ids (T, B) from states (L, B, H): hidden (T, B, H), states.

        Where there are documents, or the cell has no operator, T is 1. The state becomes zero
        before the boundary.
        """
        if self._configuration.documents:
            states = self._without_boundary(inputs["ids"], states)
        count = self._configuration.num_layers
        split = [self._split(state, count) for state in states]  # by part and layer
        hidden = self._symbols(inputs)
        after = []
        for layer in range(count):
            weights = {each: f"layers.{layer}.{each}" for each in "WRB"}
            if layer == 0 and self._configuration.num_labels:
                axis = 2 if self._has_operator else 0
                weights["W"] = self._add("Concat", weights["W"], "labels.W", axis=axis)
            advance = self._layer if self._has_operator else self._step
            hidden, *last = advance(hidden, weights, [part[layer] for part in split])
            after.append(last)
        if count == 1:
            return hidden, after[0]
        return hidden, [self._add("Concat", *part, axis=0) for part in zip(*after, strict=True)]

    def _without_boundary(self, ids: str, states: list[str]) -> list[str]:
        """Make the states of streams zero whose ids (1, B) are the boundary."""
        from onnx import TensorProto

        boundary = self._constant("boundary", np.array(self._configuration.boundary, np.int64))
        at_boundary = self._add("Equal", ids, boundary)
        keep = self._add("Cast", self._add("Not", at_boundary), to=TensorProto.FLOAT)
        keep = self._add("Unsqueeze", keep, self._axis(2))  # (1, B, 1)
        return [self._add("Mul", state, keep) for state in states]

    def _split(self, state: str, count: int) -> list[str]:
        """Give each layer's part of a state: (L, B, H) -> L times (1, B, H)."""
        from onnx import helper

        if count == 1:
            return [state]
        names = [f"{state}.{layer}" for layer in range(count)]
        self._nodes.append(helper.make_node("Split", [state], names, axis=0))
        return names

    def _symbols(self, inputs: dict[str, str]) -> str:
        """Turn ids (T, B), and labels, into the first layer's input (T, B, I)."""
        vectors = {}
        if self._configuration.embedding_size == "onehot":
            vectors["ids"] = self._configuration.vocabulary_size
        if self._configuration.num_labels:
            vectors["labels"] = self._configuration.num_labels
        parts = []
        for name, source in inputs.items():
            if name not in vectors:
                parts.append(self._add("Gather", "embedding.weight", source))
                continue
            depth = self._constant(f"{name}_count", np.array(vectors[name], np.int64))
            off_and_on = self._constant("off_and_on", np.array([0, 1], np.float32))
            parts.append(self._add("OneHot", source, depth, off_and_on))
        return parts[0] if len(parts) == 1 else self._add("Concat", *parts, axis=2)

    def _layer(self, inputs: str, weights: dict[str, str], states: list[str]) -> list[str]:
        """Run a layer: inputs (T, B, I), states (1, B, H) -> hidden (T, B, H), states."""
        from onnx import helper

        attributes: dict[str, Any] = {"hidden_size": self._configuration.hidden_size}
        cell = self._configuration.cell
        if cell == "gru":
            attributes["linear_before_reset"] = 1
        if cell == "rnn":
            attributes["activations"] = [self._configuration.nonlinearity.capitalize()]
        all_states = f"{weights['R']}.states"  # (T, 1, B, H)
        last = [f"{weights['R']}.{name}_last" for name in self._parts]
        operator = "LSTM" if cell == "cifg" else cell.upper()
        self._nodes.append(
            helper.make_node(
                operator,
                [inputs, *weights.values(), "", *states],
                [all_states, *last],
                **attributes,
            )
        )
        return [self._add("Squeeze", all_states, self._axis(1)), *last]

    def _step(self, inputs: str, weights: dict[str, str], states: list[str]) -> list[str]:
        """Advance a layer by a symbol: inputs (1, B, I), hidden (1, B, H) -> hidden, twice."""
        from onnx import helper

        (before,) = states
        gates = CELLS[self._configuration.cell].gates
        product = self._add("MatMul", inputs, weights["W"], output=f"{weights['B']}.product")
        totals = self._add("Add", product, weights["B"])
        names = [f"{weights['B']}.{gate.name}" for gate in gates]
        self._nodes.append(helper.make_node("Split", [totals], names, axis=2))
        *totals_of_gates, candidate = names
        share = self._share(totals_of_gates)  # h' = h + share * (candidate - h)
        change = self._add("Mul", share, self._add("Sub", candidate, before))
        hidden = self._add("Add", before, change, output=f"{weights['B']}.hidden")
        return [hidden, hidden]

    def _share(self, totals: list[str]) -> str:
        """How much of the hidden state is replaced: z of a minGRU, i / (f + i) of a minLSTM.

        The latter from the logarithms of the gates, which never vanish.
        """
        if len(totals) == 1:
            return self._add("Sigmoid", totals[0])
        logarithms = [self._add("Softplus", self._add("Neg", total)) for total in totals]
        return self._add("Sigmoid", self._add("Sub", *reversed(logarithms)))

    def _add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node of one output; return the output's name."""
        from onnx import helper

        output = output or f"{inputs[0]}.{operator.lower()}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def _constant(self, name: str, array: Array) -> str:
        self._constants[name] = array
        return name

    def _axis(self, number: int) -> str:
        return self._constant(f"axis_{number}", np.array([number], np.int64))


def _floats(name: str, shape: list[Any]) -> Any:
    """Describe an input or output of float32."""
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
