"""The gated recurrent unit."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ricorda.model.cells import CellName
from ricorda.torch.cells.base import RecurrentCell, State


class GRUState(NamedTuple):
    """The GRU carries its output alone."""

    hidden: Tensor  # (B, H)


class GRUCell(RecurrentCell):
    """One GRU step (Cho et al., 2014), in the variant of torch.nn.GRUCell and cuDNN.

    Stacked gate order: reset, update, candidate. The reset gate multiplies the candidate's
    recurrent term after its matrix product and bias, not the state before it.
    """

    name: ClassVar[CellName] = "gru"
    gates: ClassVar[int] = 3
    state_names: ClassVar[tuple[str, ...]] = GRUState._fields
    state_type = GRUState

    def forward(self, inputs: Tensor, state: State) -> GRUState:
        """Advance one symbol: inputs (B, I) -> new state."""
        (hidden,) = state
        from_input = F.linear(inputs, self.weight_ih, self.bias_ih).chunk(3, dim=-1)  # 3 x (B, H)
        from_hidden = F.linear(hidden, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        reset_gate = (from_input[0] + from_hidden[0]).sigmoid()
        update_gate = (from_input[1] + from_hidden[1]).sigmoid()
        candidate = (from_input[2] + reset_gate * from_hidden[2]).tanh()
        return GRUState(update_gate * hidden + (1 - update_gate) * candidate)

    def by_torch(
        self, inputs: Tensor, state: State, weights: list[Tensor]
    ) -> tuple[Tensor, GRUState]:
        """Advance T symbols by PyTorch: inputs (B, T, I), state -> hidden (B, T, H), state."""
        outputs, hidden = torch.gru(
            inputs, state[0][None], weights, True, 1, 0.0, self.training, False, True
        )
        return outputs, GRUState(hidden[0])
