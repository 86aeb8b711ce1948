"""The peers of the engine: PyTorch and ONNX Runtime, stepping the same network.

Each is a function that reads `ids` one symbol at a time with batch 1 and computes the logits of
what comes next, as a sampling loop would; choosing a symbol is left out, in the peers' favour.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.models.configuration import ModelConfiguration

Tensors = Mapping[str, NDArray[np.float32]]
Reader = Callable[[], object]


def torch_peers(
    configuration: ModelConfiguration, tensors: Tensors, ids: NDArray[np.int64]
) -> dict[str, Reader]:
    """PyTorch's layer stepped, and the ways to step its cell; {} without PyTorch."""
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    peers: dict[str, Reader] = {"PyTorch layer": _torch_layer(configuration, tensors, ids)}
    for name, dtype in (("", torch.float32), (" bfloat16", torch.bfloat16)):
        cell = _torch_cell(configuration, tensors, ids, dtype)
        peers[f"PyTorch cell{name}"] = cell
        peers[f"PyTorch cell{name}, oneDNN off"] = _without_onednn(cell)
    return peers


def _torch_layer(
    configuration: ModelConfiguration, tensors: Tensors, ids: NDArray[np.int64]
) -> Reader:
    import torch

    sizes = (configuration.input_size, configuration.hidden_size)
    layer = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[configuration.cell](
        *sizes, batch_first=True
    )
    layer.load_state_dict(
        {f"{name}_l0": torch.from_numpy(tensor) for name, tensor in _layer(tensors).items()}
    )
    inputs = torch.from_numpy(tensors["embedding.weight"])[torch.from_numpy(ids)][:, None, None]
    weight, bias = _output(tensors)

    def read() -> None:
        state = None
        with torch.inference_mode():
            for symbol in inputs:
                hidden, state = layer(symbol, state)
                torch.nn.functional.linear(hidden[0], weight, bias)

    return read


def _torch_cell(
    configuration: ModelConfiguration, tensors: Tensors, ids: NDArray[np.int64], dtype: Any
) -> Reader:
    import torch

    sizes = (configuration.input_size, configuration.hidden_size)
    cells = {"rnn": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
    cell: Any = cells[configuration.cell](*sizes)
    cell.load_state_dict({name: torch.from_numpy(array) for name, array in _layer(tensors).items()})
    cell.to(dtype)
    inputs = torch.from_numpy(tensors["embedding.weight"])[torch.from_numpy(ids)][:, None].to(dtype)
    weight, bias = (tensor.to(dtype) for tensor in _output(tensors))
    lstm = configuration.cell == "lstm"

    def read() -> None:
        zeros = torch.zeros(1, configuration.hidden_size, dtype=dtype)
        state: Any = (zeros, zeros) if lstm else zeros
        with torch.inference_mode():
            for symbol in inputs:
                state = cell(symbol, state)
                torch.nn.functional.linear(state[0] if lstm else state, weight, bias)

    return read


def _without_onednn(read: Reader) -> Reader:
    import torch

    def without() -> None:
        with torch.backends.mkldnn.flags(enabled=False):
            read()

    return without


def _layer(tensors: Tensors) -> dict[str, NDArray[np.float32]]:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return {name: tensors[f"layers.0.{name}"] for name in names}


def _output(tensors: Tensors) -> tuple[Any, Any]:
    import torch

    return torch.from_numpy(tensors["output.weight"]), torch.from_numpy(tensors["output.bias"])


ONNX_GATES = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}
"""ONNX stacks z, r, h and i, o, f, c; torch r, z, n and i, f, g, o."""


def onnx_peers(
    configuration: ModelConfiguration, tensors: Tensors, ids: NDArray[np.int64]
) -> dict[str, Reader]:
    """ONNX Runtime stepping a model of one operator; {} where it is not installed."""
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError:
        return {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        _onnx_model(configuration, tensors), options, providers=["CPUExecutionProvider"]
    )
    names = ["hidden", "cell"][: configuration.state_parts]
    outputs = ["logits", *(f"new_{name}" for name in names)]
    zeros = np.zeros((1, 1, configuration.hidden_size), np.float32)
    symbols = ids.reshape(-1, 1, 1)

    def read() -> None:
        feed = dict.fromkeys(names, zeros)
        for symbol in symbols:
            _, *state = session.run(outputs, {"ids": symbol} | feed)
            feed = dict(zip(names, state, strict=True))

    return {"ONNX Runtime": read}


def _onnx_model(configuration: ModelConfiguration, tensors: Tensors) -> bytes:
    """ids (1, 1) and the state -> logits and the new state."""
    from onnx import TensorProto, helper, numpy_helper

    hidden_size, cell = configuration.hidden_size, configuration.cell
    layer = _layer(tensors)
    order = ONNX_GATES[cell]

    def stacked(array: NDArray[np.float32]) -> NDArray[np.float32]:
        blocks = np.split(array, len(order))
        return np.concatenate([blocks[place] for place in order])

    constants = {
        "E": tensors["embedding.weight"],
        "W": stacked(layer["weight_ih"])[np.newaxis],
        "R": stacked(layer["weight_hh"])[np.newaxis],
        "B": np.concatenate([stacked(layer["bias_ih"]), stacked(layer["bias_hh"])])[np.newaxis],
        "O": np.ascontiguousarray(tensors["output.weight"].T),
        "b": tensors["output.bias"],
        "flat": np.array([1, hidden_size], np.int64),
    }
    names = ["hidden", "cell"][: configuration.state_parts]
    options: dict[str, Any] = {"hidden_size": hidden_size}
    if cell == "gru":
        options["linear_before_reset"] = 1
    nodes = [
        helper.make_node("Gather", ["E", "ids"], ["x"]),
        helper.make_node(
            cell.upper(),
            ["x", "W", "R", "B", "", *names],
            ["", *(f"new_{name}" for name in names)],
            **options,
        ),
        helper.make_node("Reshape", ["new_hidden", "flat"], ["h"]),
        helper.make_node("Gemm", ["h", "O", "b"], ["logits"]),
    ]
    state_shape = [1, 1, hidden_size]
    graph = helper.make_graph(
        nodes,
        "step",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 1])]
        + [helper.make_tensor_value_info(name, TensorProto.FLOAT, state_shape) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)]
        + [
            helper.make_tensor_value_info(f"new_{name}", TensorProto.FLOAT, state_shape)
            for name in names
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised
