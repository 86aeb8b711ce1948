"""The long short-term memory."""

from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ricorda.model.cells import CellName
from ricorda.model.configuration import Initialisation
from ricorda.torch.cells.base import RecurrentCell, State


class LSTMState(NamedTuple):
    """The LSTM carries its output and the cell that gates protect."""

    hidden: Tensor  # (B, H)
    cell: Tensor  # (B, H)


class LSTMCell(RecurrentCell):
    """One LSTM step (Hochreiter & Schmidhuber, 1997) with forget gates (Gers et al., 2000).

    Stacked gate order: input, forget, candidate, output, as in torch.nn.LSTMCell.
    """

    name: ClassVar[CellName] = "lstm"
    gates: ClassVar[int] = 4
    state_names: ClassVar[tuple[str, ...]] = LSTMState._fields
    state_type = LSTMState

    @torch.no_grad()
    def reset_parameters(
        self,
        generator: torch.Generator | None = None,
        *,
        initialisation: Initialisation = "orthogonal",
        forget_bias: float = 1.0,
    ) -> Self:
        """Draw the weights; a forget_bias of 1 starts open (Jozefowicz et al., 2015)."""
        super().reset_parameters(generator, initialisation=initialisation)
        self.bias_ih[self.hidden_size : 2 * self.hidden_size].fill_(forget_bias)
        return self

    def forward(self, inputs: Tensor, state: State) -> LSTMState:
        """Advance one symbol: inputs (B, I) -> new state."""
        hidden, cell = state
        gates = F.linear(inputs, self.weight_ih, self.bias_ih)
        gates = gates + F.linear(hidden, self.weight_hh, self.bias_hh)  # (B, 4H)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=-1)
        cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
        return LSTMState(output_gate.sigmoid() * cell.tanh(), cell)

    def by_torch(
        self, inputs: Tensor, state: State, weights: list[Tensor]
    ) -> tuple[Tensor, LSTMState]:
        """Advance T symbols by PyTorch: inputs (B, T, I), state -> hidden (B, T, H), state."""
        initial = [part[None] for part in state]
        outputs, hidden, cell = torch.lstm(
            inputs, initial, weights, True, 1, 0.0, self.training, False, True
        )
        return outputs, LSTMState(hidden[0], cell[0])
