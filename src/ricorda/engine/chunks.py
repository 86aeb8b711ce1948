"""Reading long texts a bounded part at a time, with the state carried from part to part."""

from collections.abc import Iterable, Iterator
from itertools import repeat

import numpy as np

from ricorda.engine.backend import Array, Backend, Ids, ScoringBackend, State, Surprisals
from ricorda.model.cells import CELLS
from ricorda.model.configuration import ModelConfiguration

NUMBERS_AT_ONCE = 2**21  # the widest array of a chunk: 8 MB in float32, 16 in float64

PARTS = 16
"""Parts of a text that are read side by side."""

LONGEST_PART = 2**15
"""Symbols of each of them, at most."""

WARM_UP = 2048
"""Symbols before a part from which the state at its beginning is guessed."""

SHORTEST = 4
"""A part has this many times as many symbols at least, so that guesses take a fifth of the time."""

SAME = 1e-4
"""How far a guessed state may be from the one that the part before ends with, absolutely and
relatively. Rounding alone makes 1e-5 of it, and 1e-8 of the mean surprisal."""


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
    """Read one text, however it arrives, from a zero state, and score all symbols but the first.

    label: the number of the text's label. Yields blocks (1, t + 1), as `scored` does, with their
    surprisals, which are those of one state carried through the text, up to rounding. They depend
    on the text and the network alone.
    """
    reader = _TextReader(backend, alternatives, label)
    for block in overlapping(pieces, reader.at_once):
        yield block[np.newaxis], reader.read(block)


class _TextReader:
    """Reads one text in parts side by side, which takes less time than one after the other.

    A part needs the state that the part before it ends with. A network forgets, so what the last
    symbols before the part leave of a zero state is nearly that state. Where it was not, the part
    is read again, and later guesses begin twice as early.
    """

    def __init__(self, backend: ScoringBackend, alternatives: int, label: int) -> None:
        self.at_once = positions_at_once(backend.configuration)
        if backend.is_exact_in_batches:
            self.at_once = max(self.at_once, PARTS * LONGEST_PART)
        self._backend, self._alternatives, self._label = backend, alternatives, label
        self._state = backend.zero_state(1)
        self._warm_up = WARM_UP

    def read(self, block: Ids) -> Surprisals:
        """Go on with a block (t + 1,), whose first symbol is the last one of the block before."""
        length = len(block) - 1
        count = min(PARTS, length // (SHORTEST * self._warm_up))
        found = []
        begin = 0
        if count > 1 and self._backend.is_exact_in_batches:
            size = length // count
            begin = count * size
            found.append(self._side_by_side(block[: begin + 1], size))
        if begin < length:
            rest, self._state = self._score(block[np.newaxis, begin:], self._state)
            found.append(rest)
        return Surprisals._make(np.concatenate(each, axis=1) for each in zip(*found, strict=True))

    def _side_by_side(self, block: Ids, size: int) -> Surprisals:
        rows = np.lib.stride_tricks.sliding_window_view(block, size + 1)[::size]  # (P, size + 1)
        last = rows[:-1, size - self._warm_up :]  # and the first symbol of the next part
        _, guesses = self._score(last, self._backend.zero_state(len(last)))
        states = np.concatenate([self._state, guesses], axis=2)
        found, ends = self._score(rows, states)
        found = Surprisals._make(np.array(array) for array in found)
        wrong = 0
        for part in range(1, len(rows)):
            here = slice(part, part + 1)
            before = ends[:, :, part - 1 : part]
            if not np.allclose(states[:, :, here], before, rtol=SAME, atol=SAME):
                again, ends[:, :, here] = self._score(rows[here], before)
                for array, part_of_it in zip(found, again, strict=True):
                    array[here] = part_of_it
                wrong += 1
        if wrong:
            self._warm_up *= 2
        self._state = ends[:, :, -1:]
        shape = (1, len(block) - 1)
        return Surprisals._make(array.reshape(shape + array.shape[2:]) for array in found)

    def _score(self, rows: Ids, state: State) -> tuple[Surprisals, State]:
        """Read rows (B, t + 1) but for their last symbols, and score all but the first."""
        labels = np.full((len(rows), rows.shape[1] - 1), self._label) if self._label else None
        return self._backend.score(
            rows[:, :-1], rows[:, 1:], state, self._alternatives, labels=labels
        )


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
