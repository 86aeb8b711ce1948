"""Vocabularies whose symbols may be several characters long.

A text is cut into words by a pattern, and each word is encoded by itself, so that symbols never
cross from one word into the next. Every character is a symbol too: what no longer symbol fits is
spelled, and the text of the ids is exactly the text that was encoded.
"""

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricorda.arguments import checked
from ricorda.errors import VocabularyError
from ricorda.text.vocabulary import (
    RARE_TEXT,
    WITH_RARE,
    CharacterVocabulary,
    Ids,
    OnUnknown,
    Vocabulary,
    id_type,
    readable,
    unknown_symbols_error,
)

MOST_CACHED = 1 << 18
"""Words whose ids are kept at a time."""

LONGEST_HELD = 4096
"""Characters among which the end of a text's last whole word is searched."""

# A word has a space at its beginning alone, unless it is all spaces, and line ends at its end.
_BREAK = re.compile(r"(?<=\S)(?= )|(?<=\n)(?=[^\n])")


class TokenVocabulary(Vocabulary):
    """Characters in ascending order, then longer symbols: their ids, in this order."""

    optional_keys = WITH_RARE

    pattern: ClassVar[re.Pattern[str]]
    """Cuts a text into words; each character is in exactly one.

    A word may begin at each place that `settled` looks for.
    """

    def __init__(
        self,
        symbols: str,
        tokens: Sequence[str],
        start: str,
        *,
        has_rare: bool = False,
        has_boundary: bool = False,
        labels: Sequence[str] = (),
    ) -> None:
        """Number the characters `symbols`, then `tokens`; `start` is one of the characters.

        With `has_rare`, one more symbol stands for every other character. Raises VocabularyError
        unless the tokens are longer, made of these characters, and differ.
        """
        self.characters = CharacterVocabulary(symbols, start, has_rare=has_rare)
        """The characters alone, numbered alike but for the rare symbol."""
        self._check_tokens(tokens)
        self.first = start
        self.start = self.characters.start
        self.size = len(symbols) + len(tokens)
        self._add_rare(has_rare)
        self._divide(has_boundary, labels)
        self.texts: tuple[str, ...] = (
            *symbols,
            *tokens,
            *([RARE_TEXT] if has_rare else []),
            *([""] if has_boundary else []),
        )
        """The text of each symbol, by id."""
        self._widths = np.array([len(text) for text in self.texts], np.int64)  # (V,)
        self._bytes = np.array([len(text.encode()) for text in self.texts], np.int64)  # (V,)
        self.widest = int(self._widths.max())
        self._words = _Words(self)

    @abstractmethod
    def encode_word(self, word: str) -> Sequence[int]:
        """Return the ids of a word of known characters, as `pattern` cuts them."""

    def spelled(self, word: str) -> list[int]:
        """Return the ids of a word's characters."""
        ids: list[int] = self.characters.encode(word).tolist()
        rare = self.rare
        if rare is None:
            return ids
        return [rare if each == self.characters.rare else each for each in ids]

    @classmethod
    def words_of(cls, text: str) -> list[str]:
        """Cut a text into words, which together are the text."""
        return cls.pattern.findall(text)

    def settled(self, text: str) -> int:
        """Return where the text may be cut so that its parts have the ids of the whole.

        It is 0 where no word is known to be complete, and the end of a text of that kind which is
        too long to wait for one.
        """
        tail = max(0, len(text) - LONGEST_HELD)
        places = [found.start() for found in _BREAK.finditer(text, tail)]
        if places:
            return places[-1]
        return len(text) if tail else 0

    @checked
    def encode(self, text: str, on_unknown: OnUnknown = "error") -> Ids:
        """Return the ids (T,) of a text; characters without an id are an error or left out.

        A character that is left out ends the word before it.
        """
        places = self.unknown_places(text)
        if len(places) and on_unknown == "error":
            raise unknown_symbols_error(self.unknown(text), len(places))
        parts = _without(text, places.tolist())
        words = chain.from_iterable(map(self.words_of, parts))
        ids = chain.from_iterable(map(self._words.__getitem__, words))
        return np.fromiter(ids, id_type(self.size))

    @checked
    def unknown_places(self, text: str) -> NDArray[np.int64]:
        """Return where the characters of a text stand that have no id, (n,), in ascending order."""
        return self.characters.unknown_places(text)

    @checked
    def unwritable_places(self, text: str) -> NDArray[np.int64]:
        """Return where the characters of a text stand that cannot be written, (n,), ascending."""
        return self.characters.unwritable_places(text)

    def decode(self, ids: ArrayLike) -> str:
        """Return the text of ids (T,). Raises VocabularyError if one is not below `size`."""
        texts = self.texts
        return "".join([texts[each] for each in self._checked(ids).reshape(-1).tolist()])

    def label(self, id: int) -> str:
        r"""Return a symbol as a person may read it: ` the`, but `\n` and `\u200b` spelled out."""
        return self._special_label(id) or "".join(map(readable, self.decode([id])))

    def count(self, ids: ArrayLike) -> tuple[int, int]:
        """Return how many (characters, UTF-8 bytes) ids (T,) stand for."""
        array = self._checked(ids).reshape(-1)
        return int(self._widths.take(array).sum()), int(self._bytes.take(array).sum())

    def widths(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return how many characters each of ids (T,) has."""
        return self._widths.take(self._checked(ids))

    def _check_tokens(self, tokens: Sequence[str]) -> None:
        if any(len(each) < 2 for each in tokens):
            raise VocabularyError("expected symbols of two characters or more after the characters")
        if len(set(tokens)) < len(tokens):
            raise VocabularyError("expected symbols that differ, but two are the same")
        if missing := self.characters.unwritable("".join(tokens)):
            raise VocabularyError(
                f"expected symbols of the vocabulary's characters, but one has {missing[0]!r}"
            )

    def _described(self, key: str, value: list[Any]) -> dict[str, Any]:
        described = {"kind": self.kind, "symbols": self.characters.symbols, "start": self.first}
        return described | {key: value} | self._division_json()


class _Words(dict[str, Sequence[int]]):
    """The ids of words, found once."""

    def __init__(self, vocabulary: TokenVocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary

    def __missing__(self, word: str) -> Sequence[int]:
        if len(self) >= MOST_CACHED:
            self.clear()
        ids = self[word] = tuple(self._vocabulary.encode_word(word))
        return ids


def _without(text: str, places: Iterable[int]) -> Iterator[str]:
    """Yield what stands between the characters at some places."""
    done = 0
    for place in places:
        yield text[done:place]
        done = place + 1
    yield text[done:]
