"""Pieces of words, learned by byte-pair encoding on characters (Sennrich et al., 2016).

Learning begins with the characters and joins, again and again, the two neighbours within a word
that are most frequent in the text, until there are as many pieces as wanted. Encoding joins in a
word the pair that was learned first, the leftmost of several, as long as there is one.
"""

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from ricorda.arguments import checked
from ricorda.errors import TextError, VocabularyError
from ricorda.text.tokens import TokenVocabulary
from ricorda.text.vocabulary import CharacterVocabulary

Pair = tuple[int, int]

FEWEST = 2
"""How often a pair must occur to be joined."""

MOST_WORDS = 1 << 18
"""Different words that are learned from, the most frequent ones."""

_NO_ID = -1
_PATTERN = re.compile(
    r" ?[^\W\d_]{1,32}"  # letters, with the space before them
    r"| ?\d{1,8}"
    r"| ?(?:[^\w\s]|_){1,8}\n{0,8}"  # punctuation, with the line ends after it
    r"|\n{1,8}"
    r"| {1,16}(?= )"  # an indentation, without the space that belongs to the next word
    r"|\s"
)


class PieceVocabulary(TokenVocabulary):
    """Characters, and pieces made by joining two earlier symbols each."""

    kind = "pieces"
    keys = frozenset({"kind", "symbols", "merges", "start"})
    pattern = _PATTERN

    def __init__(self, symbols: str, merges: Sequence[Pair], start: str, **options: Any) -> None:
        """Number the characters, then what the pairs of ids `merges` make, in their order.

        A pair whose text is a symbol already adds none. The options are those of TokenVocabulary.
        Raises VocabularyError for a pair of ids that do not come before it.
        """
        tokens, joined = _joined(symbols, merges)
        super().__init__(symbols, tokens, start, **options)
        self.merges = tuple(joined)
        """The pairs in the order in which they were learned."""
        self._ranks = {pair: rank for rank, pair in enumerate(joined)}
        self._results = joined

    def encode_word(self, word: str) -> Sequence[int]:
        """Join the characters of a word, the pair learned first before the others."""
        ids = self.spelled(word)
        last = len(self._ranks)
        while len(ids) > 1:
            ranks = [self._ranks.get(pair, last) for pair in pairwise(ids)]
            first = min(ranks)
            if first == last:
                break
            index = ranks.index(first)
            ids[index : index + 2] = [self._results[ids[index], ids[index + 1]]]
        return ids

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` needs to build the same vocabulary."""
        return self._described("merges", [list(pair) for pair in self.merges])

    @classmethod
    def from_description(cls, description: dict[str, Any], **options: Any) -> "PieceVocabulary":
        """Build the vocabulary that `to_json` described. Raises VocabularyError if it is none."""
        merges = description["merges"]
        if not isinstance(merges, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(type(each) is int for each in pair)
            for pair in merges
        ):
            raise VocabularyError("expected a list of pairs of ids as the merges of a vocabulary")
        pairs = [(first, second) for first, second in merges]
        return cls(description["symbols"], pairs, description["start"], **options)


def _joined(symbols: str, merges: Sequence[Pair]) -> tuple[list[str], dict[Pair, int]]:
    """Return the texts that pairs make, without those that are known, and each pair's id."""
    if not isinstance(symbols, str):
        raise VocabularyError("expected the characters of a vocabulary as one string")
    texts = list(symbols)
    numbers = {text: number for number, text in enumerate(texts)}
    joined: dict[Pair, int] = {}
    for pair in merges:
        if not all(0 <= each < len(texts) for each in pair) or pair in joined:
            raise VocabularyError(
                f"expected merges of two earlier symbols, each pair once, but one is {list(pair)}"
            )
        text = texts[pair[0]] + texts[pair[1]]
        joined[pair] = numbers.setdefault(text, len(texts))
        if joined[pair] == len(texts):
            texts.append(text)
    return texts[len(symbols) :], joined


@checked
def learn_pieces(
    texts: Iterable[str], size: int, characters: CharacterVocabulary
) -> PieceVocabulary:
    """Learn `size` symbols from texts: the characters, and the most frequent pieces of words.

    There are fewer where the texts have no more pairs that occur twice. The characters' rare
    symbol, boundary and labels stay, and are not counted. Raises TextError for a size that leaves
    no pieces.
    """
    known = len(characters.symbols)
    if size <= known:
        raise TextError(
            f"--vocabulary pieces:{size}: expected more pieces than the {known:,} characters of "
            f"the text, which are pieces too: give pieces:{2 * known}, for example"
        )
    words: Counter[str] = Counter()
    for text in texts:
        words.update(PieceVocabulary.words_of(text))
    merges = _Learner(words, characters).merges(size)
    return PieceVocabulary(
        characters.symbols,
        merges,
        characters.first,
        has_rare=characters.rare is not None,
        has_boundary=characters.boundary is not None,
        labels=characters.labels,
    )


class _Learner:
    """The words of a text as ids, and how often each pair of neighbours occurs in them."""

    def __init__(self, words: Counter[str], characters: CharacterVocabulary) -> None:
        numbers = {symbol: number for number, symbol in enumerate(characters.symbols)}
        self._texts = list(characters.symbols)
        self._numbers = numbers
        frequent = words.most_common(MOST_WORDS)
        self._words = [[numbers.get(each, _NO_ID) for each in word] for word, _ in frequent]
        self._times = [times for _, times in frequent]
        self._counts: Counter[Pair] = Counter()
        self._where: defaultdict[Pair, set[int]] = defaultdict(set)
        for number in range(len(self._words)):
            self._count(number, self._words[number], 1)
        self._heap = [(-count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._heap)

    def merges(self, size: int) -> list[Pair]:
        """Join the most frequent pair, of equals that of lower ids, until there are enough."""
        merges: list[Pair] = []
        while len(self._texts) < size and self._heap:
            count, pair = heapq.heappop(self._heap)
            if -count != self._counts[pair]:
                continue  # it has been counted again since
            if -count < FEWEST:
                break
            merges.append(pair)
            self._join(pair)
        return merges

    def _join(self, pair: Pair) -> None:
        text = self._texts[pair[0]] + self._texts[pair[1]]
        new = self._numbers.setdefault(text, len(self._texts))
        if new == len(self._texts):
            self._texts.append(text)
        changed: set[Pair] = set()
        for number in self._where.pop(pair):
            before = self._words[number]
            after = _replaced(before, pair, new)
            changed |= self._count(number, before, -1) | self._count(number, after, 1)
            self._words[number] = after
        for each in changed:
            if self._counts[each] > 0:
                heapq.heappush(self._heap, (-self._counts[each], each))

    def _count(self, number: int, word: list[int], sign: int) -> set[Pair]:
        """Add (1) or take away (-1) the pairs of a word; return them."""
        found = set()
        for pair in pairwise(word):
            if _NO_ID not in pair:
                self._counts[pair] += sign * self._times[number]
                found.add(pair)
                if sign > 0:
                    self._where[pair].add(number)
        return found


def _replaced(word: list[int], pair: Pair, new: int) -> list[int]:
    """Return a word with each occurrence of a pair joined, from the left."""
    joined: list[int] = []
    index = 0
    while index < len(word):
        if tuple(word[index : index + 2]) == pair:
            joined.append(new)
            index += 2
        else:
            joined.append(word[index])
            index += 1
    return joined
