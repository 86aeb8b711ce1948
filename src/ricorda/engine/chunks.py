"""Reading long texts a bounded part at a time, with the state carried from part to part."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import numpy as np

from ricorda.engine.backend import Array, Backend, Ids, ScoringBackend, State, Surprisals
from ricorda.model.cells import CELLS
from ricorda.model.configuration import ModelConfiguration

NUMBERS_AT_ONCE = 2**21  # the widest array of a chunk: 8 MB in float32, 16 in float64

PARTS = 16
"""Parts of a text that are scored side by side."""

LONGEST_PART = 2**15
"""Symbols of a part, at most."""

WARM_UP = 2048
"""Symbols read before a part to estimate its initial state."""

SHORTEST = 4
"""Shortest part, in warm-ups: warm-ups then take at most a fifth of the time."""

SAME = 1e-4
"""Absolute and relative tolerance between an estimated state and the final state of the part
before. Rounding alone gives differences of about 1e-5."""


def positions_at_once(configuration: ModelConfiguration) -> int:
    """Say how many symbols, streams times steps, may be read by one call of a backend."""
    width = max(configuration.vocabulary_size, configuration.gates * configuration.hidden_size)
    return max(1, NUMBERS_AT_ONCE // width)


def parts_of(ids: Ids, length: int) -> Iterator[Ids]:
    """Cut ids (T,), which may be a whole mapped file, into parts of at most `length`."""
    for begin in range(0, len(ids), length):
        yield ids[begin : begin + length]


def overlapping(pieces: Iterable[Ids], length: int) -> Iterator[Ids]:
    """Cut ids, however they arrive, into blocks that predict `length` symbols each.

    A block is `length` + 1 ids long, the last may be shorter; the last id of one is the first of
    the next, so that each id but the very first is predicted in exactly one block.
    """
    held: list[Ids] = []
    size = 0
    for piece in pieces:
        for part in parts_of(piece, length):
            held.append(part)
            size += len(part)
            if size > length:
                joined = np.concatenate(held)
                yield joined[: length + 1]
                held = [joined[length:]]
                size -= length
    if size > 1:
        yield np.concatenate(held)


def read(
    backend: Backend, ids: Ids, state: State | None = None, *, labels: Ids | None = None
) -> tuple[Array, State]:
    """Read ids (T,) from a state, by default zero: logits of what comes next (V,), the state.

    labels (T,): those of the ids. Without ids there are no logits.
    """
    state = backend.zero_state(1) if state is None else state
    logits = np.empty(0)
    for part, beside in _with_labels(ids, labels, positions_at_once(backend.configuration)):
        row = None if beside is None else beside[np.newaxis]
        outputs, state = backend.forward(part[np.newaxis], state, labels=row)
        logits = outputs[0, -1]
    return logits, state


def scored(backend: ScoringBackend, blocks: Iterable[Ids]) -> Iterator[tuple[Ids, Surprisals]]:
    """Read blocks of B texts, (B, t + 1), from a zero state and score the last t symbols of each.

    The first symbols of a block are the last ones of the block before. Yields each block with its
    surprisals.
    """
    state: State | None = None
    for block in blocks:
        state = backend.zero_state(len(block)) if state is None else state
        found, state = backend.score(block[:, :-1], block[:, 1:], state)
        yield block, found


def scored_text(
    backend: ScoringBackend, pieces: Iterable[Ids], alternatives: int = 0, label: int = 0
) -> Iterator[tuple[Ids, Surprisals]]:
    """Score all symbols of one text but the first, from a zero state.

    The text may come in pieces of any size. label: the number of its label. Yields blocks
    (1, t + 1), as `scored` does, with their surprisals. The state is carried through the text, at
    the beginning of a part of a long text within SAME. They depend on the text and the network
    alone.
    """
    reader = _TextReader(backend, alternatives, label)
    for block in overlapping(pieces, reader.at_once):
        yield block[np.newaxis], reader.read(block)


class _TextReader:
    """Scores a text in parts side by side, which takes less time than one after the other.

    Reading the symbols before a part from a zero state gives nearly the state that the part begins
    with, because a network forgets. If it does not, the rest of the text is read by one stream.
    """

    def __init__(self, backend: ScoringBackend, alternatives: int, label: int) -> None:
        self._backend, self._alternatives, self._label = backend, alternatives, label
        self._positions = positions_at_once(backend.configuration)
        self._parts = PARTS if backend.is_exact_in_batches else 1
        self.at_once = self._positions
        if self._parts > 1:
            self.at_once = max(self.at_once, PARTS * LONGEST_PART)
        self._state = backend.zero_state(1)

    def read(self, block: Ids) -> Surprisals:
        """Score the next block (t + 1,), whose first symbol is the last of the block before."""
        length = len(block) - 1
        count = min(self._parts, length // (SHORTEST * WARM_UP))
        found = []
        begin = 0
        if count > 1:
            size = length // count
            found.append(self._side_by_side(block[: count * size + 1], size))
            begin = found[0].nats.shape[1]
        if begin < length:
            rest, self._state = self._score(
                block[np.newaxis, begin:], self._state, self._alternatives
            )
            found.append(rest)
        return _joined(found)

    def _side_by_side(self, block: Ids, size: int) -> Surprisals:
        """Score parts of a size up to the first one whose initial state was not estimated well."""
        rows = np.lib.stride_tricks.sliding_window_view(block, size + 1)[::size]  # (P, size + 1)
        last = rows[:-1, size - WARM_UP :]  # and the first symbol of the next part
        _, estimated = self._score(last, self._backend.zero_state(len(last)), 0)
        found, ends = self._score(
            rows, np.concatenate([self._state, estimated], axis=2), self._alternatives
        )
        right = 1
        while right < len(rows) and np.allclose(
            estimated[:, :, right - 1], ends[:, :, right - 1], rtol=SAME, atol=SAME
        ):
            right += 1
        if right < len(rows):
            self._parts = 1
        self._state = ends[:, :, right - 1 : right]
        shape = (1, right * size)
        return Surprisals._make(each[:right].reshape(shape + each.shape[2:]) for each in found)

    def _score(self, rows: Ids, state: State, alternatives: int) -> tuple[Surprisals, State]:
        """Read rows (B, t + 1) but for their last symbols, and score all but the first.

        A signal is handled between two calls of the backend.
        """
        steps = max(1, self._positions // len(rows))
        found = []
        for begin in range(0, rows.shape[1] - 1, steps):
            part = rows[:, begin : begin + steps + 1]
            labels = np.full((len(part), part.shape[1] - 1), self._label) if self._label else None
            scored, state = self._backend.score(
                part[:, :-1], part[:, 1:], state, alternatives, labels=labels
            )
            found.append(scored)
        return _joined(found), state


def _joined(found: Sequence[Surprisals]) -> Surprisals:
    """Put the surprisals of consecutive symbols together."""
    if len(found) == 1:
        return found[0]
    return Surprisals._make(np.concatenate(each, axis=1) for each in zip(*found, strict=True))


def traced(backend: Backend, ids: Ids, *, labels: Ids | None = None) -> Iterator[dict[str, Array]]:
    """Read ids (T,) from a zero state and yield the activations of each part: arrays (t, L, H).

    labels (T,): those of the ids.
    """
    configuration = backend.configuration
    width = configuration.num_layers * len(CELLS[configuration.cell].traced)
    state = backend.zero_state(1)
    length = max(1, positions_at_once(configuration) // width)
    for part, beside in _with_labels(ids, labels, length):
        arrays, state = backend.trace(part, state, labels=beside)
        yield arrays


def _with_labels(ids: Ids, labels: Ids | None, length: int) -> Iterator[tuple[Ids, Ids | None]]:
    """Cut ids (T,) and their labels (T,) into parts of at most `length`."""
    parts = parts_of(ids, length)
    beside = repeat(None) if labels is None else parts_of(labels, length)
    return zip(parts, beside, strict=False)
