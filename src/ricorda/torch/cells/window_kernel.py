"""A recurrent layer over a window by the C++ kernels, as an operation that PyTorch differentiates.

It computes what PyTorch's own `torch.lstm`, `torch.gru` and `torch.rnn_tanh` do for one layer, on
the processor, several times faster (docs/training.md). Under autocast to bfloat16 its products are
in bfloat16 with float32 sums, where the processor multiplies it; states stay float32.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

try:
    from ricorda import _kernels
except ImportError:  # installed without a compiler
    _kernels = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from ricorda._kernels import SequenceLayer
    from ricorda.torch.cells.base import State

KEPT = 4  # unused layers of a size that stay for the next window
Size = tuple[str, str, int, int, int, int, str, int]

_enabled = True
_unused: dict[Size, list["SequenceLayer"]] = {}


@contextlib.contextmanager
def switched(*, on: bool) -> Iterator[None]:
    """Within, layers are computed by the kernels, or by PyTorch alone."""
    global _enabled  # noqa: PLW0603
    before, _enabled = _enabled, on
    try:
        yield
    finally:
        _enabled = before


def applies_to(inputs: Tensor, state: "State") -> bool:
    """Whether the kernels can read these inputs: on the processor, in float32 or bfloat16."""
    kinds = (torch.float32, torch.bfloat16)
    return (
        _enabled
        and _kernels is not None
        and inputs.device.type == "cpu"
        and inputs.dtype in kinds
        and all(part.dtype in kinds for part in state)
        and inputs.numel() > 0
        and not torch.compiler.is_compiling()
    )


def precision() -> str:
    """The products' precision: bfloat16 under autocast where the processor has it."""
    wanted = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return "bfloat16" if wanted and _kernels.learns_bfloat16() else "float32"


def over_window(
    cell: str, nonlinearity: str, inputs: Tensor, state: "State", weights: list[Tensor]
) -> tuple[Tensor, "State"]:
    """Advance T symbols: inputs (B, T, I), state of (B, H) -> hidden (B, T, H), state.

    weights are weight_ih, weight_hh, bias_ih, bias_hh in torch.nn's layout.
    """
    apply: Callable[..., tuple[Tensor, ...]] = _Window.apply
    recorded = torch.is_grad_enabled()
    outputs, *after = apply(cell, nonlinearity, precision(), recorded, inputs, *weights, *state)
    if not torch.is_autocast_enabled("cpu"):
        outputs = outputs.to(inputs.dtype)
        after = [part.to(before.dtype) for part, before in zip(after, state, strict=True)]
    return outputs, tuple(after)


class _Window(torch.autograd.Function):
    """The kernels' passes forwards and backwards, with the layer that remembers a pass between."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: str,
        nonlinearity: str,
        precision: str,
        recorded: bool,
        inputs: Tensor,
        *given: Tensor,
    ) -> tuple[Tensor, ...]:
        inputs, *given_too = (each.detach().float().contiguous() for each in (inputs, *given))
        weights, state = given_too[:4], given_too[4:]
        streams, steps, input_size = inputs.shape
        hidden_size = weights[1].shape[1]
        threads = torch.get_num_threads()
        size = (cell, nonlinearity, input_size, hidden_size, streams, steps, precision, threads)
        layer = _take(size)
        outputs = inputs.new_empty(streams, steps, hidden_size)
        after = [torch.empty_like(part) for part in state]
        layer.forward(
            _arrays(weights), inputs.numpy(), _arrays(state), outputs.numpy(), _arrays(after)
        )
        ctx.layer, ctx.size = layer, size
        ctx.shapes = [tuple(weight.shape) for weight in weights]
        if not (recorded and any(ctx.needs_input_grad)):  # the second is true under no_grad too
            _give_back(ctx)
        return outputs, *after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outputs: Tensor, *after: Tensor) -> tuple[Tensor | None, ...]:
        layer = ctx.layer
        if layer is None:
            raise RuntimeError(
                "a window's gradients can be computed once: run it forwards again first"
            )
        outputs = outputs.float().contiguous()
        after_parts = [part.float().contiguous() for part in after]
        weights = [outputs.new_empty(shape) for shape in ctx.shapes]
        state = [torch.empty_like(part) for part in after_parts]
        inputs = None
        if ctx.needs_input_grad[4]:
            inputs = outputs.new_empty(*outputs.shape[:2], ctx.shapes[0][1])
        layer.back(
            outputs.numpy(),
            _arrays(after_parts),
            None if inputs is None else inputs.numpy(),
            _arrays(state),
            _arrays(weights),
        )
        _give_back(ctx)
        return None, None, None, None, inputs, *weights, *state


def _arrays(tensors: list[Tensor]) -> list[Any]:
    """The same memory as NumPy arrays."""
    return [tensor.numpy() for tensor in tensors]


def _take(size: Size) -> "SequenceLayer":
    """An unused layer of this size, or a new one."""
    waiting = _unused.get(size)
    if waiting:
        return waiting.pop()
    cell, nonlinearity, input_size, hidden_size, streams, steps, kind, threads = size
    return _kernels.SequenceLayer(
        cell, nonlinearity, input_size, hidden_size, streams, steps, kind, threads
    )


def _give_back(ctx: Any) -> None:
    """Keep a pass's layer for the next window of its size; other sizes make room for it."""
    if ctx.size not in _unused and len(_unused) >= KEPT:
        _unused.pop(next(iter(_unused)), None)
    waiting = _unused.setdefault(ctx.size, [])
    if len(waiting) < KEPT:
        waiting.append(ctx.layer)
    ctx.layer = None
