"""One layer forwards and backwards over a window, input gradient included, by PyTorch and by us.

What is counted as arithmetic are the products: 2 H (H + I) for each gate of each symbol forwards
and twice that backwards, with I = H.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ricorda import _kernels
from ricorda.bench.result import Result
from ricorda.bench.timing import Ratio, compare
from ricorda.models.cells import CELLS, window_kernel
from ricorda.models.cells.base import RecurrentCell
from ricorda.models.configuration import CellName

Work = Callable[[int], None]


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
        layer = CELLS[case.cell](case.hidden_size, case.hidden_size)
        layer.reset_parameters(torch.Generator().manual_seed(1))
        operations = 12.0 * batch_size * window * layer.gates * case.hidden_size**2
        by_torch = passes(layer, batch_size, window, by_kernel=False)
        by_kernel = passes(layer, batch_size, window, by_kernel=True)
        ratio = compare(by_kernel, by_torch, rounds)
        what = f"{case.cell} {case.hidden_size}, layer forwards and backwards, "
        yield _result(what + "float32", "PyTorch float32", ratio, case.float32, operations)
        if has_bfloat16:
            by_kernel = passes(layer, batch_size, window, by_kernel=True, bfloat16=True)
            in_bfloat16 = passes(layer, batch_size, window, by_kernel=False, bfloat16=True)
            peer, ratio = min(
                ("PyTorch float32", compare(by_kernel, by_torch, rounds)),
                ("PyTorch bfloat16 autocast", compare(by_kernel, in_bfloat16, rounds)),
                key=lambda each: each[1].median,
            )
            yield _result(what + "bfloat16", peer, ratio, case.bfloat16, operations)


def passes(
    layer: RecurrentCell, batch_size: int, window: int, *, by_kernel: bool, bfloat16: bool = False
) -> Work:
    """A loop of passes forwards and backwards, from a given state, to every gradient."""
    random = torch.Generator().manual_seed(2)
    inputs = torch.randn(batch_size, window, layer.input_size, generator=random)
    inputs.requires_grad_()
    state = tuple(
        torch.randn(batch_size, layer.hidden_size, generator=random).mul_(0.1)
        for _ in layer.state_names
    )
    weights = layer.weights()
    gradient = torch.randn(batch_size, window, layer.hidden_size, generator=random)
    gradients: dict[torch.dtype, torch.Tensor] = {}  # in each type that outputs come in

    def work(count: int) -> None:
        with (
            window_kernel.switched(on=by_kernel),
            torch.autocast("cpu", torch.bfloat16, enabled=bfloat16),
        ):
            for _ in range(count):
                outputs, _ = layer.over_window(inputs, state)
                if outputs.dtype not in gradients:
                    gradients[outputs.dtype] = gradient.to(outputs.dtype)
                torch.autograd.grad(outputs, [inputs, *weights], gradients[outputs.dtype])

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
