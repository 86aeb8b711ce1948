"""Each cell against torch.nn, itself in other groupings, and numerical gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ricorda.model.cells import CellName
from ricorda.torch.cells import CELLS, RecurrentCell

CASES: list[tuple[CellName, str]] = [
    ("rnn", "tanh"),
    ("rnn", "relu"),
    ("gru", "tanh"),
    ("lstm", "tanh"),
]
SIZES = [(1, 1, 1, 1), (2, 7, 3, 5), (3, 33, 8, 33)]  # B, T, I, H

every_cell = pytest.mark.parametrize("name, nonlinearity", CASES)
every_size = pytest.mark.parametrize("batch, time, inputs, hidden", SIZES)


def make(name: CellName, nonlinearity: str, inputs: int, hidden: int) -> RecurrentCell:
    """A cell whose biases are not zero, in float64."""
    cell = CELLS[name](inputs, hidden, nonlinearity)
    cell.reset_parameters(torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    for bias in (cell.bias_ih, cell.bias_hh):
        nn.init.uniform_(bias, -0.5, 0.5, generator=generator)
    return cell.double()


def random_state(cell: RecurrentCell, batch: int) -> tuple[Tensor, ...]:
    return tuple(torch.randn(batch, cell.hidden_size).double() for _ in cell.state_names)


def torch_cell(cell: RecurrentCell, name: CellName) -> nn.Module:
    """torch.nn's cell with the same weights: the names and shapes must fit."""
    options: dict[str, Any] = {"dtype": torch.float64}
    if name == "rnn":
        options["nonlinearity"] = cell.nonlinearity
    kinds: dict[CellName, type[nn.Module]] = {
        "rnn": nn.RNNCell,
        "gru": nn.GRUCell,
        "lstm": nn.LSTMCell,
    }
    other = kinds[name](cell.input_size, cell.hidden_size, **options)
    other.load_state_dict(cell.state_dict())
    return other


@every_cell
@every_size
def test_a_step_is_torch_nns(
    name: CellName, nonlinearity: str, batch: int, time: int, inputs: int, hidden: int
) -> None:
    cell = make(name, nonlinearity, inputs, hidden)
    state = random_state(cell, batch)
    x = torch.randn(batch, inputs).double()
    expected = torch_cell(cell, name)(x, state if name == "lstm" else state[0])
    torch.testing.assert_close(tuple(cell(x, state)), expected if name == "lstm" else (expected,))


@every_cell
@every_size
def test_a_window_is_its_chunks_is_its_steps(
    name: CellName, nonlinearity: str, batch: int, time: int, inputs: int, hidden: int
) -> None:
    cell = make(name, nonlinearity, inputs, hidden)
    initial = random_state(cell, batch)
    x = torch.randn(batch, time, inputs).double()
    whole, final = cell.over_window(x, initial)

    state, pieces = initial, []
    for chunk in x.split(3, dim=1):
        outputs, state = cell.over_window(chunk, state)
        pieces.append(outputs)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole)
    torch.testing.assert_close(tuple(state), tuple(final))

    state, steps = initial, []
    for moment in range(time):
        state = cell(x[:, moment], state)
        steps.append(state[0])
    torch.testing.assert_close(torch.stack(steps, dim=1), whole)
    torch.testing.assert_close(tuple(state), tuple(final))


@every_cell
def test_gradients_are_the_numerical_ones(name: CellName, nonlinearity: str) -> None:
    cell = make(name, nonlinearity, 3, 4)
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    state = tuple(part.requires_grad_() for part in random_state(cell, 2))

    def window(inputs: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        outputs, final = cell.over_window(inputs, parts)
        return outputs, *final

    def step(inputs: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        return tuple(cell(inputs[:, 0], parts))

    assert torch.autograd.gradcheck(window, (x, *state))
    assert torch.autograd.gradcheck(step, (x, *state))


@every_cell
def test_recurrent_blocks_start_orthogonal(name: CellName, nonlinearity: str) -> None:
    cell = CELLS[name](3, 16, nonlinearity).reset_parameters(torch.Generator().manual_seed(3))
    for block in cell.weight_hh.split(16):
        torch.testing.assert_close(block @ block.T, torch.eye(16), atol=1e-5, rtol=0)


def test_the_forget_gate_starts_open() -> None:
    cell = CELLS["lstm"](3, 4).reset_parameters()
    assert (cell.bias_ih + cell.bias_hh).tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


def test_initial_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = CELLS["gru"](3, 4).reset_parameters(torch.Generator().manual_seed(5))
    second = CELLS["gru"](3, 4).reset_parameters(torch.Generator().manual_seed(5))
    for one, other in zip(first.weights(), second.weights(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
    assert torch.equal(before, torch.random.get_rng_state())


@every_cell
def test_other_recurrent_weights_may_stand_in_for_the_cells_own(
    name: CellName, nonlinearity: str
) -> None:
    cell, other = (make(name, nonlinearity, 3, 4) for _ in range(2))
    with torch.no_grad():
        other.weight_hh.mul_(0.5)
    inputs, state = torch.randn(2, 5, 3, dtype=torch.float64), cell.initial_state(2)
    outputs, final = cell.over_window(inputs, state, cell.weight_hh * 0.5)
    expected, expected_final = other.over_window(inputs, state)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(tuple(final), tuple(expected_final))


def test_uniform_recurrent_weights_are_those_of_torch_nn() -> None:
    generator = torch.Generator().manual_seed(3)
    weight = CELLS["gru"](3, 64).reset_parameters(generator, initialisation="uniform").weight_hh
    bound = 64**-0.5
    assert 0.98 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_the_forget_gates_bias_is_what_is_asked_for() -> None:
    cell = CELLS["lstm"](3, 4).reset_parameters(forget_bias=-2.5)
    assert (cell.bias_ih + cell.bias_hh).tolist() == [0.0] * 4 + [-2.5] * 4 + [0.0] * 8
