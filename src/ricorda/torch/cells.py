"""The recurrent cells as PyTorch modules: one step as its equation, a window by a fused operation.

Dimensions: B batch, T time, I input, H hidden, G gates of a cell.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ricorda.model.cells import CELLS, CellName

State: TypeAlias = tuple[Tensor, ...]
"""What a layer carries from step to step: tensors (B, H), hidden first."""


class RecurrentCell(nn.Module, ABC):
    """A recurrent cell with the parameters of torch.nn: the same names, layout and gate order.

    Its weights fit `torch.nn.LSTMCell` (GRUCell, RNNCell) by `load_state_dict`, and layer K of
    `torch.nn.LSTM` with `_lK` added to each name. A cell whose gates do not read the hidden state
    has no `weight_hh` and no `bias_hh`. The weights are not initialized: `RecurrentLanguageModel`
    draws them or takes them from a model file.
    """

    name: ClassVar[CellName]
    """What a configuration calls the cell."""

    state_type: ClassVar[Callable[..., State]]
    """The named tuple of its state."""

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        super().__init__()
        rows = len(CELLS[self.name].gates) * hidden_size
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.nonlinearity = nonlinearity
        is_recurrent = CELLS[self.name].has_recurrent_weights
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        if is_recurrent:
            self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        if is_recurrent:
            self.bias_hh = nn.Parameter(torch.empty(rows))

    def initial_state(self, batch_size: int) -> State:
        """Return the zero state: tensors (B, H)."""
        parts = CELLS[self.name].state
        return self.state_type(
            *(self.bias_ih.new_zeros(batch_size, self.hidden_size) for _ in parts)
        )

    @abstractmethod
    def forward(self, inputs: Tensor, state: State) -> State:
        """Advance one symbol: inputs (B, I) -> new state."""

    def over_window(
        self,
        inputs: Tensor,
        state: State,
        weights: Mapping[str, Tensor] | None = None,
        sizes: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Advance T symbols: inputs (B, T, I) -> hidden (B, T, H), the state after them.

        weights: replacements of the cell's own by name, such as a `weight_hh` left by dropout.
        sizes: inputs (N, I) and hidden (N, H) are the packed rows of `Segments`, so many of each
        time, and state is that of each segment.
        """
        steps = inputs.unbind(1) if sizes is None else inputs.split(sizes.tolist())
        hidden: list[Tensor] = []
        ended: list[State] = []  # of segments, the shortest first
        for inputs_now in steps:
            if (count := len(inputs_now)) < len(state[0]):
                ended.append(tuple(part[count:] for part in state))
                state = self.state_type(*(part[:count] for part in state))
            state = functional_call(self, dict(weights or {}), (inputs_now, state))
            hidden.append(state[0])
        if sizes is None:
            return torch.stack(hidden, 1), state
        parts = zip(state, *reversed(ended), strict=True)
        return torch.cat(hidden), self.state_type(*(torch.cat(part) for part in parts))


class FusedCell(RecurrentCell):
    """A cell for which PyTorch has a fused operation over a window, cuDNN's on a GPU."""

    def over_window(
        self,
        inputs: Tensor,
        state: State,
        weights: Mapping[str, Tensor] | None = None,
        sizes: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Advance T symbols: inputs (B, T, I) -> hidden (B, T, H), the state after them."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        used = [(weights or {}).get(name, getattr(self, name)) for name in names]
        compute = self.in_one_type if inputs.device.type == "cuda" else self.fused
        return compute(inputs, state, used, sizes)

    def in_one_type(
        self, inputs: Tensor, state: State, weights: list[Tensor], sizes: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Advance T symbols as `fused`, giving cuDNN everything in one type.

        Under autocast that is autocast's type, also hidden's. PyTorch itself would take float16
        whatever autocast is set to (ATen/cudnn/AutocastRNN.cpp), too coarse for gradients of a mean
        over thousands of symbols. The state keeps its type.
        """
        device, dtype = inputs.device.type, self.weight_ih.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            hidden, after = self.fused(
                inputs.to(dtype),
                tuple(part.to(dtype).contiguous() for part in state),
                in_one_piece(weights, dtype),
                sizes,
            )
        pairs = zip(after, state, strict=True)
        return hidden, self.state_type(*(part.to(before.dtype) for part, before in pairs))

    @abstractmethod
    def fused(
        self, inputs: Tensor, state: State, weights: list[Tensor], sizes: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Advance T symbols by PyTorch's operation: arguments and results as `over_window`."""

    def _apply_layer(
        self,
        layer: Callable[..., tuple[Tensor, ...]],
        inputs: Tensor,
        initial: Tensor | list[Tensor],
        weights: list[Tensor],
        sizes: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """Call a fused layer of PyTorch's, which has one form for windows and one for segments."""
        settings = (weights, True, 1, 0.0, self.training, False)
        if sizes is None:
            return layer(inputs, initial, *settings, True)
        return layer(inputs, sizes, initial, *settings)


def in_one_piece(weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return copies of a type that lie one after another in memory.

    cuDNN wants a layer's weights so; PyTorch would gather them at every call, with a warning.
    """
    flat = torch.cat([weight.flatten() for weight in weights]).to(dtype)
    parts = flat.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]


class HiddenState(NamedTuple):
    """The state of a cell that carries its output alone."""

    hidden: Tensor  # (B, H)


class RNNCell(FusedCell):
    """One step of the plain recurrent network (Elman, 1990)."""

    name = "rnn"
    state_type = HiddenState

    def forward(self, inputs: Tensor, state: State) -> HiddenState:
        """Advance one symbol: inputs (B, I) -> new state."""
        (hidden,) = state
        from_input = F.linear(inputs, self.weight_ih, self.bias_ih)  # (B, H)
        total = from_input + F.linear(hidden, self.weight_hh, self.bias_hh)
        return HiddenState(total.tanh() if self.nonlinearity == "tanh" else total.relu())

    def fused(
        self, inputs: Tensor, state: State, weights: list[Tensor], sizes: Tensor | None = None
    ) -> tuple[Tensor, HiddenState]:
        """Advance T symbols by `torch.rnn_tanh` or `torch.rnn_relu`."""
        layer = torch.rnn_tanh if self.nonlinearity == "tanh" else torch.rnn_relu
        outputs, hidden = self._apply_layer(layer, inputs, state[0][None], weights, sizes)
        return outputs, HiddenState(hidden[0])


class GRUCell(FusedCell):
    """One step of the gated recurrent unit (Cho et al., 2014), as torch.nn.GRUCell and cuDNN do it.

    Stacked gate order: reset, update, candidate. The reset gate multiplies the candidate's
    recurrent term after its matrix product and bias, not the state before it.
    """

    name = "gru"
    state_type = HiddenState

    def forward(self, inputs: Tensor, state: State) -> HiddenState:
        """Advance one symbol: inputs (B, I) -> new state."""
        (hidden,) = state
        from_input = F.linear(inputs, self.weight_ih, self.bias_ih).chunk(3, dim=-1)  # 3 x (B, H)
        from_hidden = F.linear(hidden, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        reset_gate = (from_input[0] + from_hidden[0]).sigmoid()
        update_gate = (from_input[1] + from_hidden[1]).sigmoid()
        candidate = (from_input[2] + reset_gate * from_hidden[2]).tanh()
        return HiddenState(update_gate * hidden + (1 - update_gate) * candidate)

    def fused(
        self, inputs: Tensor, state: State, weights: list[Tensor], sizes: Tensor | None = None
    ) -> tuple[Tensor, HiddenState]:
        """Advance T symbols by `torch.gru`."""
        outputs, hidden = self._apply_layer(torch.gru, inputs, state[0][None], weights, sizes)
        return outputs, HiddenState(hidden[0])


class LSTMState(NamedTuple):
    """The state of the LSTM."""

    hidden: Tensor  # (B, H)
    cell: Tensor  # (B, H)


class LSTMCell(FusedCell):
    """One LSTM step (Hochreiter & Schmidhuber, 1997) with forget gates (Gers et al., 2000).

    Stacked gate order: input, forget, candidate, output, as in torch.nn.LSTMCell.
    """

    name = "lstm"
    state_type = LSTMState

    def forward(self, inputs: Tensor, state: State) -> LSTMState:
        """Advance one symbol: inputs (B, I) -> new state."""
        hidden, cell = state
        gates = F.linear(inputs, self.weight_ih, self.bias_ih)
        gates = gates + F.linear(hidden, self.weight_hh, self.bias_hh)  # (B, 4H)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=-1)
        cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
        return LSTMState(output_gate.sigmoid() * cell.tanh(), cell)

    def fused(
        self, inputs: Tensor, state: State, weights: list[Tensor], sizes: Tensor | None = None
    ) -> tuple[Tensor, LSTMState]:
        """Advance T symbols by `torch.lstm`."""
        initial = [part[None] for part in state]
        outputs, hidden, cell = self._apply_layer(torch.lstm, inputs, initial, weights, sizes)
        return outputs, LSTMState(hidden[0], cell[0])


class CIFGCell(RecurrentCell):
    """One step of the LSTM with coupled input and forget gates (Greff et al., 2015).

    Stacked gate order: input, candidate, output. PyTorch has no fused operation for it.
    """

    name = "cifg"
    state_type = LSTMState

    def forward(self, inputs: Tensor, state: State) -> LSTMState:
        """Advance one symbol: inputs (B, I) -> new state."""
        hidden, cell = state
        gates = F.linear(inputs, self.weight_ih, self.bias_ih)
        gates = gates + F.linear(hidden, self.weight_hh, self.bias_hh)  # (B, 3H)
        input_gate, candidate, output_gate = gates.chunk(3, dim=-1)
        input_gate = input_gate.sigmoid()
        cell = (1 - input_gate) * cell + input_gate * candidate.tanh()
        return LSTMState(output_gate.sigmoid() * cell.tanh(), cell)


class MinGRUCell(RecurrentCell):
    """One step of the minimal gated recurrent unit (Feng et al., 2024).

    Stacked gate order: update, candidate. Its gates depend on the input alone.
    """

    name = "mingru"
    state_type = HiddenState

    def forward(self, inputs: Tensor, state: State) -> HiddenState:
        """Advance one symbol: inputs (B, I) -> new state."""
        (hidden,) = state
        gates = F.linear(inputs, self.weight_ih, self.bias_ih)  # (B, 2H)
        update_gate, candidate = gates.chunk(2, dim=-1)
        return HiddenState(torch.lerp(hidden, candidate, update_gate.sigmoid()))


class MinLSTMCell(RecurrentCell):
    """One step of the minimal long short-term memory (Feng et al., 2024).

    Stacked gate order: input, forget, candidate. Its gates depend on the input alone.
    """

    name = "minlstm"
    state_type = HiddenState

    def forward(self, inputs: Tensor, state: State) -> HiddenState:
        """Advance one symbol: inputs (B, I) -> new state."""
        (hidden,) = state
        gates = F.linear(inputs, self.weight_ih, self.bias_ih)  # (B, 3H)
        input_gate, forget_gate, candidate = gates.chunk(3, dim=-1)
        # input / (forget + input), by logarithms, which never vanish
        share = (F.logsigmoid(input_gate) - F.logsigmoid(forget_gate)).sigmoid()
        return HiddenState(torch.lerp(hidden, candidate, share))


CELL_MODULES: dict[CellName, type[RecurrentCell]] = {
    cell.name: cell for cell in (RNNCell, GRUCell, LSTMCell, CIFGCell, MinGRUCell, MinLSTMCell)
}
