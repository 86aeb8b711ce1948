"""Each cell against torch.nn, itself in other groupings, and numerical gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ricorda.model.cells import CELLS, CellName
from ricorda.torch.cells import CELL_MODULES, FusedCell, LSTMCell, LSTMState, RecurrentCell

CASES: list[tuple[CellName, str]] = [
    ("rnn", "tanh"),
    ("rnn", "relu"),
    ("gru", "tanh"),
    ("lstm", "tanh"),
    ("cifg", "tanh"),
    ("mingru", "tanh"),
    ("minlstm", "tanh"),
]
SIZES = [(1, 1, 1, 1), (2, 7, 3, 5), (3, 33, 8, 33)]  # B, T, I, H

every_cell = pytest.mark.parametrize("name, nonlinearity", CASES)
every_known_cell = pytest.mark.parametrize(
    "name, nonlinearity", [case for case in CASES if CELLS[case[0]].has_recurrent_weights]
)
every_size = pytest.mark.parametrize("batch, time, inputs, hidden", SIZES)


def make(name: CellName, nonlinearity: str, inputs: int, hidden: int) -> RecurrentCell:
    """A cell in float64 whose weights and biases are uniform in +-1/2."""
    cell = CELL_MODULES[name](inputs, hidden, nonlinearity)
    generator = torch.Generator().manual_seed(1)
    for parameter in cell.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5, generator=generator)
    return cell.double()


def random_state(cell: RecurrentCell, batch: int) -> tuple[Tensor, ...]:
    return tuple(torch.randn_like(part) for part in cell.initial_state(batch))


def torch_cell(cell: RecurrentCell, name: CellName) -> nn.Module:
    """torch.nn's cell with the same weights: the names and shapes must fit."""
    options: dict[str, Any] = {"dtype": torch.float64}
    if name == "rnn":
        options["nonlinearity"] = cell.nonlinearity
    kinds: dict[CellName, type[nn.Module]] = {
        "rnn": nn.RNNCell,
        "gru": nn.GRUCell,
        "lstm": nn.LSTMCell,
        "cifg": nn.LSTMCell,
    }
    other = kinds[name](cell.input_size, cell.hidden_size, **options)
    other.load_state_dict(with_forget_gate(cell) if name == "cifg" else cell.state_dict())
    return other


def with_forget_gate(cell: RecurrentCell) -> dict[str, Tensor]:
    """The weights of the LSTM that a CIFG is: 1 - sigmoid(x) = sigmoid(-x) is its forget gate."""
    blocks = {name: weight.chunk(3) for name, weight in cell.state_dict().items()}
    return {
        name: torch.cat([input_gate, -input_gate, candidate, output_gate])
        for name, (input_gate, candidate, output_gate) in blocks.items()
    }


@every_known_cell
@every_size
def test_a_step_is_torch_nns(
    name: CellName, nonlinearity: str, batch: int, time: int, inputs: int, hidden: int
) -> None:
    cell = make(name, nonlinearity, inputs, hidden)
    state = random_state(cell, batch)
    x = torch.randn(batch, inputs).double()
    expected = torch_cell(cell, name)(x, state if len(state) == 2 else state[0])
    torch.testing.assert_close(tuple(cell(x, state)), expected if len(state) == 2 else (expected,))


@every_size
def test_a_minimal_gru_moves_towards_its_candidate(
    batch: int, time: int, inputs: int, hidden: int
) -> None:
    cell = make("mingru", "tanh", inputs, hidden)
    assert cell.state_dict().keys() == {"weight_ih", "bias_ih"}
    (before,) = random_state(cell, batch)
    x = torch.randn(batch, inputs).double()
    total = x @ cell.weight_ih.T + cell.bias_ih
    share = 1 / (1 + torch.exp(-total[:, :hidden]))
    expected = (1 - share) * before + share * total[:, hidden:]
    torch.testing.assert_close(tuple(cell(x, (before,))), (expected,))


@every_size
def test_a_minimal_lstm_divides_its_gates_by_their_sum(
    batch: int, time: int, inputs: int, hidden: int
) -> None:
    cell = make("minlstm", "tanh", inputs, hidden)
    (before,) = random_state(cell, batch)
    x = torch.randn(batch, inputs).double()
    i, f, g = (x @ cell.weight_ih.T + cell.bias_ih).split(hidden, dim=1)
    i, f = 1 / (1 + torch.exp(-i)), 1 / (1 + torch.exp(-f))
    torch.testing.assert_close(tuple(cell(x, (before,))), ((f * before + i * g) / (f + i),))


@every_cell
@every_size
def test_a_window_equals_its_chunks_and_its_steps(
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


@every_known_cell
def test_other_recurrent_weights_may_stand_in_for_the_cells_own(
    name: CellName, nonlinearity: str
) -> None:
    cell, other = (make(name, nonlinearity, 3, 4) for _ in range(2))
    with torch.no_grad():
        other.weight_hh.mul_(0.5)
    inputs, state = torch.randn(2, 5, 3, dtype=torch.float64), cell.initial_state(2)
    outputs, final = cell.over_window(inputs, state, {"weight_hh": cell.weight_hh * 0.5})
    expected, expected_final = other.over_window(inputs, state)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(tuple(final), tuple(expected_final))


class SteppedLSTM(RecurrentCell):
    """An LSTM for which PyTorch had no fused operation."""

    name = "lstm"
    state_type = LSTMState
    forward = LSTMCell.forward


@pytest.mark.parametrize("is_thinned", [False, True])
def test_a_cell_without_a_fused_operation_is_stepped(*, is_thinned: bool) -> None:
    cell, stepped = make("lstm", "tanh", 3, 4), SteppedLSTM(3, 4).double()
    stepped.load_state_dict(cell.state_dict())
    inputs, state = torch.randn(2, 5, 3, dtype=torch.float64), random_state(cell, 2)
    weights = {"weight_hh": cell.weight_hh * 0.5} if is_thinned else None
    outputs, final = stepped.over_window(inputs, state, weights)
    expected, expected_final = cell.over_window(inputs, state, weights)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(tuple(final), tuple(expected_final))


def fits_cudnn(given: tuple[Any, ...], dtype: torch.dtype) -> None:
    """Check that an operation's arguments are what cuDNN takes without a copy of its own."""
    inputs, state, weights = given[:3]
    parts = list(state) if isinstance(state, list) else [state]
    assert {each.dtype for each in (inputs, *parts, *weights)} == {dtype}
    assert all(part.is_contiguous() for part in parts)
    assert not torch.is_autocast_enabled("cpu")
    offset, memory = 0, weights[0].untyped_storage().data_ptr()
    for weight in weights:
        assert weight.untyped_storage().data_ptr() == memory
        assert (weight.storage_offset(), weight.is_contiguous()) == (offset, True)
        offset += weight.numel()


@pytest.fixture(params=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """The type that is computed in; the arguments of PyTorch's operations are checked."""
    wanted: torch.dtype = getattr(torch, request.param)

    def check(name: str) -> None:
        operation: Callable[..., Any] = getattr(torch, name)

        def checked(*given: Any) -> Any:
            fits_cudnn(given, wanted)
            return operation(*given)

        monkeypatch.setattr(torch, name, checked)

    for name in ("lstm", "gru", "rnn_tanh"):
        check(name)
    return wanted


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_cudnn_gets_one_type_and_one_piece_of_memory(name: CellName, dtype: torch.dtype) -> None:
    """Computed by the processor, with gradients, against the cell's steps."""
    cell = make(name, "tanh", 4, 6).float()
    assert isinstance(cell, FusedCell)
    inputs = torch.randn(3, 5, 4, requires_grad=True)
    state = tuple(
        torch.randn(6, 3).T.requires_grad_() for _ in cell.initial_state(1)
    )  # not contiguous
    thinned = cell.weight_hh * (torch.arange(6) % 2)
    hidden, expected = state, []
    for step in range(5):
        hidden = torch.func.functional_call(cell, {"weight_hh": thinned}, (inputs[:, step], hidden))
        expected.append(hidden[0])
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        outputs, after = cell.in_one_type(
            inputs, state, [cell.weight_ih, thinned, cell.bias_ih, cell.bias_hh]
        )
    assert outputs.dtype == dtype
    assert {part.dtype for part in after} == {torch.float32}
    allowed = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(
        outputs.float(), torch.stack(expected, 1), rtol=allowed, atol=allowed
    )
    of = [inputs, *state, *cell.parameters()]
    wanted = torch.autograd.grad(sum(h.sum() for h in (*expected, *hidden)), of, retain_graph=True)
    found = torch.autograd.grad(outputs.float().sum() + sum(part.sum() for part in after), of)
    for gradient, its in zip(found, wanted, strict=True):
        assert gradient.dtype == torch.float32
        torch.testing.assert_close(gradient, its, rtol=5 * allowed, atol=5 * allowed)


def test_layers_of_a_gpu_go_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def stands_in(cell: FusedCell, *given: Any) -> Any:
        seen.append("gpu")
        return given[:2]

    monkeypatch.setattr(FusedCell, "in_one_type", stands_in)
    cell = make("lstm", "tanh", 3, 4)

    class OnGpu:
        device = torch.device("cuda", 1)

    inputs: Any = OnGpu()
    cell.over_window(inputs, cell.initial_state(2))
    assert seen == ["gpu"]
    cell.over_window(torch.randn(2, 5, 3).double(), cell.initial_state(2))
    assert seen == ["gpu"]
