"""The recurrent cells, one file each, and the table by which a configuration names them."""

from ricorda.model.cells import CellName
from ricorda.torch.cells.base import RecurrentCell
from ricorda.torch.cells.gru import GRUCell, GRUState
from ricorda.torch.cells.lstm import LSTMCell, LSTMState
from ricorda.torch.cells.rnn import RNNCell, RNNState

CELLS: dict[CellName, type[RecurrentCell]] = {
    "rnn": RNNCell,
    "gru": GRUCell,
    "lstm": LSTMCell,
}

__all__ = [
    "CELLS",
    "GRUCell",
    "GRUState",
    "LSTMCell",
    "LSTMState",
    "RNNCell",
    "RNNState",
    "RecurrentCell",
]
