"""Dropout masks from a generator of one's own, drawn several to a random number."""

import torch
from torch import Tensor

LEVELS = 1 << 16  # probabilities are multiples of 1/65536: each number's fate is 16 random bits


def dropout_mask(like: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    """Zeros with a probability between 0 and 1, else 1 / (1 - probability): shape, type of like.

    The probability is rounded to a multiple of 1/65536, never to 0 or 1. Masks of PyTorch's
    own Bernoulli numbers take five times as long on a CPU (docs/log.md).
    """
    dropped = min(max(round(probability * LEVELS), 1), LEVELS - 1)
    count = like.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device)
    bits.random_(-(2**63), None, generator=generator)
    kept = bits.view(torch.int16)[:count].view(like.shape) >= dropped - LEVELS // 2
    return kept.to(like.dtype).mul_(LEVELS / (LEVELS - dropped))
