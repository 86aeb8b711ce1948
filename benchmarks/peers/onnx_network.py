"""One step of the network as a graph of standard ONNX operators, run by ONNX Runtime."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.float32]]

OPSET = 17
# ONNX stacks the gates in another order than torch.nn: the places of its gates in torch's order.
GATE_ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}
STATES = {"rnn": ["hidden"], "gru": ["hidden"], "lstm": ["hidden", "cell"]}


class OnnxNetwork:
    """A session of ONNX Runtime on one thread that steps the graph."""

    def __init__(self, cell: str, tensors: Tensors) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            step_graph(cell, tensors), options, providers=["CPUExecutionProvider"]
        )
        zero = np.zeros((1, 1, tensors["output.weight"].shape[1]), np.float32)
        self.names = ["symbol", *STATES[cell]]
        self.state = [zero for _ in STATES[cell]]
        """What the next step starts from, arrays of (1, 1, H)."""

    def step(self, symbol: NDArray[np.int64], outputs: list[str]) -> list[NDArray[Any]]:
        """Read a symbol (1,) and carry the state; return the named outputs."""
        feed = dict(zip(self.names, [symbol, *self.state], strict=True))
        wanted = [*outputs, *(f"{name}_after" for name in self.names[1:])]
        found: list[NDArray[Any]] = self.session.run(wanted, feed)
        self.state = found[len(outputs) :]
        return found[: len(outputs)]


def onnx_steps(cell: str, tensors: Tensors, first: int) -> Callable[[int], list[int]]:
    """Write n symbols greedily, starting after `first`."""
    network = OnnxNetwork(cell, tensors)
    symbol = np.array([first], np.int64)

    def take(count: int) -> list[int]:
        nonlocal symbol
        written = []
        for _ in range(count):
            (symbol,) = network.step(symbol, ["choice"])
            written.append(int(symbol[0]))
        return written

    return take


def step_graph(cell: str, tensors: Tensors) -> bytes:
    """Make the graph: symbol (1,), states (1, 1, H) -> choice (1,), logits (1, V), states.

    The choice is the most likely symbol. Raises ValueError for more than one layer, which the
    comparison does not need.
    """
    from onnx import TensorProto, helper, numpy_helper

    if "layers.1.weight_ih" in tensors:
        raise ValueError("expected a network of one layer, got more")
    vocabulary_size, hidden_size = tensors["output.weight"].shape
    states = STATES[cell]
    constants = {
        "table": tensors.get("embedding.weight", np.eye(vocabulary_size, dtype=np.float32)),
        "W": _stacked(tensors["layers.0.weight_ih"], cell)[np.newaxis],
        "R": _stacked(tensors["layers.0.weight_hh"], cell)[np.newaxis],
        "B": np.concatenate(
            [_stacked(tensors[f"layers.0.bias_{part}"], cell) for part in ("ih", "hh")]
        )[np.newaxis],
        "output_weight": tensors["output.weight"],
        "output_bias": tensors["output.bias"],
        "time_axis": np.array([0], np.int64),
    }
    after = [f"{name}_after" for name in states]
    attributes: dict[str, Any] = {"hidden_size": hidden_size}
    if cell == "gru":
        attributes["linear_before_reset"] = 1
    nodes = [
        helper.make_node("Gather", ["table", "symbol"], ["row"]),  # (1, I)
        helper.make_node("Unsqueeze", ["row", "time_axis"], ["input"]),  # (1, 1, I)
        helper.make_node(
            cell.upper(), ["input", "W", "R", "B", "", *states], ["", *after], **attributes
        ),
        helper.make_node("Squeeze", [after[0], "time_axis"], ["last"]),  # (1, H)
        helper.make_node("Gemm", ["last", "output_weight", "output_bias"], ["logits"], transB=1),
        helper.make_node("ArgMax", ["logits"], ["choice"], axis=1, keepdims=0),  # (1,)
    ]
    shape = [1, 1, hidden_size]
    graph = helper.make_graph(
        nodes,
        "step",
        [
            helper.make_tensor_value_info("symbol", TensorProto.INT64, [1]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in states),
        ],
        [
            helper.make_tensor_value_info("choice", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, vocabulary_size]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in after),
        ],
        [
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            for name, array in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


def _stacked(tensor: NDArray[np.float32], cell: str) -> NDArray[np.float32]:
    """Torch's stacked gates in ONNX's order."""
    order = GATE_ORDER[cell]
    blocks = np.split(tensor, len(order))
    return np.concatenate([blocks[place] for place in order])
