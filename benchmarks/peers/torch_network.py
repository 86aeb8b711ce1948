"""The language model in PyTorch's public API: `nn.Embedding`, a recurrent layer, `nn.Linear`."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Tensors = Mapping[str, NDArray[np.float32]]
Steps = Callable[[int], list[int]]
"""Write n symbols, each from the state and the symbol before it."""

LAYERS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
CELLS: dict[str, Callable[..., nn.RNNCellBase]] = {
    "rnn": nn.RNNCell,
    "gru": nn.GRUCell,
    "lstm": nn.LSTMCell,
}


class LayerNetwork(nn.Module):
    """`nn.RNN`, `nn.GRU` or `nn.LSTM` over windows of symbols.

    Initialize it with the tensors of a model file. One-hot input is an `nn.Embedding` whose weights
    are the identity matrix.
    """

    def __init__(self, cell: str, tensors: Tensors) -> None:
        super().__init__()
        self.embedding = _embedding(tensors)
        self.layer = _layer(cell, tensors)
        self.output = _output(tensors)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return the logits (B, T, V) after each of ids (B, T), and the layer's state."""
        outputs, state = self.layer(self.embedding(ids), state)  # (B, T, H)
        return self.output(outputs), state


class CellNetwork(nn.Module):
    """`nn.RNNCell`, `nn.GRUCell` or `nn.LSTMCell`, one symbol at a time."""

    def __init__(self, cell: str, tensors: Tensors) -> None:
        super().__init__()
        self.embedding = _embedding(tensors)
        self.cells = nn.ModuleList(
            _cell(cell, tensors, layer) for layer in range(_layer_count(tensors))
        )
        self.output = _output(tensors)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return the logits (B, V) after ids (B,), and the state of each layer."""
        hidden, after = self.embedding(ids), []  # (B, E)
        for cell, before in zip(self.cells, state or [None] * len(self.cells), strict=True):
            layer_state = cell(hidden, before)
            hidden = layer_state[0] if isinstance(layer_state, tuple) else layer_state  # (B, H)
            after.append(layer_state)
        return self.output(hidden), after


def layer_steps(cell: str, tensors: Tensors, first: int) -> Steps:
    """Step the layer with windows of one symbol, on one thread, from symbol `first`."""
    return _greedy_steps(LayerNetwork(cell, tensors), torch.tensor([[first]]), onednn=True)


def cell_steps(cell: str, tensors: Tensors, first: int, *, onednn: bool = True) -> Steps:
    """Step the cells, PyTorch's fastest eager form, on one thread, with oneDNN or without."""
    return _greedy_steps(CellNetwork(cell, tensors), torch.tensor([first]), onednn=onednn)


def scorer(cell: str, tensors: Tensors, ids: NDArray[np.int64], window: int, rows: int) -> Any:
    """Return a function that sums the nats of ids (N,), in cold windows, `rows` of them at once.

    The symbols after the last whole window are left out.
    """
    network = LayerNetwork(cell, tensors)
    count = (len(ids) - 1) // window * window
    symbols = torch.from_numpy(ids[: count + 1])
    inputs, targets = symbols[:-1].view(-1, window), symbols[1:].view(-1, window)

    @torch.inference_mode()
    def score() -> float:
        nats = 0.0
        for first in range(0, len(inputs), rows):
            logits, _ = network(inputs[first : first + rows])
            expected = targets[first : first + rows].flatten()
            nats += F.cross_entropy(logits.flatten(0, 1), expected, reduction="sum").item()
        return nats

    return score


def adaptive_reader(
    cell: str, tensors: Tensors, ids: NDArray[np.int64], segment: int, rate: float, pull: float
) -> Steps:
    """Return a function that reads n symbols of ids (N,), again and again, learning from each.

    Dynamic evaluation of a single rate (Krause et al., 2018), in segments, on one thread: the
    weights change by the gradient over its root mean square, here 1, and return a little of the
    way to the trained ones.
    """
    network = LayerNetwork(cell, tensors)
    weights: list[Tensor] = [each for each in network.parameters() if each.requires_grad]
    trained = [each.detach().clone() for each in weights]
    symbols = torch.from_numpy(ids)
    place, state = 0, None

    def read(count: int) -> list[int]:
        nonlocal place, state
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        for _ in range(0, count, segment):
            place = 0 if place + segment >= len(symbols) else place
            window = symbols[place : place + segment + 1]
            logits, state = network(window[None, :-1], state)
            loss = F.cross_entropy(logits[0], window[1:], reduction="sum")
            gradients = torch.autograd.grad(loss, weights)
            state = tuple(part.detach() for part in state)
            with torch.no_grad():
                torch._foreach_add_(weights, gradients, alpha=-rate)
                torch._foreach_lerp_(weights, trained, pull)
            place += segment
        torch.set_num_threads(threads)
        return []

    return read


def random_tensors(
    cell: str, vocabulary_size: int, embedding_size: int, hidden_size: int
) -> dict[str, NDArray[np.float32]]:
    """Draw the tensors of a model file of one layer, as PyTorch's modules initialize theirs."""
    layer = LAYERS[cell](embedding_size, hidden_size)
    output = nn.Linear(hidden_size, vocabulary_size)
    return {
        "embedding.weight": nn.Embedding(vocabulary_size, embedding_size).weight.detach().numpy(),
        **{
            f"layers.0.{name.removesuffix('_l0')}": weight.detach().numpy()
            for name, weight in layer.named_parameters()
        },
        **{f"output.{name}": weight.detach().numpy() for name, weight in output.named_parameters()},
    }


class Training:
    """Truncated backpropagation through time, as a PyTorch program does it: AdamW, clipping.

    Matrices of the layers decay, as in ricorda; embeddings and biases do not.
    """

    def __init__(
        self,
        network: LayerNetwork,
        *,
        learning_rate: float,
        weight_decay: float,
        clip_norm: float,
        bfloat16: bool = False,
    ) -> None:
        self.network = network
        self.clip_norm = clip_norm
        self.bfloat16 = bfloat16
        self.state: Any = None
        matrices = [
            weight
            for part in (network.layer, network.output)
            for weight in part.parameters()
            if weight.dim() > 1
        ]
        decaying = {id(weight) for weight in matrices}
        others = [weight for weight in network.parameters() if id(weight) not in decaying]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=learning_rate,
            betas=(0.9, 0.99),
            fused=True,
        )

    def step(self, inputs: Tensor, targets: Tensor) -> float:
        """Take one step on inputs and targets (B, T); return the mean nats before it."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            logits, state = self.network(inputs, self.state)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.optimizer.step()
        parts = state if isinstance(state, tuple) else (state,)
        parts = tuple(part.detach() for part in parts)
        self.state = parts if isinstance(state, tuple) else parts[0]
        return loss.item()


def _greedy_steps(network: nn.Module, first: Tensor, *, onednn: bool) -> Steps:
    """Feed the most likely symbol back, with the previous state."""
    ids, state = first, None

    @torch.inference_mode()
    def take(count: int) -> list[int]:
        nonlocal ids, state
        written = []
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        # The context manager `mkldnn.flags` also sets TF32, which warns on machines without it.
        mkldnn: Any = torch.backends.mkldnn
        before, mkldnn.enabled = mkldnn.enabled, onednn
        for _ in range(count):
            logits, state = network(ids, state)
            ids = logits.argmax(-1)
            written.append(ids)
        mkldnn.enabled = before
        torch.set_num_threads(threads)
        return cast("list[int]", torch.cat(written).flatten().tolist())

    return take


def _embedding(tensors: Tensors) -> nn.Embedding:
    table = tensors.get("embedding.weight")
    weights = torch.eye(len(tensors["output.bias"])) if table is None else torch.tensor(table)
    embedding = nn.Embedding(weights.shape[0], weights.shape[1])
    embedding.weight = nn.Parameter(weights, requires_grad=table is not None)
    return embedding


def _layer(cell: str, tensors: Tensors) -> nn.RNNBase:
    count = _layer_count(tensors)
    input_size, hidden_size = _sizes(tensors, 0)
    layer = LAYERS[cell](input_size, hidden_size, num_layers=count, batch_first=True)
    layer.load_state_dict(
        {
            f"{name}_l{number}": weight
            for number in range(count)
            for name, weight in _weights(tensors, number).items()
        }
    )
    return layer


def _cell(cell: str, tensors: Tensors, number: int) -> nn.RNNCellBase:
    module = CELLS[cell](*_sizes(tensors, number))
    module.load_state_dict(_weights(tensors, number))
    return module


def _output(tensors: Tensors) -> nn.Linear:
    vocabulary_size, hidden_size = tensors["output.weight"].shape
    output = nn.Linear(hidden_size, vocabulary_size)
    output.load_state_dict(
        {name: torch.tensor(tensors[f"output.{name}"]) for name in ("weight", "bias")}
    )
    return output


def _layer_count(tensors: Tensors) -> int:
    return sum(name.endswith(".weight_ih") for name in tensors)


def _sizes(tensors: Tensors, number: int) -> tuple[int, int]:
    """The inputs and the units of a layer."""
    return tensors[f"layers.{number}.weight_ih"].shape[1], tensors["output.weight"].shape[1]


def _weights(tensors: Tensors, number: int) -> dict[str, Tensor]:
    prefix = f"layers.{number}."
    return {
        name.removeprefix(prefix): torch.tensor(array)
        for name, array in tensors.items()
        if name.startswith(prefix)
    }
