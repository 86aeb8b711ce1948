"""What every recurrent cell has: four tensors, one step, and the same step over a whole window."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self, TypeAlias

import torch
from torch import Tensor, nn

from ricorda.model.cells import CellName
from ricorda.model.configuration import Initialisation
from ricorda.torch.cells import gpu_layer

State: TypeAlias = tuple[Tensor, ...]
"""What a layer carries from step to step: tensors of (B, H), hidden first."""


class RecurrentCell(nn.Module, ABC):
    """A cell with the parameters of torch.nn's: same names, same layout, same gate order.

    Its weights go in and out of `torch.nn.LSTMCell` (GRUCell, RNNCell) with `load_state_dict`, and
    of a layer K of `torch.nn.LSTM` by adding `_lK` to each name.

    `forward` is one step, written as its equation. `over_window` is the same over T symbols, by
    PyTorch's fused operation, `by_torch`, on a GPU cuDNN's.
    The tests hold each to the others.
    """

    name: ClassVar[CellName]
    """What a configuration calls it."""

    gates: ClassVar[int]
    """G, how many blocks of H rows the stacked weights have."""

    state_names: ClassVar[tuple[str, ...]]
    """What the state's parts are called, hidden first."""

    state_type: ClassVar[Callable[..., State]]
    """The named tuple that holds them."""

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        super().__init__()
        rows = self.gates * hidden_size
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.nonlinearity = nonlinearity
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))

    def weights(self, weight_hh: Tensor | None = None) -> list[Tensor]:
        """The four tensors as PyTorch's kernels take them; weight_hh may stand in for the own."""
        recurrent = self.weight_hh if weight_hh is None else weight_hh
        return [self.weight_ih, recurrent, self.bias_ih, self.bias_hh]

    def initial_state(self, batch_size: int) -> State:
        """The zero state of a stream's beginning: tensors of (B, H)."""
        zero = self.weight_hh.new_zeros(batch_size, self.hidden_size)
        return tuple(zero.clone() for _ in self.state_names)

    @torch.no_grad()
    def reset_parameters(
        self,
        generator: torch.Generator | None = None,
        *,
        initialisation: Initialisation = "orthogonal",
        forget_bias: float = 1.0,
    ) -> Self:
        """Draw the weights; biases are zero, but for the LSTM's forget gate: forget_bias.

        The input weights are uniform in +-1/sqrt(fan-in), H at most for one-hot input. By
        "orthogonal" each gate's recurrent block is orthogonal (Saxe et al., 2014), so that at
        first the state neither vanishes nor explodes; by "uniform" it is uniform in +-1/sqrt(H),
        as torch.nn draws it.
        """
        bound = min(self.input_size, self.hidden_size) ** -0.5
        self.weight_ih.uniform_(-bound, bound, generator=generator)
        if initialisation == "uniform":
            bound = self.hidden_size**-0.5
            self.weight_hh.uniform_(-bound, bound, generator=generator)
        else:
            for block in self.weight_hh.split(self.hidden_size):
                nn.init.orthogonal_(block, generator=generator)
        self.bias_ih.zero_()
        self.bias_hh.zero_()
        return self

    @abstractmethod
    def forward(self, inputs: Tensor, state: State) -> State:
        """Advance one symbol: inputs (B, I), state of (B, H) -> new state."""

    def over_window(
        self, inputs: Tensor, state: State, weight_hh: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Advance T symbols: inputs (B, T, I), state -> hidden of each step (B, T, H), state.

        weight_hh: recurrent weights to use in place of the cell's own, thinned out by dropout say.
        """
        weights = self.weights(weight_hh)
        if inputs.device.type == "cuda":
            outputs, after = gpu_layer.over_window(self.by_torch, inputs, state, weights)
            return outputs, self.state_type(*after)
        return self.by_torch(inputs, state, weights)

    @abstractmethod
    def by_torch(self, inputs: Tensor, state: State, weights: list[Tensor]) -> tuple[Tensor, State]:
        """Advance T symbols by PyTorch: inputs (B, T, I), state -> hidden (B, T, H), state."""
