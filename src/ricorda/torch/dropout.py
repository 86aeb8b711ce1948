"""Dropout masks that are functions of a key and a place, the same as those of the C++ kernels.

Whether a number is dropped follows from 32 random bits, which are computed from a 64-bit key and
the number's place. So a mask needs no generator, is the same on every device, and a process that
reads a part of the streams computes its part of the mask alone.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

OUTPUTS, RECURRENT, EMBEDDING = range(3)  # the kinds of masks
ROW_ALIGNMENT = 16  # numbers: rows of the embedding are padded to it in the kernels
LOW = 0xFFFFFFFF


class MaskKey(NamedTuple):
    """What decides the masks of one window."""

    key: int
    """64 random bits."""

    first_stream: int = 0
    """The number of the first stream that is read here."""

    streams: int | None = None
    """How many streams all processes read; None: those that are read here."""


def drop_outputs(hidden: Tensor, probability: float, masks: MaskKey, layer: int) -> Tensor:
    """Drop numbers of a layer's output (B, T, H) and scale the others up."""
    batch, time, size = hidden.shape
    streams = torch.arange(batch, device=hidden.device) + masks.first_stream
    times = torch.arange(time, device=hidden.device) * (masks.streams or batch)
    places = (times + streams[:, None])[..., None] * size + torch.arange(size, device=hidden.device)
    return _dropped(hidden, probability, _layer_key(masks.key, OUTPUTS, layer), places)


def drop_recurrent(weight: Tensor, probability: float, masks: MaskKey, layer: int) -> Tensor:
    """Drop recurrent weights (G H, H) for a whole window and scale the others up."""
    places = torch.arange(weight.numel(), device=weight.device).view(weight.shape)
    return _dropped(weight, probability, _layer_key(masks.key, RECURRENT, layer), places)


def drop_embedding(table: Tensor, probability: float, masks: MaskKey) -> Tensor:
    """Drop numbers of the embedding (V, E) for a whole window and scale the others up."""
    symbols, size = table.shape
    stride = -(-size // ROW_ALIGNMENT) * ROW_ALIGNMENT
    rows = torch.arange(symbols, device=table.device)[:, None] * stride
    places = rows + torch.arange(size, device=table.device)
    return _dropped(table, probability, _layer_key(masks.key, EMBEDDING, 0), places)


def _layer_key(key: int, kind: int, layer: int) -> int:
    return (key + 0x9E3779B97F4A7C15 * (1 + 3 * layer + kind)) & (2**64 - 1)


def _dropped(values: Tensor, probability: float, key: int, places: Tensor) -> Tensor:
    """Return values / (1 - probability) where they are kept, else 0; float32 as in the kernels."""
    keep = np.float32(1) - np.float32(probability)
    largest = min(keep * np.float32(2**31) - np.float32(0.5), np.float32(2**31 - 128))
    kept = (_random_bits(key, places & LOW) >> 1) <= int(largest)
    return values * kept.to(values.dtype).mul_(float(np.float32(1) / keep))


def _random_bits(key: int, places: Tensor) -> Tensor:
    """Return 32 random bits of each place, both as int64."""
    return _mixed((_mixed(places ^ (key & LOW)) + (key >> 32)) & LOW)


def _mixed(bits: Tensor) -> Tensor:
    """Apply a bijection of 32 bits: lowbias32, found by Chris Wellons' search (2018)."""
    bits = ((bits ^ (bits >> 16)) * 0x7FEB352D) & LOW
    bits = ((bits ^ (bits >> 15)) * 0x846CA68B) & LOW
    return bits ^ (bits >> 16)
