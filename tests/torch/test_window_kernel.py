"""The kernels' window as an operation of PyTorch, against PyTorch's own and against float64."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from ricorda.model.configuration import CellName
from ricorda.torch.cells import CELLS, RecurrentCell, window_kernel

_kernels = pytest.importorskip("ricorda._kernels")

CASES: list[tuple[CellName, str]] = [
    ("rnn", "tanh"),
    ("rnn", "relu"),
    ("gru", "tanh"),
    ("lstm", "tanh"),
]
SIZES = [(1, 1, 1, 1), (3, 7, 5, 33), (2, 9, 16, 16), (4, 300, 3, 6)]  # B, T, I, H
BFLOAT16_ROUNDING = 2.0**-8

every_cell = pytest.mark.parametrize(
    "name, nonlinearity", CASES, ids=["rnn", "relu", "gru", "lstm"]
)


class Case(NamedTuple):
    """A cell, a window, the state before it, and gradients of what comes out."""

    cell: RecurrentCell
    inputs: Tensor  # (B, T, I)
    state: tuple[Tensor, ...]  # (B, H) each
    after: tuple[Tensor, ...]  # gradients of (B, T, H) and of (B, H) each

    def double(self) -> "Case":
        """The same in float64, which PyTorch computes."""
        cell = CELLS[self.cell.name](
            self.cell.input_size, self.cell.hidden_size, self.cell.nonlinearity
        ).double()
        cell.load_state_dict(self.cell.state_dict())

        def leaf(tensor: Tensor) -> Tensor:
            return tensor.detach().double().requires_grad_()

        state = tuple(leaf(part) for part in self.state)
        return Case(cell, leaf(self.inputs), state, tuple(part.double() for part in self.after))

    def stay_off_the_kinks(self) -> None:
        """Make every other unit on and the rest off whatever comes in, up to 20 units."""
        with torch.no_grad():
            self.cell.bias_ih[::2] += 4
            self.cell.bias_ih[1::2] -= 4
            self.cell.weight_hh.mul_(0.05)

    def leaves(self) -> list[Tensor]:
        return [self.inputs, *self.state, *self.cell.weights()]

    def results(self) -> list[Tensor]:
        outputs, after = self.cell.over_window(self.inputs, self.state)
        return [outputs, *after]

    def gradients(self) -> tuple[Tensor, ...]:
        """Those of every leaf, from the gradients of outputs and final state."""
        return torch.autograd.grad(self.results(), self.leaves(), self.after)


@pytest.fixture
def make(random: np.random.Generator) -> Callable[..., Case]:
    """Make a random cell and a window."""
    generator = torch.Generator().manual_seed(int(random.integers(2**63)))

    def make_one(
        name: CellName = "gru", nonlinearity: str = "tanh", size: tuple[int, ...] = (3, 7, 5, 9)
    ) -> Case:
        batch, time, inputs, hidden = size

        def draw(*shape: int) -> Tensor:
            return torch.empty(shape).uniform_(-1, 1, generator=generator)

        cell = CELLS[name](inputs, hidden, nonlinearity)
        with torch.no_grad():
            for weight in cell.parameters():
                weight.copy_(draw(*weight.shape) * hidden**-0.5)
        state = tuple(draw(batch, hidden).requires_grad_() for _ in cell.state_names)
        after = (draw(batch, time, hidden), *(draw(batch, hidden) for _ in state))
        return Case(cell, draw(batch, time, inputs).requires_grad_(), state, after)

    return make_one


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which cells' windows the kernels were asked for."""
    asked: list[str] = []
    original = window_kernel.over_window

    def over_window(cell: str, *rest: Any) -> Any:
        asked.append(cell)
        return original(cell, *rest)

    monkeypatch.setattr(window_kernel, "over_window", over_window)
    return asked


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Set the number of PyTorch's threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def assert_near(one: Tensor, other: Tensor, share: float = 1e-5) -> None:
    """Equal within a share of the largest entry, or of the 1 that all draws are below.

    What cancels keeps the rounding of its terms: a single unit's gradient may come to anything.
    """
    one, other = one.detach(), other.detach()
    nearest = share * float(other.abs().max()) + 0.05 * share
    torch.testing.assert_close(one.double(), other.double(), rtol=0, atol=nearest)


@every_cell
@pytest.mark.parametrize("size", SIZES)
def test_it_is_float64_and_pytorchs_own(
    make: Callable[..., Case],
    calls: list[str],
    name: CellName,
    nonlinearity: str,
    size: tuple[int, ...],
) -> None:
    case = make(name, nonlinearity, size)
    results, gradients = case.results(), case.gradients()
    assert calls == [name, name]
    exact = case.double()
    for one, other in zip(results, exact.results(), strict=True):
        assert_near(one, other)
    for one, other in zip(gradients, exact.gradients(), strict=True):
        assert_near(one, other)
    assert len(calls) == 2  # float64 is PyTorch's
    with window_kernel.switched(on=False):
        for one, other in zip(results, case.results(), strict=True):
            assert_near(one, other)
        for one, other in zip(gradients, case.gradients(), strict=True):
            assert_near(one, other, 2e-5)  # PyTorch's has an error of its own
    assert len(calls) == 2


@every_cell
def test_a_step_in_any_direction_changes_the_result_as_the_gradient_says(
    make: Callable[..., Case], name: CellName, nonlinearity: str
) -> None:
    """By central differences in float32, which leave about three digits."""
    case = make(name, nonlinearity, (2, 4, 3, 5))
    if nonlinearity == "relu":
        case.stay_off_the_kinks()

    def value() -> float:
        with torch.no_grad():
            pairs = zip(case.results(), case.after, strict=True)
            return sum(float((result.double() * g.double()).sum()) for result, g in pairs)

    step = 1e-2
    for leaf, gradient in zip(case.leaves(), case.gradients(), strict=True):
        direction = gradient.sign()
        with torch.no_grad():
            leaf.add_(direction, alpha=step)
            above = value()
            leaf.sub_(direction, alpha=2 * step)
            below = value()
            leaf.add_(direction, alpha=step)
        slope = float((gradient * direction).sum())
        assert (above - below) / (2 * step) == pytest.approx(slope, rel=0.02, abs=1e-3)


@every_cell
@pytest.mark.parametrize("wanted", ["inputs", "state", "weight_ih", "weight_hh", "biases"])
def test_some_gradients_alone_are_those_of_all(
    make: Callable[..., Case], name: CellName, nonlinearity: str, wanted: str
) -> None:
    case = make(name, nonlinearity)
    expected = case.gradients()
    leaves: dict[str, list[Tensor]] = {
        "inputs": [case.inputs],
        "state": list(case.state),
        "weight_ih": [case.cell.weight_ih],
        "weight_hh": [case.cell.weight_hh],
        "biases": [case.cell.bias_ih, case.cell.bias_hh],
    }
    chosen = leaves[wanted]
    for leaf in case.leaves():
        leaf.requires_grad_(any(leaf is each for each in chosen))
    gradients = torch.autograd.grad(case.results(), chosen, case.after)
    by_leaf = {id(leaf): each for leaf, each in zip(case.leaves(), expected, strict=True)}
    for leaf, gradient in zip(chosen, gradients, strict=True):
        torch.testing.assert_close(gradient, by_leaf[id(leaf)], rtol=0, atol=0)


@every_cell
@pytest.mark.parametrize("used", [0, 1])
def test_results_that_nobody_uses(
    make: Callable[..., Case], name: CellName, nonlinearity: str, used: int
) -> None:
    """From the outputs alone, or from the final state alone."""
    case = make(name, nonlinearity)
    exact = case.double()
    gradients = torch.autograd.grad(case.results()[used].sum(), case.leaves())
    for one, other in zip(
        gradients, torch.autograd.grad(exact.results()[used].sum(), exact.leaves()), strict=True
    ):
        assert_near(one, other)


@every_cell
def test_without_gradients_the_results_are_the_same(
    make: Callable[..., Case], calls: list[str], name: CellName, nonlinearity: str
) -> None:
    case = make(name, nonlinearity)
    expected = [result.detach() for result in case.results()]
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            results = case.results()
        assert not any(result.requires_grad for result in results)
        for one, other in zip(results, expected, strict=True):
            assert torch.equal(one, other)
    assert len(calls) == 3


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_the_kernels_memory_is_used_again(
    make: Callable[..., Case], monkeypatch: pytest.MonkeyPatch, mode: Callable[[], Any]
) -> None:
    monkeypatch.setattr(window_kernel, "_unused", {})
    case = make()
    with mode():
        for _ in range(5):
            case.results()
    assert [len(waiting) for waiting in window_kernel._unused.values()] == [1]


def test_memory_is_kept_for_a_few_sizes_alone(
    make: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_kernel, "_unused", {})
    for time in range(1, 9):
        make(size=(2, time, 3, 4)).gradients()
    assert len(window_kernel._unused) <= window_kernel.KEPT


def test_going_back_twice_is_an_error(make: Callable[..., Case]) -> None:
    results = make().results()
    results[0].sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="forwards again"):
        results[0].sum().backward()


def test_gradients_of_gradients_are_an_error(make: Callable[..., Case]) -> None:
    case = make()
    (gradient,) = torch.autograd.grad(case.results()[0].sum(), case.inputs, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        gradient.sum().backward()


@every_cell
@pytest.mark.skipif(not _kernels.learns_bfloat16(), reason="no AVX512_BF16")
def test_autocast_rounds_the_factors(
    make: Callable[..., Case], name: CellName, nonlinearity: str
) -> None:
    """Seven products of two rounded factors lie on the way to a gradient (test_gradients.py)."""
    most = 7 * 2 * BFLOAT16_ROUNDING
    case = make(name, nonlinearity, (4, 12, 7, 20))
    if nonlinearity == "relu":
        case.stay_off_the_kinks()
    exact = [*case.results(), *case.gradients()]
    with torch.autocast("cpu", torch.bfloat16):
        results = case.results()
    gradients = torch.autograd.grad(results, case.leaves(), case.after)
    assert all(result.dtype == torch.float32 for result in results)
    for one, other in zip([*results, *gradients], exact, strict=True):
        distance = float((one - other).detach().norm() / other.detach().norm())
        assert 0 < distance < most


@pytest.mark.parametrize("on", [True, False])
def test_switching_lasts_as_long_as_its_block(
    make: Callable[..., Case], calls: list[str], *, on: bool
) -> None:
    case = make()
    with window_kernel.switched(on=False):
        with window_kernel.switched(on=on):
            case.results()
        case.results()
    assert len(calls) == on
    with pytest.raises(ZeroDivisionError), window_kernel.switched(on=False):
        _ = 1 / 0
    case.results()
    assert len(calls) == on + 1


def test_inputs_in_float64_are_pytorchs(make: Callable[..., Case], calls: list[str]) -> None:
    results = make().double().results()
    assert all(result.dtype == torch.float64 for result in results)
    assert not calls


@every_cell
def test_a_model_in_bfloat16_stays_in_it(
    make: Callable[..., Case], name: CellName, nonlinearity: str
) -> None:
    """Without autocast the results have the type of what comes in."""
    case = make(name, nonlinearity)
    exact = case.results()
    cell = case.cell.bfloat16()
    state = tuple(part.bfloat16() for part in case.state)
    outputs, after = cell.over_window(case.inputs.bfloat16(), state)
    assert all(result.dtype == torch.bfloat16 for result in (outputs, *after))
    torch.testing.assert_close(outputs.float(), exact[0], rtol=0, atol=0.05)
    outputs.sum().backward()
    assert cell.weight_hh.grad is not None
    assert cell.weight_hh.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(0, 7, 5), (3, 0, 5)])
def test_nothing_to_read_is_pytorchs_matter(
    make: Callable[..., Case], shape: tuple[int, int, int]
) -> None:
    assert window_kernel.applies_to(make().inputs, make().state)
    assert not window_kernel.applies_to(torch.empty(shape), make().state)


@every_cell
def test_windows_of_different_size_between_each_other(
    make: Callable[..., Case], name: CellName, nonlinearity: str
) -> None:
    cases = [make(name, nonlinearity, size) for size in SIZES[1:3]]
    expected = [case.gradients() for case in cases]
    results = [case.results() for case in cases]
    for case, result, gradients in zip(cases, results, expected, strict=True):
        again = torch.autograd.grad(result, case.leaves(), case.after)
        for one, other in zip(again, gradients, strict=True):
            assert torch.equal(one, other)


@every_cell
def test_a_cell_used_twice_in_one_graph(
    make: Callable[..., Case], name: CellName, nonlinearity: str
) -> None:
    """The final state of one window is the first of the next, and gradients flow through."""
    case = make(name, nonlinearity)
    gradients = []
    for each in (case, case.double()):
        outputs, state = each.cell.over_window(each.inputs, each.state)
        again, _ = each.cell.over_window(each.inputs.flip(1), state)
        loss = (outputs * each.after[0]).sum() + again.square().sum()
        gradients.append(torch.autograd.grad(loss, each.leaves()))
    for one, other in zip(*gradients, strict=True):
        assert_near(one, other)


@every_cell
def test_weights_may_change_before_the_way_back(
    make: Callable[..., Case], name: CellName, nonlinearity: str
) -> None:
    """The gradients are those of the weights that the window was read with."""
    case = make(name, nonlinearity)
    expected = case.gradients()
    results = case.results()
    with torch.no_grad():
        case.cell.weight_hh.zero_()
    for one, other in zip(
        torch.autograd.grad(results, case.leaves(), case.after), expected, strict=True
    ):
        assert torch.equal(one, other)


@every_cell
def test_tensors_that_are_not_contiguous(
    make: Callable[..., Case], name: CellName, nonlinearity: str
) -> None:
    case = make(name, nonlinearity)
    expected = [*case.results(), *case.gradients()]

    def spread(tensor: Tensor) -> Tensor:
        return torch.stack([tensor.detach(), tensor.detach()], -1)[..., 0].requires_grad_()

    inputs, state = spread(case.inputs), tuple(spread(part) for part in case.state)
    other = case._replace(inputs=inputs, state=state, after=tuple(map(spread, case.after)))
    assert not other.inputs.is_contiguous()
    for one, wanted in zip([*other.results(), *other.gradients()], expected, strict=True):
        assert torch.equal(one, wanted)


@every_cell
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_number_of_threads(
    make: Callable[..., Case],
    threads: Callable[[int], None],
    name: CellName,
    nonlinearity: str,
    batch: int,
) -> None:
    case = make(name, nonlinearity, (batch, 6, 7, 33))
    threads(1)
    results, gradients = case.results(), case.gradients()
    for number in (2, 3):
        threads(number)
        for one, other in zip(case.results(), results, strict=True):
            assert torch.equal(one, other)
        for one, other in zip(case.gradients(), gradients, strict=True):
            assert_near(one, other)
        for one, other in zip(case.gradients(), case.gradients(), strict=True):
            assert torch.equal(one, other)


@every_cell
def test_a_window_gone_wrong_leaves_nothing_behind(
    make: Callable[..., Case], name: CellName, nonlinearity: str
) -> None:
    case = make(name, nonlinearity)
    expected = [*case.results(), *case.gradients()]
    bad = case._replace(
        inputs=torch.full_like(case.inputs, torch.nan).requires_grad_(),
        state=tuple(torch.full_like(part, torch.inf).requires_grad_() for part in case.state),
        after=tuple(torch.full_like(part, torch.nan) for part in case.after),
    )
    assert any(gradient.isnan().any() for gradient in bad.gradients())
    for one, other in zip([*case.results(), *case.gradients()], expected, strict=True):
        assert torch.equal(one, other)
