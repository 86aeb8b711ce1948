"""One step of a one-layer network as an ONNX graph, for ONNX Runtime to be measured by."""

from typing import Any

import numpy as np

from ricorda.bench.peers import Tensors
from ricorda.models import ModelConfiguration

OPSET = 17
# ONNX stacks the gates in another order than torch.nn: the places of its gates in torch's order.
GATE_ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}


def step_graph(configuration: ModelConfiguration, tensors: Tensors) -> bytes:
    """Make the graph: symbol (1,), states (1, 1, H) -> logits (1, V), states.

    Raises ValueError for more than one layer, which the comparison does not need.
    """
    from onnx import TensorProto, helper, numpy_helper

    if configuration.num_layers != 1:
        raise ValueError(f"expected one layer, got {configuration.num_layers}")
    cell, hidden_size = configuration.cell, configuration.hidden_size
    states = ["hidden", "cell"][: configuration.state_parts]
    constants = {
        "table": tensors.get(
            "embedding.weight", np.eye(configuration.vocabulary_size, dtype=np.float32)
        ),
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
    if cell == "rnn":
        attributes["activations"] = [configuration.nonlinearity.capitalize()]
    nodes = [
        helper.make_node("Gather", ["table", "symbol"], ["row"]),  # (1, I)
        helper.make_node("Unsqueeze", ["row", "time_axis"], ["input"]),  # (1, 1, I)
        helper.make_node(
            cell.upper(), ["input", "W", "R", "B", "", *states], ["", *after], **attributes
        ),
        helper.make_node("Squeeze", [after[0], "time_axis"], ["last"]),  # (1, H)
        helper.make_node("Gemm", ["last", "output_weight", "output_bias"], ["logits"], transB=1),
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
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, [1, configuration.vocabulary_size]
            ),
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


def _stacked(tensor: np.ndarray[Any, np.dtype[np.float32]], cell: str) -> Any:
    """Torch's stacked gates in ONNX's order."""
    order = GATE_ORDER[cell]
    blocks = np.split(tensor, len(order))
    return np.concatenate([blocks[place] for place in order])
