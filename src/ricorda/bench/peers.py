"""The peers: the same network stepped by PyTorch and by ONNX Runtime, as people step them.

Each function takes a network's tensors and hands back a loop of n steps on one thread, each from
the state of the one before: embedding or one-hot, recurrent step, linear layer. What ours does
besides, choosing the symbol, is left out of theirs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.models import ModelConfiguration

Tensors = Mapping[str, NDArray[np.float32]]
Steps = Callable[[int], None]


def torch_layer(configuration: ModelConfiguration, tensors: Tensors) -> Steps:
    """`nn.RNN`, `nn.GRU` or `nn.LSTM`, stepped with windows of one symbol, as everyone does."""
    import torch

    from ricorda.models import RecurrentLanguageModel

    model = RecurrentLanguageModel(configuration)
    model.load_tensors(tensors)
    model.eval()

    @torch.inference_mode()
    def take(count: int) -> None:
        torch.set_num_threads(1)
        state = model.initial_state(1)
        ids = torch.zeros(1, 1, dtype=torch.long)
        for _ in range(count):
            _, state = model(ids, state)

    return take


def torch_cell(
    configuration: ModelConfiguration, tensors: Tensors, *, onednn: bool = True
) -> Steps:
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
    def take(count: int) -> None:
        torch.set_num_threads(1)
        states: list[Any] = [None] * len(cells)
        mkldnn: Any = torch.backends.mkldnn
        before, mkldnn.enabled = mkldnn.enabled, onednn
        for _ in range(count):
            hidden = table[0][None]  # (1, I)
            for layer, cell in enumerate(cells):
                states[layer] = cell(hidden, states[layer])
                hidden = states[layer][0] if configuration.cell == "lstm" else states[layer]
            nn.functional.linear(hidden, weight, bias)  # (1, V)
        mkldnn.enabled = before

    return take


def onnx_runtime(configuration: ModelConfiguration, tensors: Tensors) -> Steps:
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

    def take(count: int) -> None:
        feed: dict[str, Any] = dict.fromkeys(names, zero)
        symbol = np.zeros((1,), np.int64)
        for _ in range(count):
            _, *state = session.run(None, {"symbol": symbol, **feed})
            feed = dict(zip(names, state, strict=True))

    return take
