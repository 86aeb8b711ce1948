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
from ricorda.text.id_file import RowReader
from ricorda.text.vocabulary import Ids


class Window(NamedTuple):
    """The symbols of one training step."""

    inputs: NDArray[np.uint32]  # (B, T)
    targets: NDArray[np.uint32]  # (B, T), the symbol after each input
    restart: NDArray[np.bool_]  # (B,), rows whose state must start from zero


class WindowStream:
    """B contiguous rows of a text, cut into windows of T symbols, without end.

    Window n is a pure function of the text, B, T, the seed and n, so a run resumes anywhere.

    Of N symbols N - 1 can be predicted. Where these fill a window of B rows, an epoch is as many
    windows as they fill, the rows lying end to end. Each epoch puts them at another random place,
    so that all of the text is seen although the rows do not quite fill it, and windows begin at
    other places: up to T - 1 symbols may be left out at one end of the text, where the outermost
    rows are pushed back inside. All rows start cold (`restart`) in an epoch's first window, and
    later each with `reset_probability`, which teaches the network to begin.

    Where the text does not fill a window of B rows, an epoch is one window: each row starts cold
    at a random place.
    """

    def __init__(
        self,
        ids: Ids,
        *,
        batch_size: int,
        window: int,
        seed: int,
        reset_probability: float = 0.0,
        rows: slice = slice(None),
    ) -> None:
        """Cut ids (N,) into `batch_size` rows and windows of at most `window` symbols.

        rows: those that windows have, where several processes read a part of the rows each.

        Raises TextError if there is nothing to predict, ConfigurationError for an option out of
        range.
        """
        if len(ids) < 2:
            raise TextError(f"expected a text of at least 2 symbols, but it has {len(ids)}")
        _check("batch size", batch_size, 1, 2**31)
        _check("window", window, 1, 2**31)
        _check("seed", seed, 0, 2**64)
        if not 0 <= reset_probability <= 1:
            raise ConfigurationError(
                f"reset probability: expected a number from 0 to 1, but it is {reset_probability}"
            )
        self.batch_size = batch_size
        """B, the rows."""
        self.window = min(window, len(ids) - 1)
        """T, the symbols of a window in each row: no more than the text can fill."""
        self.windows_per_epoch = max(1, (len(ids) - 1) // (batch_size * self.window))
        """How many windows make an epoch."""
        self._ids = np.asarray(ids)
        self._reader = RowReader(ids)
        self._seed = seed
        self._reset_probability = reset_probability
        self._rows = rows
        self._last_starts = -1, np.zeros(0, np.int64)

    def window_at(self, step: int) -> Window:
        """Return window number `step`, counted from 0. Raises ConfigurationError if negative."""
        _check("step", step, 0, 2**63)
        epoch, number = divmod(step, self.windows_per_epoch)
        first = (self._row_starts(epoch) + number * self.window)[self._rows]  # (B,)
        symbols = self._reader.rows(first, self.window + 1)
        restart = self._restart(step)[self._rows]
        inputs, targets = symbols[:, :-1].copy(), symbols[:, 1:].copy()
        return Window(inputs, targets, restart)

    def _row_starts(self, epoch: int) -> NDArray[np.int64]:
        """Return where each row (B,) begins in an epoch; the last epoch's rows are kept."""
        known, starts = self._last_starts
        if known != epoch:
            starts = self._draw_row_starts(epoch)
            self._last_starts = epoch, starts
        return starts

    def _draw_row_starts(self, epoch: int) -> NDArray[np.int64]:
        random = draws.generator(self._seed, Purpose.STREAMS, epoch)
        row_length = self.windows_per_epoch * self.window
        last_start = len(self._ids) - 1 - row_length
        slack = len(self._ids) - 1 - self.batch_size * row_length
        if slack < 0:
            return random.integers(0, last_start, size=self.batch_size, endpoint=True)
        shift = random.integers(1 - self.window, slack + self.window)
        starts: NDArray[np.int64] = np.arange(self.batch_size) * row_length + shift
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
