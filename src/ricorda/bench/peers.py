"""The peers: the same network stepped by PyTorch and by ONNX Runtime, as people step them.

Each function takes a network's tensors and hands back a loop that writes n symbols greedily, one
after the other, on one thread: embedding or one-hot, recurrent step, linear layer, argmax.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.models import ModelConfiguration

Tensors = Mapping[str, NDArray[np.float32]]
Writer = Callable[[int], None]


def torch_layer(configuration: ModelConfiguration, tensors: Tensors) -> Writer:
    """`nn.RNN`, `nn.GRU` or `nn.LSTM`, stepped with windows of one symbol, as everyone does."""
    import torch

    from ricorda.models import RecurrentLanguageModel

    model = RecurrentLanguageModel(configuration)
    model.load_tensors(tensors)
    model.eval()

    @torch.inference_mode()
    def write(count: int) -> None:
        torch.set_num_threads(1)
        state = model.initial_state(1)
        ids = torch.zeros(1, 1, dtype=torch.long)
        for _ in range(count):
            logits, state = model(ids, state)  # (1, 1, V)
            ids = logits.argmax(dim=-1)
            ids.item()

    return write


def torch_cell(
    configuration: ModelConfiguration, tensors: Tensors, *, onednn: bool = True
) -> Writer:
    """PyTorch's fastest eager form: `RNNCell`, `GRUCell` or `LSTMCell`."""
    import torch
    from torch import nn

    kinds = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
    parts = {name: torch.from_numpy(array) for name, array in tensors.items()}
    cells = []
    for layer in range(configuration.num_layers):
        size = configuration.hidden_size if layer else configuration.input_size
        cell = kinds[configuration.cell](size, configuration.hidden_size)
        prefix = f"layers.{layer}."
        cell.load_state_dict(
            {name.removeprefix(prefix): value for name, value in parts.items() if prefix in name}
        )
        cells.append(cell)
    table = parts.get("embedding.weight", torch.eye(configuration.vocabulary_size))  # (V, I)
    weight, bias = parts["output.weight"], parts["output.bias"]

    @torch.inference_mode()
    def write(count: int) -> None:
        torch.set_num_threads(1)
        states: list[Any] = [None] * len(cells)
        symbol = 0
        mkldnn: Any = torch.backends.mkldnn
        before, mkldnn.enabled = mkldnn.enabled, onednn
        for _ in range(count):
            hidden = table[symbol][None]  # (1, I)
            for layer, cell in enumerate(cells):
                states[layer] = cell(hidden, states[layer])
                hidden = states[layer][0] if configuration.cell == "lstm" else states[layer]
            symbol = int(nn.functional.linear(hidden, weight, bias).argmax())
        mkldnn.enabled = before

    return write


def onnx_runtime(configuration: ModelConfiguration, tensors: Tensors) -> Writer:
    """One step as an ONNX graph, run by ONNX Runtime on one thread."""
    import onnxruntime

    from ricorda.bench.onnx_step import step_graph

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        step_graph(configuration, tensors), options, providers=["CPUExecutionProvider"]
    )
    zero = np.zeros((1, 1, configuration.hidden_size), np.float32)
    names = [each.name for each in session.get_inputs() if each.name != "symbol"]

    def write(count: int) -> None:
        feed: dict[str, Any] = dict.fromkeys(names, zero)
        symbol = np.zeros((1,), np.int64)
        for _ in range(count):
            feed["symbol"] = symbol
            logits, *state = session.run(None, feed)
            symbol = logits.argmax(axis=-1)
            feed = dict(zip(names, state, strict=True))

    return write
