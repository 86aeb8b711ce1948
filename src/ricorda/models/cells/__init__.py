"""The recurrent cells, one file each, and the table by which a configuration names them."""

from ricorda.models.cells.base import RecurrentCell
from ricorda.models.cells.gru import GRUCell, GRUState
from ricorda.models.cells.lstm import LSTMCell, LSTMState
from ricorda.models.cells.rnn import RNNCell, RNNState
from ricorda.models.configuration import CellName

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
