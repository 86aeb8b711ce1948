"""The table of recurrent cells: what all other code needs to know of a cell.

A cell is a row of CELLS, a file in kernels/cells/, a function in ricorda.engine.reference and a
module in ricorda.torch.cells. Tests compare the four.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

CellName = Literal["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"]


class Gate(NamedTuple):
    """One block of H rows of a cell's stacked weights."""

    name: str
    """Its name in a trace."""

    letter: str
    """Its letter in an equation."""

    activation: Literal["sigmoid", "tanh", "linear"] = "sigmoid"

    scaled_by: str | None = None
    """The gate that multiplies what it reads of the hidden state; that gate comes before it."""

    initial_bias: float = 0.0
    """The value of its biases before training."""


class StatePart(NamedTuple):
    """A vector of H that a layer carries to the next step."""

    name: str
    """Its name in a trace."""

    letter: str
    """Its letter in an equation; with a prime, its value after the step."""


HIDDEN = StatePart("hidden", "h")

CELL_OPTIONS = frozenset({"nonlinearity", "forget_bias", "recurrent_dropout", "initialisation"})
"""The options that apply to some cells only."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a recurrent cell consists of."""

    label: str
    """Its name for people."""

    gates: tuple[Gate, ...]
    """The blocks of its stacked weights, in their order."""

    state: tuple[StatePart, ...]
    """What it carries from step to step, the hidden state first."""

    equations: tuple[str, ...]
    """How the new state follows from the gates; none where the one gate is the new state."""

    learning_rate: float
    """A good maximum for H = 256 and B = 32."""

    takes_nonlinearity: bool = False
    """Whether the option `nonlinearity` replaces the activation of its gates."""

    forget_gate: str | None = None
    """The gate whose bias the option `forget_bias` sets, if there is one."""

    has_recurrent_weights: bool = True
    """Whether its gates read the hidden state: else they depend on the input alone, and a layer has
    neither `weight_hh` nor `bias_hh`."""

    num_layers: int = 1
    """The layers of a network of it unless another number is given."""

    @property
    def options(self) -> frozenset[str]:
        """Those of CELL_OPTIONS that apply to it."""
        applies = {
            "nonlinearity": self.takes_nonlinearity,
            "forget_bias": self.forget_gate is not None,
            "recurrent_dropout": self.has_recurrent_weights,
            "initialisation": self.has_recurrent_weights,
        }
        return frozenset(name for name, does in applies.items() if does)

    @property
    def other_options(self) -> frozenset[str]:
        """Those of CELL_OPTIONS that do not apply to it."""
        return CELL_OPTIONS - self.options

    @property
    def is_bounded(self) -> bool:
        """Whether its hidden state stays within -1 and 1, if no option replaces an activation."""
        return all(gate.activation != "linear" for gate in self.gates)

    @property
    def traced(self) -> tuple[str, ...]:
        """The names of what a trace contains, in order: the state, then the gates."""
        state = tuple(part.name for part in self.state)
        return state + tuple(gate.name for gate in self.gates if gate.name not in state)

    @property
    def blocks(self) -> int:
        """The blocks of H that the kernels keep of each step."""
        return len(self.gates) + sum(gate.scaled_by is not None for gate in self.gates)

    def squares(self, num_layers: int) -> int:
        """Count the matrices (H, H) that a stack of layers multiplies a symbol with.

        The first layer's input is looked up and costs no product.
        """
        recurrent = num_layers if self.has_recurrent_weights else 0
        return len(self.gates) * (num_layers - 1 + recurrent)


CELLS: dict[CellName, Cell] = {
    "rnn": Cell(
        label="RNN",
        gates=(Gate("hidden", "h'", "tanh"),),
        state=(HIDDEN,),
        equations=(),
        learning_rate=1.5e-3,
        takes_nonlinearity=True,
    ),
    "gru": Cell(
        label="GRU",
        gates=(
            Gate("reset_gate", "r"),
            Gate("update_gate", "z"),
            Gate("candidate", "n", "tanh", scaled_by="reset_gate"),
        ),
        state=(HIDDEN,),
        equations=("h' = (1 - z) * n + z * h",),
        learning_rate=4e-3,
    ),
    "lstm": Cell(
        label="LSTM",
        gates=(
            Gate("input_gate", "i"),
            Gate("forget_gate", "f"),
            Gate("candidate", "g", "tanh"),
            Gate("output_gate", "o"),
        ),
        state=(HIDDEN, StatePart("cell", "c")),
        equations=("c' = f * c + i * g", "h' = o * tanh(c')"),
        learning_rate=9e-3,
        forget_gate="forget_gate",
    ),
    "cifg": Cell(
        label="CIFG",
        gates=(
            Gate("input_gate", "i"),
            Gate("candidate", "g", "tanh"),
            Gate("output_gate", "o"),
        ),
        state=(HIDDEN, StatePart("cell", "c")),
        equations=("c' = (1 - i) * c + i * g", "h' = o * tanh(c')"),
        learning_rate=9e-3,
    ),
    "mingru": Cell(
        label="minGRU",
        gates=(Gate("update_gate", "z"), Gate("candidate", "n", "linear")),
        state=(HIDDEN,),
        equations=("h' = (1 - z) * h + z * n",),
        learning_rate=1.8e-2,
        has_recurrent_weights=False,
        num_layers=2,
    ),
    "minlstm": Cell(
        label="minLSTM",
        gates=(
            Gate("input_gate", "i"),
            Gate("forget_gate", "f"),
            Gate("candidate", "g", "linear"),
        ),
        state=(HIDDEN,),
        equations=("h' = (f * h + i * g) / (f + i)",),
        learning_rate=1.8e-2,
        forget_gate="forget_gate",
        has_recurrent_weights=False,
        num_layers=2,
    ),
}
