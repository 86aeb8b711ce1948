"""The windows of truncated backpropagation through time (Williams and Peng, 1990).

A text is cut into B rows that are read side by side, T symbols at a time: the state at the end of
a row's window is the state at the start of its next window.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ricorda import draws
from ricorda.draws import Purpose
from ricorda.errors import ConfigurationError, TextError
from ricorda.text.parts import Part

UNLABELLED = 0.1
"""The share of the documents of an epoch that are read without their label, so that a model also
learns to do without."""


class Window(NamedTuple):
    """The symbols of one training step."""

    inputs: NDArray[np.uint32]  # (B, T)
    targets: NDArray[np.uint32]  # (B, T), the symbol after each input
    restart: NDArray[np.bool_]  # (B,), rows whose state must start from zero
    labels: NDArray[np.uint32] | None = None  # (B, T), the label number of each input


class WindowStream:
    """B contiguous rows of a part of a text, cut into windows of T symbols, without end.

    Window n is a pure function of the part, B, T, the seed and n, so a run resumes anywhere.

    Of N symbols N - 1 can be predicted. Where those of an undivided text fill a window of B rows,
    an epoch is as many windows as they fill, the rows lying end to end. Each epoch puts them at
    another random place, so that all of the text is seen although the rows do not quite fill it,
    and windows begin at other places: up to T - 1 symbols may be left out at one end of the text,
    where the outermost rows are pushed back inside. All rows start cold (`restart`) in an epoch's
    first window, and later each with `reset_probability`, which teaches the network to begin.

    Where an undivided text does not fill a window of B rows, an epoch is one window: each row
    starts cold at a random place.

    Documents are shuffled in each epoch, and a share of them is read without its label. An epoch
    is as many windows as cover all documents: the rows begin at even distances, and the end of each
    overlaps the beginning of the next one by about a window at most.
    """

    def __init__(
        self,
        part: Part,
        *,
        batch_size: int,
        window: int,
        seed: int,
        reset_probability: float = 0.0,
        rows: slice = slice(None),
    ) -> None:
        """Cut a part of N symbols into `batch_size` rows and windows of at most `window` symbols.

        rows: those that windows have, where several processes read a part of the rows each.

        Raises TextError if there is nothing to predict, ConfigurationError for an option out of
        range.
        """
        if len(part) < 2:
            raise TextError(f"expected a text of at least 2 symbols, but it has {len(part)}")
        _check("batch size", batch_size, 1, 2**31)
        _check("window", window, 1, 2**31)
        _check("seed", seed, 0, 2**64)
        if not 0 <= reset_probability <= 1:
            raise ConfigurationError(
                f"reset probability: expected a number from 0 to 1, but it is {reset_probability}"
            )
        self.batch_size = batch_size
        """B, the rows."""
        predictions = len(part) - 1
        self.window = min(window, predictions)
        """T, the symbols of a window in each row: no more than the text can fill."""
        self._is_shuffled = part.boundary is not None
        filled = predictions // (batch_size * self.window)
        if self._is_shuffled:
            filled = -(-predictions // (batch_size * self.window))
        self.windows_per_epoch = max(1, filled)
        """How many windows make an epoch."""
        self._part = part
        self._seed = seed
        self._reset_probability = reset_probability
        self._rows = rows
        self._last_starts = -1, np.zeros(0, np.int64)
        self._last_shuffled = -1, part

    def window_at(self, step: int) -> Window:
        """Return window number `step`, counted from 0. Raises ConfigurationError if negative."""
        _check("step", step, 0, 2**63)
        epoch, number = divmod(step, self.windows_per_epoch)
        first = (self._row_starts(epoch) + number * self.window)[self._rows]  # (B,)
        restart = self._restart(step)[self._rows]
        last_first = len(self._part) - 1 - self.window
        restart |= first > last_first  # documents that one row does not quite fill
        first = first.clip(max=last_first)
        part = self._shuffled(epoch)
        symbols = part.rows(first, self.window + 1)
        inputs, targets = symbols[:, :-1].copy(), symbols[:, 1:].copy()
        return Window(inputs, targets, restart, part.row_labels(first, self.window))

    def _shuffled(self, epoch: int) -> Part:
        """Return the part with its documents in the order of an epoch; the last one is kept."""
        if not self._is_shuffled:
            return self._part
        known, part = self._last_shuffled
        if known != epoch:
            part = self._shuffle(epoch)
            self._last_shuffled = epoch, part
        return part

    def _shuffle(self, epoch: int) -> Part:
        order = draws.generator(self._seed, Purpose.SHUFFLE, epoch).permutation(self._part.segments)
        numbers = self._part.label_numbers
        if numbers is None:
            return self._part.select(order)
        random = draws.generator(self._seed, Purpose.UNLABELLED, epoch)
        unlabelled = random.random(len(numbers), np.float32) < UNLABELLED
        return self._part.select(order, np.where(unlabelled, np.uint32(0), numbers)[order])

    def _row_starts(self, epoch: int) -> NDArray[np.int64]:
        """Return where each row (B,) begins in an epoch; the last epoch's rows are kept."""
        known, starts = self._last_starts
        if known != epoch:
            starts = self._draw_row_starts(epoch)
            self._last_starts = epoch, starts
        return starts

    def _draw_row_starts(self, epoch: int) -> NDArray[np.int64]:
        row_length = self.windows_per_epoch * self.window
        last_start = len(self._part) - 1 - row_length
        if self._is_shuffled:
            return np.linspace(0, max(0, last_start), self.batch_size).astype(np.int64)
        random = draws.generator(self._seed, Purpose.STREAMS, epoch)
        slack = len(self._part) - 1 - self.batch_size * row_length
        if slack < 0:
            return random.integers(0, last_start, size=self.batch_size, endpoint=True)
        shift = random.integers(1 - self.window, slack + self.window)
        starts = np.arange(self.batch_size) * row_length + shift
        return starts.clip(0, last_start)

    def _restart(self, step: int) -> NDArray[np.bool_]:
        """Return which rows (B,) of a window start from the zero state."""
        if step % self.windows_per_epoch == 0:
            return np.ones(self.batch_size, np.bool_)
        if self._reset_probability == 0:
            return np.zeros(self.batch_size, np.bool_)
        random = draws.generator(self._seed, Purpose.RESTARTS, step)
        return random.random(self.batch_size) < self._reset_probability


def _check(name: str, value: int, least: int, limit: int) -> None:
    if not least <= value < limit:
        raise ConfigurationError(f"{name}: expected {least} or more, but it is {value}")
