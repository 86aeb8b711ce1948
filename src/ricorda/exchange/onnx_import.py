"""Read ONNX graphs of standard RNN, GRU and LSTM operators.

A graph is followed from its logits back to its ids: the output layer (Gemm, or MatMul and Add), the
layers one under the other, and the symbols' vectors (Gather, OneHot, or a MatMul of one-hot
vectors). What only changes a shape is passed over. Anything else is refused by name. Graphs that
ricorda exported are read by the names of their constants, labels and boundary included.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ricorda.errors import ModelFileError
from ricorda.exchange.described import Description, read_description
from ricorda.exchange.network import (
    ForeignLayer,
    ForeignNetwork,
    Symbols,
    Weight,
    check_gates,
    coupled,
    lstm_of_cifg,
    reordered,
    three_gates,
)
from ricorda.exchange.onnx_constants import computed_constants
from ricorda.exchange.onnx_file import (
    GATE_ORDERS,
    Array,
    Graph,
    Node,
    OnnxFileError,
    Tensor,
    read_graph,
)
from ricorda.model.cells import CELLS, CellName
from ricorda.validation import shown

OPERATORS: dict[str, CellName] = {"RNN": "rnn", "GRU": "gru", "LSTM": "lstm"}
ACTIVATIONS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
SEQUENCE_LENGTHS, INITIAL_STATES, PEEPHOLES = 4, (5, 6), 7
"""Where the operators have these inputs."""

FROM_FIRST = frozenset(
    {"Cast", "Expand", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose"}
    | {"Unsqueeze"}
)
"""Operators whose results hold numbers of their first input alone."""

MOST_LAYERS = 64

UNCHANGED = frozenset({"Identity", "Dropout", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten"})
"""Operators that keep vectors whole, whatever the shape around them."""

MONOTONE = frozenset({"Softmax", "LogSoftmax"})
"""What may follow the logits."""


def read(path: Path) -> ForeignNetwork:
    """Read a graph. Raises ModelFileError, in one line, for one that is damaged or unlike ricorda's
    networks.
    """
    graph = read_graph(path)
    description = read_description(path, graph.metadata)
    try:
        constants = computed_constants(graph)
        if description is not None:
            return _exported(constants, description)
        return _Walk(graph, constants).network()
    except (OnnxFileError, ModelFileError) as error:
        raise ModelFileError(f"{path}: {error}") from error


def _exported(constants: "dict[str, Array]", description: Description) -> ForeignNetwork:
    """Read an export of ricorda."""
    shape = description.configuration
    cell = shape.cell
    if not CELLS[cell].has_recurrent_weights:
        raise ModelFileError(
            f"a {CELLS[cell].label} cannot be imported from a graph: keep the model file that it "
            "was exported from"
        )

    def constant(name: str) -> Weight:
        if name not in constants:
            raise ModelFileError(f"the constant {name!r} of an export of ricorda is missing")
        return constants[name]

    def only(name: str, dimensions: int) -> Weight:
        """What a constant holds of its only direction."""
        found = constant(name)
        if found.ndim != dimensions or len(found) != 1:
            raise ModelFileError(f"the constant {name!r} has the shape {found.shape}")
        weight: Weight = found[0]
        return weight

    def torchs(stacked: Weight) -> Weight:  # (G*H, ...)
        check_gates(stacked, len(GATE_ORDERS["lstm" if cell == "cifg" else cell][0]))
        if cell == "cifg":
            return three_gates(reordered(stacked, *GATE_ORDERS["lstm"][::-1]))
        return reordered(stacked, *GATE_ORDERS[cell][::-1])

    def layer(number: int) -> ForeignLayer:
        here = f"layers.{number}"
        biases = only(f"{here}.B", 2)
        middle = len(biases) // 2
        weights = (only(f"{here}.W", 3), only(f"{here}.R", 3), biases[:middle], biases[middle:])
        return ForeignLayer(*map(torchs, weights))

    return ForeignNetwork(
        cell=cell,
        layers=tuple(layer(number) for number in range(shape.num_layers)),
        output_weight=constant("output.weight").T,
        output_bias=constant("output.bias"),
        embedding=None if shape.embedding_size == "onehot" else constant("embedding.weight"),
        nonlinearity=shape.nonlinearity,
        labels=torchs(only("labels.W", 3)).T if shape.num_labels else None,
        symbols=Symbols(description.vocabulary),
        training=description.training,
    )


class Linear(NamedTuple):
    """A layer W x + b of a graph."""

    weight: Weight  # (rows, columns)
    bias: Weight | None  # (rows,)
    source: str
    """The name of x."""


class _Walk:
    """Follows a graph from its logits back to its ids."""

    def __init__(self, graph: Graph, constants: dict[str, Array]) -> None:
        self._graph = graph
        self._constants = constants
        self._makers = {name: node for node in graph.nodes for name in node.outputs if name}

    def network(self) -> ForeignNetwork:
        """Read the network. Raises ModelFileError for what ricorda cannot represent."""
        weight, bias, name = self._output_layer()
        node: Node | None = None
        operators: list[Node] = []
        while (node := self._source(name)[1]) and node.operator in OPERATORS:
            if node in operators or len(operators) >= MOST_LAYERS:
                raise OnnxFileError("its layers form a cycle")
            operators.insert(0, node)
            self._check_operator(node, self._source(name)[0])
            name = node.input(0)
        if not operators:
            raise ModelFileError(
                f"expected a recurrent layer (RNN, GRU or LSTM) before the output layer, "
                f"found {_described(node, name)}"
            )
        layers = [self._layer(each) for each in operators]
        kinds = {(each.operator, _nonlinearity(each)) for each in operators}
        if len(kinds) > 1:
            raise ModelFileError("expected layers of one cell and one activation, found several")
        cell, coupled_layers = coupled(OPERATORS[operators[0].operator], layers)
        return ForeignNetwork(
            cell=cell,
            layers=coupled_layers,
            output_weight=weight,
            output_bias=np.zeros(len(weight), np.float32) if bias is None else bias,
            embedding=self._embedding(name, layers[0].weight_ih.shape[1], len(weight)),
            nonlinearity=_nonlinearity(operators[0]),
        )

    def _source(self, name: str) -> tuple[str, Node | None]:
        """Pass over what keeps vectors whole: a name and its node, None at an input."""
        for _ in range(len(self._graph.nodes) + 1):
            node = self._makers.get(name)
            if node is None or name in self._constants:
                return name, None
            permutation = node.attribute("perm", [1, 0]) if node.operator == "Transpose" else [1, 0]
            keeps_last = permutation[-1:] == [len(permutation) - 1]
            if node.operator not in UNCHANGED and not keeps_last:
                return name, node
            name = node.input(0)
        raise OnnxFileError("its nodes form a cycle")

    def _output_layer(self) -> "Linear":
        """Find the layer that makes the logits, among the outputs."""
        found = []
        for output in self._graph.outputs:
            name, node = self._source(output)
            if node is not None and node.operator in MONOTONE:
                name, node = self._source(node.input(0))
            if node is not None and (linear := self._linear(node)) is not None:
                return linear
            found.append(_described(node, name))
        raise ModelFileError(
            "expected logits from a Gemm or MatMul with a constant among the outputs, found "
            + (", ".join(found[:4]) or "no outputs")
        )

    def _linear(self, node: Node) -> "Linear | None":
        """Read W x + b; None for any other operator."""
        added = ""
        if node.operator == "Add":
            terms = sorted(node.inputs, key=lambda name: name in self._constants)
            product = self._source(terms[0])[1] if len(terms) == 2 else None
            if product is None:
                return None
            node, added = product, terms[1]
        weight = self._constants.get(node.input(1))
        if weight is None or weight.ndim != 2 or not _is_plain_product(node):
            return None
        weight = weight if node.attribute("transB", 0) else weight.T
        names = [name for name in (added, node.input(2)) if name]
        if not names:
            return Linear(weight, None, node.input(0))
        bias = self._constants.get(names[0])
        if len(names) > 1 or bias is None or bias.size != len(weight):
            return None
        return Linear(weight, bias.reshape(-1), node.input(0))

    def _check_operator(self, node: Node, output: str) -> None:
        """Refuse, by name, what differs from ricorda's cells."""
        activations = node.attribute("activations", ACTIVATIONS[node.operator])
        direction = node.attribute("direction", "forward")
        known = [ACTIVATIONS[node.operator]] + ([["Relu"]] if node.operator == "RNN" else [])
        unlike = {
            f"direction {direction}": direction != "forward",
            "activations " + ", ".join(activations): activations not in known,
            "clip": "clip" in node.attributes,
            "linear_before_reset = 0 (the reset gate before the product)": node.operator == "GRU"
            and node.attribute("linear_before_reset", 0) != 1,
            "sequence_lens": bool(node.input(SEQUENCE_LENGTHS)),
            "peepholes": not self._is_zero(node.input(PEEPHOLES)),
            "an initial state that is neither zero nor an input": not all(
                self._is_zero(node.input(each), or_input=True) for each in INITIAL_STATES
            ),
            "an output layer that reads the cell state": output not in node.outputs[:2],
        }
        for name, is_so in unlike.items():
            if is_so:
                raise ModelFileError(f"ricorda has no {node.operator} with {name:.100}")

    def _is_zero(self, name: str, *, or_input: bool = False) -> bool:
        """Whether a value is left out or zero, or comes from the graph's inputs alone."""
        waiting, seen = [name], {""}
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            node = self._makers.get(name)
            if name in self._constants:
                if self._constants[name].any():
                    return False
            elif node is None:
                if not (or_input and name in self._graph.inputs):
                    return False
            elif node.operator == "ConstantOfShape":
                value = node.attributes.get("value")
                if isinstance(value, Tensor) and value.array().any():
                    return False
            elif node.operator in FROM_FIRST:
                waiting.append(node.input(0))
            elif node.operator == "Concat":
                waiting.extend(node.inputs)
            else:
                return False
        return True

    def _layer(self, node: Node) -> ForeignLayer:
        """Read an operator's weights, in torch.nn's layout."""
        weights = []
        for number, name in ((1, "W"), (2, "R")):
            weight = self._constants.get(node.input(number))
            if weight is None or weight.ndim != 3 or len(weight) != 1:
                raise ModelFileError(
                    f"expected the {name} of an {node.operator} as a constant of the file, of one "
                    "direction"
                )
            weights.append(weight[0])
        rows = len(weights[1])
        bias = self._constants.get(node.input(3), np.zeros((1, 2 * rows), np.float32))
        if (node.input(3) and node.input(3) not in self._constants) or bias.shape != (1, 2 * rows):
            raise ModelFileError(
                f"expected the B of an {node.operator} as a constant (1, {2 * rows})"
            )
        cell = OPERATORS[node.operator]
        parts = [*weights, *np.split(bias[0], 2)]
        for part in parts:
            check_gates(part, len(GATE_ORDERS[cell][0]))
        if len({len(part) for part in parts}) > 1:
            raise ModelFileError(f"the weights of an {node.operator} differ in their rows")
        layer = ForeignLayer(*(reordered(part, *GATE_ORDERS[cell][::-1]) for part in parts))
        if cell == "lstm" and node.attribute("input_forget", 0):
            return ForeignLayer(*(lstm_of_cifg(three_gates(part)) for part in layer))
        return layer

    def _embedding(self, name: str, columns: int, symbols: int) -> Weight | None:
        """Find the symbols' vectors (V, E) before the first layer; None for one-hot input."""
        name, node = self._source(name)
        table = None
        linear = None if node is None else self._linear(node)
        if node is not None and node.operator == "Gather":
            table = self._constants.get(node.input(0))
            if table is None or node.attribute("axis", 0) or table.ndim != 2:
                raise ModelFileError("expected a constant table (V, E) of the symbols' vectors")
            name, node = self._source(node.input(1))
        elif linear is not None and linear.bias is None:
            table = linear.weight.T
            name, node = self._source(linear.source)
        if node is not None and node.operator == "OneHot" and self._is_one_hot(node):
            name, node = self._source(node.input(0))
        if node is not None or name not in self._graph.inputs:
            raise ModelFileError(
                f"expected ids, or one-hot vectors, as the network's input, "
                f"found {_described(node, name)}"
            )
        if (symbols if table is None else table.shape[1]) != columns:
            raise ModelFileError(
                f"the first layer reads vectors of {columns} numbers, not one for each of "
                f"{symbols} symbols"
            )
        if table is not None and len(table) != symbols:
            raise ModelFileError(f"{len(table)} symbols come in, {symbols} go out")
        is_identity = table is not None and np.array_equal(table, np.eye(*table.shape))
        return None if is_identity else table

    def _is_one_hot(self, node: Node) -> bool:
        """Whether a OneHot makes vectors of zeros and a one."""
        values = self._constants.get(node.input(2))
        return values is not None and values.tolist() == [0, 1]


def _nonlinearity(node: Node) -> Literal["tanh", "relu"]:
    return "relu" if "Relu" in node.attribute("activations", ["Tanh"]) else "tanh"


def _is_plain_product(node: Node) -> bool:
    """Whether it is x W, or Gemm with neither factors nor x transposed."""
    factors = node.attribute("alpha", 1.0), node.attribute("beta", 1.0), node.attribute("transA", 0)
    return node.operator in {"MatMul", "Gemm"} and factors == (1, 1, 0)


def _described(node: Node | None, name: str) -> str:
    """What a message says was found."""
    return f"the value {shown(name)}" if node is None else f"the operator {shown(node.operator)}"
