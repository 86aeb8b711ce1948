"""A recurrent layer over a window by cuDNN, given what cuDNN asks for.

cuDNN reads everything in one type, and the weights from one piece of memory. Left to themselves,
PyTorch's layers gather separate weights at every call, with a warning; and under autocast they are
computed in float16, whatever type it is set to (ATen/cudnn/AutocastRNN.cpp): a gradient of a mean
over thousands of symbols lies below the smallest number that float16 has. So weights are gathered
and converted here, in one copy that autograd knows of, and autocast is off for the layer.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ricorda.torch.cells.base import State

Layer = Callable[[Tensor, "State", list[Tensor]], tuple[Tensor, "State"]]


def over_window(
    layer: Layer, inputs: Tensor, state: "State", weights: list[Tensor]
) -> tuple[Tensor, "State"]:
    """Advance T symbols: inputs (B, T, I), state of (B, H) -> hidden (B, T, H), state.

    layer computes it by PyTorch; weights are as it takes them. Under autocast all that it reads is
    of autocast's type, and so is the hidden; the state is handed back in the type that it came in.
    """
    device, kind = inputs.device.type, weights[0].dtype
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        outputs, after = layer(
            inputs.to(kind),
            tuple(part.to(kind).contiguous() for part in state),
            in_one_piece(weights, kind),
        )
    return outputs, tuple(part.to(old.dtype) for part, old in zip(after, state, strict=True))


def in_one_piece(weights: list[Tensor], kind: torch.dtype) -> list[Tensor]:
    """Copies of a type that lie one after the other, as cuDNN wants them of one layer."""
    flat = torch.cat([weight.flatten() for weight in weights]).to(kind)
    parts = flat.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]
