"""The output layer and its loss, in portions of rows so that memory stays bounded.

The logits of a window have B T V numbers. With thousands of symbols they would take the most memory
of all, several times over: as logits, as log-probabilities, as gradients. If they exceed
MOST_LOGITS, portions of the rows are computed one after another, each forward and backward at once.
A sampled softmax has few logits, and computes all rows together.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

MOST_LOGITS = 1 << 24  # in memory at once: 64 MB


def mean_nats(
    output: nn.Linear, hidden: Tensor, targets: Tensor, most_logits: int = MOST_LOGITS
) -> Tensor:
    """Return the mean nats of targets (B, T) after hidden (B, T, H), with gradients."""
    rows = _rows_together(output, most_logits)
    if targets.numel() <= rows:
        logits = output(hidden)  # (B, T, V)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
    apply: Callable[..., Tensor] = _SummedNats.apply
    total = apply(
        hidden.flatten(0, 1),
        output.weight,
        output.bias,
        targets.flatten(),
        rows,
        _product_type(hidden),
        torch.is_grad_enabled(),
    )
    return total / targets.numel()


class NegativeTensors(NamedTuple):
    """The symbols that targets are compared with in a sampled softmax."""

    ids: Tensor  # (K,) each once
    log_probabilities: Tensor  # (K,) of being drawn


def sampled_mean_nats(
    output: nn.Linear, hidden: Tensor, targets: Tensor, negatives: NegativeTensors
) -> Tensor:
    """Estimate `mean_nats` from the logits of the targets and the negatives alone.

    The softmax's denominator is estimated by the target's own part, plus 1 / probability times the
    part of each negative that is another symbol (Jean et al., 2015). The estimate is right on
    average; its logarithm, and so the nats, are slightly low: by less than 0.01 as measured
    (docs/log.md).
    """
    rows, wanted = hidden.flatten(0, 1), targets.flatten()  # (N, H), (N,)
    weight = F.embedding(wanted, output.weight)  # (N, H)
    own = (rows.float() * weight).sum(1) + output.bias[wanted]  # (N,)
    others = F.linear(rows, output.weight[negatives.ids], output.bias[negatives.ids]).float()
    others = others - negatives.log_probabilities  # (N, K)
    others = others.masked_fill(negatives.ids == wanted[:, None], -torch.inf)
    return (torch.cat([own[:, None], others], 1).logsumexp(1) - own).mean()


def nats_of_each(
    output: nn.Linear, hidden: Tensor, targets: Tensor, most_logits: int = MOST_LOGITS
) -> Tensor:
    """Return the nats (B T,) of targets (B, T) after hidden (B, T, H), without gradients."""
    rows = _rows_together(output, most_logits)
    return torch.cat(
        [
            F.cross_entropy(output(part).float(), wanted, reduction="none")
            for part, wanted in zip(
                hidden.flatten(0, 1).split(rows), targets.flatten().split(rows), strict=True
            )
        ]
    )


def _rows_together(output: nn.Linear, most_logits: int) -> int:
    return max(1, most_logits // output.out_features)


def _product_type(hidden: Tensor) -> torch.dtype:
    """Return the type of matrix products: autocast's type if it is enabled."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


class _SummedNats(torch.autograd.Function):
    """The sum of nats; each portion's gradients are computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,  # (N, H)
        weight: Tensor,  # (V, H)
        bias: Tensor,  # (V)
        targets: Tensor,  # (N)
        rows: int,
        product_type: torch.dtype,
        recorded: bool,
    ) -> Tensor:
        kind = hidden.device.type
        with torch.autocast(kind, enabled=False):
            factor = weight.to(product_type)
            total = hidden.new_zeros((), dtype=torch.float32)
            if recorded:
                of_hidden = torch.empty_like(hidden)
                of_weight = torch.zeros_like(weight)
                of_bias = torch.zeros_like(bias)
            for first in range(0, hidden.shape[0], rows):
                here = slice(first, first + rows)
                inputs, wanted = hidden[here].to(product_type), targets[here, None]
                logits = F.linear(inputs, factor, bias.to(product_type)).float()
                largest = logits.logsumexp(1, keepdim=True)
                total += (largest - logits.gather(1, wanted)).sum()
                if not recorded:
                    continue
                slopes = logits.sub_(largest).exp_()  # softmax, minus one at the target
                slopes.scatter_add_(1, wanted, slopes.new_full((), -1.0).expand(wanted.shape))
                of_bias += slopes.sum(0)
                slopes = slopes.to(product_type)
                of_hidden[here] = slopes @ factor
                of_weight += slopes.T @ inputs
        if recorded:
            ctx.save_for_backward(of_hidden, of_weight, of_bias)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, of_weight, of_bias = (each * slope for each in ctx.saved_tensors)
        return of_hidden, of_weight, of_bias, None, None, None, None
