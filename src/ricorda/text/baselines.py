"""Simple methods for comparison with a network.

All are fitted to the training part of a text and evaluated on the validation part, in bits per
character:

    uniform     every symbol of the text equally likely
    frequencies each symbol as likely as it is frequent
    five_grams  the last four symbols predict the next, with shorter contexts where they are rare
                (interpolated Witten-Bell smoothing; Witten and Bell, 1991)
    xz          bytes that the compressor adds for the validation part: xz(both) - xz(training)

Time and memory are bounded: of a long text, the last symbols of the training part and the first
symbols of the validation part are used. The result states how many.
"""

import lzma
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.text.parts import Part
from ricorda.text.vocabulary import Ids, Vocabulary

ORDER = 5
MOST_COUNTED = 4_000_000  # symbols of the training part
MOST_EVALUATED = 200_000  # symbols of the validation part
XZ_PRESET = 6

Keys = NDArray[np.int64]


@dataclass(frozen=True)
class Baselines:
    """Bits per character of simple methods on the validation part of a text."""

    uniform: float
    frequencies: float
    five_grams: float
    xz: float

    counted: int
    """Training symbols that the last three methods have seen."""

    evaluated: int
    """Validation symbols."""

    def as_json(self) -> dict[str, Any]:
        """The figures by name."""
        return asdict(self)


def baselines(
    training: Part, validation: Part, vocabulary: Vocabulary, *, most_counted: int = MOST_COUNTED
) -> Baselines:
    """Evaluate the simple methods on the parts of a text, both at least 2 symbols long.

    most_counted: how many of the training symbols, the last ones, are counted.
    """
    seen = training.read(len(training) - most_counted, len(training))
    evaluated = validation.read(0, MOST_EVALUATED)
    characters, _ = vocabulary.count(evaluated)
    per_character = len(evaluated) / max(1, characters)  # 1 for characters of an undivided text
    return Baselines(
        uniform=math.log2(max(1, vocabulary.size)) * per_character,
        frequencies=_frequencies(seen, evaluated, vocabulary.size) * per_character,
        five_grams=witten_bell(seen, evaluated, vocabulary.size, ORDER) * per_character,
        xz=_xz(seen, evaluated, vocabulary) / max(1, characters),
        counted=len(seen),
        evaluated=len(evaluated),
    )


def _frequencies(seen: Ids, evaluated: Ids, size: int) -> float:
    """Mean bits of a symbol by its count, one more for each so that none is impossible."""
    counts = np.bincount(seen, minlength=size) + 1.0
    return float(-np.log2(counts[evaluated] / counts.sum()).mean())


def witten_bell(seen: Ids, evaluated: Ids, size: int, order: int) -> float:
    """Return the mean bits of evaluated symbols (M,) after counting n-grams of seen ones (N,).

    With c(h s) occurrences of a symbol s after a history h, n(h) of all and d(h) different ones,

        p(s | h) = (c(h s) + d(h) p(s | shorter h)) / (n(h) + d(h))

    and the shortest is uniform. Early evaluated symbols have histories that begin in the seen ones.
    """
    reach = order - 1
    text = np.concatenate([seen[len(seen) - min(reach, len(seen)) :], evaluated]).astype(np.int64)
    begin = len(text) - len(evaluated)
    probability = np.full(len(evaluated), 1.0 / size)
    numbering = _Numbering(seen.astype(np.int64), text, size)
    for length in range(order):  # of the history
        if length > 0 and not numbering.extend(length):
            break
        histories, evaluated_histories = numbering.histories(length)
        counts = _Counts(histories, seen[length:].astype(np.int64), size, numbering.different)
        first = max(0, length - begin)  # symbols without so long a history stay unchanged
        wanted = evaluated_histories[begin + first - length : len(text) - length]
        symbols = text[begin + first :]
        of_pair, of_history, different = counts.look_up(wanted, symbols)
        known = of_history > 0
        smoothed = (of_pair + different * probability[first:]) / np.where(
            known, of_history + different, 1
        )
        probability[first:] = np.where(known, smoothed, probability[first:])
    return float(-np.log2(probability).mean())


class _Numbering:
    """Histories as numbers: those of one length are numbered by the one shorter and a symbol."""

    def __init__(self, seen: Keys, evaluated: Keys, size: int) -> None:
        self._seen, self._evaluated, self._size = seen, evaluated, size
        self._of_seen = np.zeros(len(seen) + 1, np.int64)  # of the history from each place on
        self._of_evaluated = np.zeros(len(evaluated) + 1, np.int64)

    def extend(self, length: int) -> bool:
        """Let the histories be one symbol longer; False if the seen text is too short."""
        if len(self._seen) <= length:
            return False
        # that of length L from place t on is the one of length L - 1 from t on, and one symbol more
        keys = self._of_seen[: len(self._seen) - length + 1] * self._size + self._seen[length - 1 :]
        numbers, self._of_seen = np.unique(keys, return_inverse=True)
        wanted = self._of_evaluated[: max(0, len(self._evaluated) - length + 1)]
        known = wanted >= 0
        wanted = np.where(known, wanted * self._size + self._evaluated[length - 1 :], -1)
        index = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
        self._of_evaluated = np.where(known & (numbers[index] == wanted), index, -1)
        return True

    @property
    def different(self) -> int:
        """How many histories of this length the seen text has."""
        return int(self._of_seen.max()) + 1

    def histories(self, length: int) -> tuple[Keys, Keys]:
        """The numbers of the histories from each place on: of the seen text, of the evaluated."""
        return self._of_seen[: len(self._seen) - length], self._of_evaluated


class _Counts:
    """How often each symbol follows each history."""

    def __init__(self, histories: Keys, symbols: Keys, size: int, number: int) -> None:
        self._size = size
        self._pairs, self._of_pair = np.unique(histories * size + symbols, return_counts=True)
        owners = self._pairs // size
        self._of_history = np.bincount(histories, minlength=number)
        self._different = np.bincount(owners, minlength=number)

    def look_up(
        self, histories: Keys, symbols: Keys
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """For each pair: its count, its history's, and the history's different symbols."""
        known = histories >= 0
        safe = np.where(known, histories, 0)
        wanted = safe * self._size + symbols
        index = np.minimum(np.searchsorted(self._pairs, wanted), len(self._pairs) - 1)
        found = known & (self._pairs[index] == wanted)
        return (
            np.where(found, self._of_pair[index], 0).astype(np.float64),
            np.where(known, self._of_history[safe], 0).astype(np.float64),
            np.where(known, self._different[safe], 0).astype(np.float64),
        )


def _xz(seen: Ids, evaluated: Ids, vocabulary: Vocabulary) -> float:
    """Bits that xz adds for the evaluated symbols, which it reads after the seen ones."""
    before = _as_bytes(seen, vocabulary)
    after = before + _as_bytes(evaluated, vocabulary)
    added = len(lzma.compress(after, preset=XZ_PRESET)) - len(
        lzma.compress(before, preset=XZ_PRESET)
    )
    return 8.0 * max(0, added)


def _as_bytes(ids: Ids, vocabulary: Vocabulary) -> bytes:
    """The bytes that a file of these symbols has, with a line end for each boundary."""
    if vocabulary.boundary is None:
        return _of_text(ids, vocabulary)
    borders = np.flatnonzero(ids == vocabulary.boundary)
    pieces = np.split(ids, borders)
    without = [piece[piece != vocabulary.boundary] for piece in pieces]
    return b"\n".join(_of_text(piece, vocabulary) for piece in without)


def _of_text(ids: Ids, vocabulary: Vocabulary) -> bytes:
    if vocabulary.kind == "bytes":
        return ids.astype(np.uint8).tobytes()
    return vocabulary.decode(ids).encode("utf-8", "surrogatepass")
