"""The documents in a window, read side by side.

The state is zero before a boundary, so what follows a boundary does not depend on what precedes it.
A window (B, T) is therefore cut before each boundary, and its segments are read at the same time,
as PyTorch reads packed sequences: sorted by length, the longest first, and of each time those that
are long enough. A window of short documents takes as many steps as the longest of them has symbols.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Segments:
    """How a window of B streams and T symbols lies as N = B T packed rows of P segments."""

    streams: int
    """B."""

    order: Tensor
    """The symbol of the window at each packed row, (N,)."""

    rows: Tensor
    """The packed row of each symbol of the window, (N,)."""

    sizes: Tensor
    """How many segments have a symbol at each time; on the CPU, where PyTorch wants it."""

    sources: Tensor
    """The stream whose state each segment begins with, (P,); B for zeros."""

    last: Tensor
    """The last segment of each stream, (B,)."""

    def pack(self, values: Tensor) -> Tensor:
        """Bring values of the window (B, T, I) into packed rows (N, I)."""
        return values.flatten(0, 1).index_select(0, self.order)

    def unpack(self, rows: Tensor) -> Tensor:
        """Bring packed rows (N, H) back into the window (B, T, H)."""
        return rows.index_select(0, self.rows).unflatten(0, (self.streams, -1))

    def begin(self, part: Tensor) -> Tensor:
        """Return what the segments begin with: a part of the streams' state (B, H) -> (P, H)."""
        return torch.cat([part, part.new_zeros(1, part.shape[1])]).index_select(0, self.sources)

    def end(self, part: Tensor) -> Tensor:
        """Return the streams' state from that after each segment: (P, H) -> (B, H)."""
        return part.index_select(0, self.last)


def segments_of(ids: Tensor, boundary: int) -> Segments | None:
    """Cut a window, ids (B, T), before each boundary; None if it has none."""
    resets = (ids == boundary).cpu().numpy()
    if not resets.any():
        return None
    streams, time = resets.shape
    begins = resets.copy()
    begins[:, 0] = True
    first = np.flatnonzero(begins)  # of each segment, by stream and time
    lengths = np.diff(first, append=begins.size)
    number = np.empty_like(first)  # of each segment, the longest first
    number[np.argsort(-lengths, kind="stable")] = np.arange(len(first))
    shorter = np.cumsum(np.bincount(lengths))[:-1]
    sizes = len(first) - shorter  # (longest,)
    before = np.cumsum(sizes) - sizes
    times = np.arange(begins.size) - np.repeat(first, lengths)
    rows = before[times] + np.repeat(number, lengths)
    opening = np.flatnonzero(first % time == 0)  # the segment at each stream's begin
    sources = np.full(len(first), streams)
    sources[number[opening]] = np.where(resets[:, 0], streams, np.arange(streams))
    last = number[np.append(opening[1:], len(first)) - 1]
    order, rows, sources, last = (
        torch.from_numpy(array).to(ids.device) for array in (np.argsort(rows), rows, sources, last)
    )
    return Segments(streams, order, rows, torch.from_numpy(sizes), sources, last)
