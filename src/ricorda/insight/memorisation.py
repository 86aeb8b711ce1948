"""The longest stretch that a text has word for word from another, which may exceed memory.

The written text is small and lies in memory; the training text is read once, in chunks that overlap
by the written text's length. Rolling hashes (Karp & Rabin, 1987) of all windows of L symbols
show whether a chunk holds a stretch of L symbols of the written text. Texts that share a stretch
share all of its parts, so the longest is found by bisection, and one search dismisses most chunks:
for a stretch one symbol longer than the best so far. A hit is
compared symbol by symbol before it counts.

Where the texts are documents, a code that is no character stands between two of them, and no
stretch goes on from one into the next.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.errors import ConfigurationError, TextError
from ricorda.text.vocabulary import code_points

if TYPE_CHECKING:
    from ricorda.engine import Model
    from ricorda.text.parts import Part
    from ricorda.text.vocabulary import Vocabulary

LENGTHS = (10, 20, 40, 80)
CHUNK = 2**20  # symbols of the training text looked at together

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, and so has an inverse modulo 2**64
_TABLE_BITS = 22
_WRITTEN_END, _TRAINING_END = 2**32 - 1, 2**32 - 2  # of documents; different, so they never match

Characters: TypeAlias = str | bytes
Written: TypeAlias = Characters | Sequence[Characters]
"""A text, or the documents that it consists of."""
Hashes: TypeAlias = NDArray[np.uint64]
Codes: TypeAlias = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch that two texts share; positions and length in characters, or bytes of bytes.

    Of documents, positions count through all of them, one after the other.
    """

    length: int
    position: int
    """Where it begins in the written text."""

    training_position: int
    """Where it begins in the training text, the first such place found."""

    text: str
    """The stretch itself; bytes that are no UTF-8 as U+FFFD."""


@dataclass(frozen=True, eq=False)
class Shared:
    """What a written text shares with a training text."""

    characters: int
    """The written text's length."""

    training_characters: int

    longest: Stretch

    shares: dict[int, float | None]
    """By length, the share of the written text's stretches of so many characters that the training
    text holds somewhere; None where the written text is shorter."""

    chance: float
    """How long the longest would be if both texts were letters drawn at random, as frequent as they
    are (Arratia, Gordon & Waterman, 1986). Language repeats itself much more than that: compare
    with what a text shares that the model never saw."""


def written_by(model: "Model", length: int, **options: Any) -> tuple[Written, int]:
    """Let a model write a text of `length` symbols, or documents of about so many together.

    Returns what `shared_stretches` compares, bytes of a model of bytes, and the seed. `options` are
    those of `Model.begin`.
    """
    in_bytes, boundary = model.vocabulary.kind == "bytes", model.vocabulary.boundary
    if boundary is None:
        generation = model.begin("", length=length, **options)
        pieces = list(generation)
        if in_bytes:
            return b"".join(bytes(piece.ids) for piece in pieces), generation.seed
        return "".join(piece.text for piece in pieces)[:length], generation.seed
    texts = model.begin_many([""], count=None, length=length, **options)
    documents: list[Characters] = []
    for written in texts:
        document: Characters = written.text
        if in_bytes:
            document = bytes(each for each in written.ids if each != boundary)  # which is no byte
        length -= len(document) + 1  # and the end
        if document:
            documents.append(document)
        if length <= 0:
            break
    return documents, texts.seed


def characters_of(vocabulary: "Vocabulary", part: "Part") -> Iterator[Characters]:
    """Yield the documents of a part, or the pieces of an undivided text; bytes of bytes."""
    blocks = part.blocks(CHUNK) if part.boundary is None else part.documents()
    for ids in blocks:
        if vocabulary.kind == "bytes":
            yield ids.astype(np.uint8).tobytes()
        else:
            yield vocabulary.decode(ids)


def first_characters(pieces: Iterable[Characters], length: int) -> list[Characters]:
    """Return the first pieces that have `length` characters together, the last one cut off."""
    found: list[Characters] = []
    for piece in pieces:
        found.append(piece[:length])
        length -= len(found[-1])
        if length == 0:
            break
    return found


@checked
def shared_stretches(
    written: Sequence[Written],
    training: Iterable[Characters],
    lengths: Sequence[int] = LENGTHS,
    *,
    documents: bool = False,
) -> list[Shared]:
    """Return what each written text shares with one training text, which is read once.

    All are characters, or all are bytes; the training text comes in pieces. With `documents`, each
    piece is a document, and stretches lie within one. To know what is usual,
    give besides a model's text one of the same length that it never saw. Raises TextError for an
    empty text, ConfigurationError for a length below 1.
    """
    if any(length < 1 for length in lengths):
        raise ConfigurationError(f"lengths must be at least 1, got {list(lengths)}")
    if any(not any(text) for text in map(_documents, written)):
        raise TextError("expected a written text of at least one character, got none")
    searches = [_Search(text, lengths) for text in written]
    overlap = max((len(search.codes) for search in searches), default=1) - 1
    for begin, codes, new in _chunks(training, overlap, documents):
        chunk = _Chunk(begin, codes)
        for search in searches:
            search.look_at(chunk, new)
    if any(search.training_count == 0 for search in searches):
        raise TextError("expected a training text of at least one character, got none")
    return [search.result() for search in searches]


@checked
def chance_length(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Expect the longest stretch that two texts of independent symbols share.

    `first` and `second` count how often each symbol occurs. With p the probability that two symbols
    drawn from them agree and n * m pairs of places it is log(n m (1 - p)) / log(1 / p) + 0.577 /
    log(1 / p) - 1/2, as of the longest run of heads. Infinite where all symbols are the same.
    """
    total = float(first.sum()), float(second.sum())
    agree = float((first / total[0]) @ (second / total[1]))
    if agree == 0:
        return 0.0
    if agree >= 1:
        return math.inf
    pairs = total[0] * total[1] * (1 - agree)
    return max(0.0, (math.log(max(pairs, 1)) + np.euler_gamma) / -math.log(agree) - 0.5)


def _documents(written: Written) -> Sequence[Characters]:
    return [written] if isinstance(written, str | bytes) else written


def _joined(parts: Sequence[Characters]) -> Codes:
    """The codes of a written text, with a code between its documents."""
    end = np.array([_WRITTEN_END], np.uint32)
    separated = [codes for part in parts for codes in (end, _codes(part))]
    return np.concatenate(separated[1:])


def _characters_among(codes: Codes) -> int:
    """How many of some codes are characters, not ends of documents."""
    return int(np.count_nonzero(codes < _TRAINING_END))


def _codes(text: Characters) -> Codes:
    if isinstance(text, str):
        return code_points(text)
    return np.frombuffer(text, np.uint8).astype(np.uint32)


def _chunks(
    pieces: Iterable[Characters], overlap: int, documents: bool
) -> Iterator[tuple[int, Codes, int]]:
    """Cut a text into chunks: the characters before each, its codes, and how many are new."""
    held: list[Codes] = []
    size = begin = old = 0
    least = CHUNK + overlap
    for piece in pieces:
        for part in _parts(piece, documents):
            held.append(part)
            size += len(part)
            if size >= least:
                codes = np.concatenate(held)
                yield begin, codes, size - old
                begin += _characters_among(codes[: size - overlap])
                held = [codes[size - overlap :]]
                old = size = overlap
    if size > old:
        yield begin, np.concatenate(held), size - old


def _parts(piece: Characters, documents: bool) -> Iterator[Codes]:
    """The codes of a piece, a bounded part at a time; of a document, with its end."""
    for first in range(0, len(piece), CHUNK):
        yield _codes(piece[first : first + CHUNK])
    if documents:
        yield np.array([_TRAINING_END], np.uint32)


def _mixed(codes: Codes) -> Hashes:
    """Spread codes over 64 bits (the finaliser of SplitMix64; Steele et al., 2014)."""
    mixed = (codes.astype(np.uint64) + np.uint64(1)) * _BASE
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _powers(base: int, count: int) -> Hashes:
    """base ** 0, 1, 2 ... modulo 2**64, (count,)."""
    factors = np.full(count, base, np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


class _Chunk:
    """A part of a text and the hashes of its windows.

    With m the mixed codes and b the base, prefix[i] is the sum of m[j] * b**j before i, and the
    hash of the window of L symbols at i is (prefix[i + L] - prefix[i]) / b**i, all modulo 2**64.
    """

    def __init__(self, begin: int, codes: Codes) -> None:
        self.begin = begin
        self.codes = codes
        terms = _mixed(codes) * _powers(int(_BASE), len(codes))
        self._prefix = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
        self._unshift = _powers(pow(int(_BASE), -1, 2**64), len(codes))

    def windows(self, length: int) -> Hashes:
        """The hashes of all windows of a length, in order."""
        count = max(0, len(self.codes) - length + 1)
        found: Hashes = self._prefix[length : length + count] - self._prefix[:count]
        found *= self._unshift[:count]
        return found


class _Windows:
    """The windows of one length of the written text, to be found among others."""

    def __init__(self, written: _Chunk, length: int) -> None:
        self.length = length
        self.hashes, self.places = np.unique(written.windows(length), return_index=True)
        self._table = np.zeros(2**_TABLE_BITS, np.bool_)
        self._table[self._slots(self.hashes)] = True

    def _slots(self, hashes: Hashes) -> NDArray[np.intp]:
        """The upper bits, which depend on every symbol."""
        return (hashes >> np.uint64(64 - _TABLE_BITS)).astype(np.intp)

    def among(self, hashes: Hashes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Find known hashes among others: their places there, and their numbers here."""
        likely = np.flatnonzero(self._table[self._slots(hashes)])
        numbers = np.searchsorted(self.hashes, hashes[likely])
        numbers = np.minimum(numbers, len(self.hashes) - 1)
        same = self.hashes[numbers] == hashes[likely]
        return likely[same], numbers[same]


class _Search:
    """What is known of one written text while the training text is read."""

    def __init__(self, written: Written, lengths: Sequence[int]) -> None:
        parts = _documents(written)
        self.codes = _joined(parts)
        self.training_count = 0
        self._is_bytes = isinstance(parts[0], bytes)
        self._written = _Chunk(0, self.codes)
        self._best = (0, 0, 0)  # length, place, place in the training text
        self._text = ""
        self._windows: dict[int, _Windows] = {}
        usable = [length for length in lengths if length <= max(map(len, parts))]
        self._counted = {length: _Windows(self._written, length) for length in usable}
        self._seen = {
            length: np.zeros(len(windows.hashes), np.bool_)
            for length, windows in self._counted.items()
        }
        self._lengths = lengths
        self._symbol_counts: Counter[int] = Counter()

    def look_at(self, chunk: _Chunk, new: int) -> None:
        """Take account of a chunk, of which the last `new` symbols were not in one before."""
        fresh = chunk.codes[len(chunk.codes) - new :]
        self.training_count += _characters_among(fresh)
        self._count_symbols(fresh)
        for length in self._counted:
            self._count_stretches(chunk, length)
        self._lengthen(chunk)

    def _count_stretches(self, chunk: _Chunk, length: int) -> None:
        """Note which stretches of a length a chunk has; each is compared once, when first met."""
        windows, seen = self._counted[length], self._seen[length]
        places, numbers = windows.among(chunk.windows(length))
        unseen = ~seen[numbers]
        fresh, first = np.unique(numbers[unseen], return_index=True)
        for number, place in zip(fresh.tolist(), places[unseen][first].tolist(), strict=True):
            own = int(windows.places[number])
            found = chunk.codes[place : place + length]
            seen[number] = np.array_equal(found, self.codes[own : own + length])

    def _lengthen(self, chunk: _Chunk) -> None:
        """Find the longest shared stretch of a chunk if it is longer than the best so far."""
        longest = min(len(self.codes), len(chunk.codes))
        known, step = self._best[0], 1
        while known + step <= longest and self._take(chunk, known + step):
            known, step = self._best[0], 2 * step
        missing = min(known + step, longest + 1)
        while missing - self._best[0] > 1:
            middle = (self._best[0] + missing) // 2
            if not self._take(chunk, middle):
                missing = middle

    def _take(self, chunk: _Chunk, length: int) -> bool:
        """Look for a shared stretch of a length, and keep it, as long as it continues."""
        if length not in self._windows:
            self._windows = {length: _Windows(self._written, length)}
        windows = self._windows[length]
        for place, number in zip(*windows.among(chunk.windows(length)), strict=True):
            own = int(windows.places[number])
            found = chunk.codes[place : place + length]
            if np.array_equal(found, self.codes[own : own + length]):
                more = _common_prefix(chunk.codes[place + length :], self.codes[own + length :])
                before = _characters_among(self.codes[:own])
                training_before = chunk.begin + _characters_among(chunk.codes[:place])
                self._best = (length + more, before, training_before)
                self._text = self._decoded(self.codes[own : own + length + more])
                return True
        return False

    def _count_symbols(self, codes: Codes) -> None:
        self._symbol_counts.update(_counted(codes))

    def result(self) -> Shared:
        length, position, training_position = self._best
        return Shared(
            characters=_characters_among(self.codes),
            training_characters=self.training_count,
            longest=Stretch(length, position, training_position, self._text),
            shares={length: self._share(length) for length in self._lengths},
            chance=self._chance(),
        )

    def _share(self, length: int) -> float | None:
        if length not in self._counted:
            return None
        ends = np.concatenate([[0], np.cumsum(self.codes == _WRITTEN_END)])
        within = ends[length:] == ends[: len(ends) - length]  # one document
        every = self._written.windows(length)[within]
        numbers = np.searchsorted(self._counted[length].hashes, every)
        return float(self._seen[length][numbers].mean())

    def _chance(self) -> float:
        own, every = _counted(self.codes), self._symbol_counts
        alphabet = sorted(own | every)
        return chance_length(
            np.array([own[symbol] for symbol in alphabet]),
            np.array([every[symbol] for symbol in alphabet]),
        )

    def _decoded(self, codes: Codes) -> str:
        if self._is_bytes:
            return codes.astype(np.uint8).tobytes().decode("utf-8", "replace")
        return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _counted(codes: Codes) -> Counter[int]:
    """Count each symbol except document ends."""
    symbols, counts = np.unique(codes[codes < _TRAINING_END], return_counts=True)
    return Counter(dict(zip(symbols.tolist(), counts.tolist(), strict=True)))


def _common_prefix(first: Codes, second: Codes) -> int:
    """How many symbols two texts begin with that are the same."""
    size = min(len(first), len(second))
    different = np.flatnonzero(first[:size] != second[:size])
    return int(different[0]) if len(different) else size
