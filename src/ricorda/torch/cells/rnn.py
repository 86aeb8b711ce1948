"""The plain recurrent network."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ricorda.model.cells import CellName
from ricorda.torch.cells.base import RecurrentCell, State


class RNNState(NamedTuple):
    """The plain network carries its output alone."""

    hidden: Tensor  # (B, H)


class RNNCell(RecurrentCell):
    """One step of the simple recurrent network (Elman, 1990): h' = tanh(W x + b + U h + c)."""

    name: ClassVar[CellName] = "rnn"
    gates: ClassVar[int] = 1
    state_names: ClassVar[tuple[str, ...]] = RNNState._fields
    state_type = RNNState

    def forward(self, inputs: Tensor, state: State) -> RNNState:
        """Advance one symbol: inputs (B, I) -> new state."""
        (hidden,) = state
        total = F.linear(inputs, self.weight_ih, self.bias_ih)
        total = total + F.linear(hidden, self.weight_hh, self.bias_hh)  # (B, H)
        return RNNState(total.tanh() if self.nonlinearity == "tanh" else total.relu())

    def by_torch(
        self, inputs: Tensor, state: State, weights: list[Tensor]
    ) -> tuple[Tensor, RNNState]:
        """Advance T symbols by PyTorch: inputs (B, T, I), state -> hidden (B, T, H), state."""
        fused = torch.rnn_tanh if self.nonlinearity == "tanh" else torch.rnn_relu
        outputs, hidden = fused(
            inputs, state[0][None], weights, True, 1, 0.0, self.training, False, True
        )
        return outputs, RNNState(hidden[0])
