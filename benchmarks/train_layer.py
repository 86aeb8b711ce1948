"""One layer forwards and backwards over a window, input gradient included: ours and torch.nn's.

What is counted as arithmetic are the products: 2 H (H + I) for each gate of each symbol forwards
and twice that backwards, with I = H.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from benchmarks.peers.torch_network import layer_passes
from benchmarks.result import Result
from benchmarks.timing import Ratio, compare
from ricorda import _kernels
from ricorda.model.configuration import CellName
from ricorda.torch.cells import CELLS, window_kernel

Passes = Callable[[int], list[torch.Tensor]]
"""A loop of passes; it returns the last one's gradients of the inputs and of the weights."""


@dataclass(frozen=True)
class Case:
    """One layer, and how many times faster than PyTorch it is meant to be."""

    cell: CellName
    hidden_size: int
    bfloat16: float
    """Our bfloat16 against PyTorch's faster of float32 and bfloat16 autocast."""

    float32: float
    """Both in float32."""


CASES = (
    Case("rnn", 128, 3, 1.8),
    Case("rnn", 256, 2.5, 1),
    Case("rnn", 512, 1.6, 1),
    Case("gru", 128, 3.5, 1.8),
    Case("gru", 256, 2.5, 1),
    Case("gru", 512, 1.5, 1),
    Case("lstm", 128, 1.5, 1),
    Case("lstm", 256, 1.3, 1),
    Case("lstm", 512, 1.2, 1),
)


def measure(
    cases: tuple[Case, ...],
    batch_size: int,
    window: int,
    rounds: int,
    say: Callable[[str], None],
) -> Iterator[Result]:
    """Every case in float32 and, where the processor has it, in bfloat16."""
    has_bfloat16 = _kernels.learns_bfloat16()
    if not has_bfloat16:
        say("this processor has no AVX512_BF16: layers in bfloat16 are left out")
    for case in cases:
        problem = Problem.random(case.cell, case.hidden_size, batch_size, window)
        operations = 12.0 * batch_size * window * problem.gates * case.hidden_size**2
        by_torch = torch_passes(problem)
        ratio = compare(kernel_passes(problem), by_torch, rounds)
        what = f"{case.cell} {case.hidden_size}, layer forwards and backwards, "
        yield _result(what + "float32", "PyTorch float32", ratio, case.float32, operations)
        if has_bfloat16:
            by_kernel = kernel_passes(problem, bfloat16=True)
            in_bfloat16 = torch_passes(problem, bfloat16=True)
            peer, ratio = min(
                ("PyTorch float32", compare(by_kernel, by_torch, rounds)),
                ("PyTorch bfloat16 autocast", compare(by_kernel, in_bfloat16, rounds)),
                key=lambda each: each[1].median,
            )
            yield _result(what + "bfloat16", peer, ratio, case.bfloat16, operations)


@dataclass(frozen=True)
class Problem:
    """What both sides compute: a layer, what it reads and the gradient of its outputs."""

    cell: CellName
    weights: list[torch.Tensor]
    inputs: torch.Tensor  # (B, T, I)
    state: tuple[torch.Tensor, ...]  # of (B, H)
    gradient: torch.Tensor  # (B, T, H)

    @staticmethod
    def random(cell: CellName, hidden_size: int, batch_size: int, window: int) -> "Problem":
        """Draw a problem with as many inputs as units; it is the same each time."""
        layer = CELLS[cell](hidden_size, hidden_size)
        layer.reset_parameters(torch.Generator().manual_seed(1))
        random = torch.Generator().manual_seed(2)
        inputs = torch.randn(batch_size, window, hidden_size, generator=random)
        state = tuple(
            torch.randn(batch_size, hidden_size, generator=random).mul_(0.1)
            for _ in layer.state_names
        )
        weights = [weight.detach() for weight in layer.weights()]
        gradient = torch.randn(batch_size, window, hidden_size, generator=random)
        return Problem(cell, weights, inputs, state, gradient)

    @property
    def gates(self) -> int:
        """G, the blocks of H rows in the weights."""
        return CELLS[self.cell].gates


def torch_passes(problem: Problem, *, bfloat16: bool = False) -> Passes:
    """Passes of `nn.RNN`, `nn.GRU` or `nn.LSTM`, from the given state."""
    return layer_passes(
        problem.cell,
        problem.weights,
        problem.inputs,
        problem.state,
        problem.gradient,
        bfloat16=bfloat16,
    )


def kernel_passes(problem: Problem, *, bfloat16: bool = False) -> Passes:
    """The same passes by the kernels."""
    inputs = problem.inputs.clone().requires_grad_()
    weights = [weight.clone().requires_grad_() for weight in problem.weights]
    gradients: dict[torch.dtype, torch.Tensor] = {}  # in each type that outputs come in

    def work(count: int) -> list[torch.Tensor]:
        found: tuple[torch.Tensor, ...] = ()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            for _ in range(count):
                outputs, _ = window_kernel.over_window(
                    problem.cell, "tanh", inputs, problem.state, weights
                )
                if outputs.dtype not in gradients:
                    gradients[outputs.dtype] = problem.gradient.to(outputs.dtype)
                found = torch.autograd.grad(outputs, [inputs, *weights], gradients[outputs.dtype])
        return list(found)

    return work


def _result(what: str, peer: str, ratio: Ratio, wanted: float, operations: float) -> Result:
    """With both speeds in GFLOP/s."""
    assert ratio.ours is not None
    assert ratio.peer is not None
    details = {
        "gigaflops_a_second_ours": operations / ratio.ours / 1e9,
        "gigaflops_a_second_theirs": operations / ratio.peer / 1e9,
    }
    return Result(what, peer, ratio, wanted, details=details)
