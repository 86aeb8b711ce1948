"""The table of cells agrees with what computes them."""

import dataclasses
from typing import get_args

import numpy as np
import pytest

from ricorda.engine import kernels_are_built, reference
from ricorda.model.cells import CELL_OPTIONS, CELLS, CellName
from ricorda.model.configuration import ModelConfiguration

every_cell = pytest.mark.parametrize("name", CELLS)


def test_every_cell_has_a_row() -> None:
    assert tuple(CELLS) == get_args(CellName)
    assert set(reference.STEPS) == set(CELLS)


@pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")
def test_the_kernels_have_the_same_cells() -> None:
    from ricorda import _kernels

    expected = {
        name: (
            len(cell.gates),
            cell.blocks,
            len(cell.state),
            len(cell.traced) - len(cell.state),
            cell.has_recurrent_weights,
        )
        for name, cell in CELLS.items()
    }
    assert {name: tuple(facts) for name, *facts in _kernels.cells()} == expected


@every_cell
def test_the_reference_computes_what_a_trace_contains(name: CellName) -> None:
    cell = CELLS[name]
    rows = len(cell.gates) * 5
    weights, bias = np.zeros((5, rows), np.float32), np.zeros(rows, np.float32)
    layer = reference.Layer(weights, bias, weights, bias, "tanh")
    state = np.zeros((len(cell.state), 2, 5), np.float32)
    computed = reference.STEPS[name](np.zeros((2, rows), np.float32), state, layer)
    assert tuple(computed) == cell.traced


@every_cell
def test_names_are_consistent(name: CellName) -> None:
    cell = CELLS[name]
    gates = [gate.name for gate in cell.gates]
    assert len(set(gates)) == len(gates)
    assert cell.state[0].name == "hidden"
    assert cell.options <= CELL_OPTIONS
    assert cell.forget_gate is None or cell.forget_gate in gates
    for number, gate in enumerate(cell.gates):
        assert gate.scaled_by is None or gate.scaled_by in gates[:number]


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CELLS["gru"].label = "other"  # type: ignore[misc]


def test_the_learning_rates_are_those_that_were_measured() -> None:
    rates = {name: cell.learning_rate for name, cell in CELLS.items()}
    gated = {"rnn": 0.0015, "gru": 0.004, "lstm": 0.009, "cifg": 0.009}
    assert rates == gated | {"mingru": 0.018, "minlstm": 0.018}


@pytest.mark.parametrize(
    "name, num_layers, squares",
    [
        *(("rnn", 1, 1), ("gru", 2, 9), ("lstm", 3, 20)),
        *(("mingru", 1, 0), ("mingru", 3, 4), ("minlstm", 2, 3)),
    ],
)
def test_the_squares_are_the_matrices_of_a_stack(
    name: CellName, num_layers: int, squares: int
) -> None:
    """All matrices (H, H) but the output layer, whose size is that of the symbols."""
    shapes = ModelConfiguration(name, 7, 5, num_layers).tensor_shapes()
    assert CELLS[name].squares(num_layers) == squares
    assert sum(shape[0] // 5 for shape in shapes.values() if shape[1:] == (5,)) - 1 == squares
