"""Words as symbols; spaces, punctuation and the letters of other words are symbols too."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ricorda.arguments import checked
from ricorda.errors import VocabularyError
from ricorda.text.tokens import TokenVocabulary
from ricorda.text.vocabulary import CharacterVocabulary

FEWEST = 2
"""How often a word must occur to be a symbol."""

MOST = 20_000
"""Words that become symbols, the most frequent ones."""

LONGEST = 64
"""Characters of a word."""


class WordVocabulary(TokenVocabulary):
    """Characters, and whole words: runs of letters and digits."""

    kind = "words"
    keys = frozenset({"kind", "symbols", "words", "start"})
    pattern = re.compile(rf"\w{{1,{LONGEST}}}|\W")

    def __init__(self, symbols: str, words: Sequence[str], start: str, **options: Any) -> None:
        """Number the characters, then the words. The options are those of TokenVocabulary."""
        super().__init__(symbols, words, start, **options)
        self.words = tuple(words)
        """The words, by id after the characters."""
        self._numbers = {word: len(symbols) + number for number, word in enumerate(words)}

    def encode_word(self, word: str) -> Sequence[int]:
        """Return the id of a word, or spell it."""
        number = self._numbers.get(word)
        return self.spelled(word) if number is None else [number]

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` needs to build the same vocabulary."""
        return self._described("words", list(self.words))

    @classmethod
    def from_description(cls, description: dict[str, Any], **options: Any) -> "WordVocabulary":
        """Build the vocabulary that `to_json` described. Raises VocabularyError if it is none."""
        words = description["words"]
        if not isinstance(words, list) or not all(isinstance(each, str) for each in words):
            raise VocabularyError("expected a list of words in a vocabulary")
        return cls(description["symbols"], words, description["start"], **options)


@checked
def learn_words(
    texts: Iterable[str], characters: CharacterVocabulary, min_count: int = FEWEST
) -> WordVocabulary:
    """Collect the words of texts that occur at least `min_count` times, the most frequent first.

    The characters' rare symbol, boundary and labels stay.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(each for each in WordVocabulary.words_of(text) if len(each) > 1)
    frequent = sorted(
        (word for word, count in counts.items() if count >= max(FEWEST, min_count)),
        key=lambda word: (-counts[word], word),
    )
    words = [word for word in frequent if not characters.unwritable(word)][:MOST]
    return WordVocabulary(
        characters.symbols,
        words,
        characters.first,
        has_rare=characters.rare is not None,
        has_boundary=characters.boundary is not None,
        labels=characters.labels,
    )
