"""Report unusual things in a text: invisible characters, mixed line ends and Unicode forms.

Nothing is changed or refused: a soft hyphen or a zero-width joiner may be meant. A model learns it
like any other character, so the user should know.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.text.parts import Part
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

LARGEST = 1 << 28
"""Symbols of a text that are inspected."""

SHOWN = 8  # characters that are named
_BLOCK = 1 << 20
_ORDINARY = "\t\n\v\f\r"
_DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and a pattern without ink
_REPLACEMENT = "\ufffd"


def oddities(text: Part, vocabulary: Vocabulary) -> list[str]:
    """Describe, in one line each, what is unusual in a text; nothing for raw bytes.

    Reported are invisible characters, text direction controls, replacement characters, mixed line
    ends and mixed Unicode forms. The ids are scanned only if the vocabulary has such characters.
    """
    if not isinstance(vocabulary, CharacterVocabulary):
        return []
    inspected = _Inspected(text, vocabulary)
    found = [check(inspected) for check in _CHECKS]
    return [line for line in found if line]


@dataclass
class _Inspected:
    """A text whose characters are counted on first use."""

    text: Part
    vocabulary: CharacterVocabulary

    @property
    def symbols(self) -> str:
        return self.vocabulary.symbols

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        size = self.vocabulary.size
        return sum(
            (np.bincount(block, minlength=size) for _, block in self.blocks()),
            np.zeros(size, np.int64),
        )

    def count(self, character: str) -> int:
        return int(self.counts[self.symbols.index(character)])

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """Yield blocks of the text's ids with the id before each, -1 before the first."""
        last = np.array([-1], np.int64)
        for begin in range(0, min(len(self.text), LARGEST), _BLOCK):
            block = self.text.read(begin, begin + _BLOCK).astype(np.int64)
            yield np.concatenate([last, block[:-1]]), block
            last = block[-1:]


def _invisible(text: _Inspected) -> str:
    return _listed("invisible characters", filter(_is_invisible, text.symbols), text)


def _direction(text: _Inspected) -> str:
    return _listed("invisible controls of text direction", _DIRECTION, text)


def _replaced(text: _Inspected) -> str:
    line = _listed("characters lost in an earlier conversion", _REPLACEMENT, text)
    return f"{line}: it was decoded wrongly once" if line else ""


def _line_ends(text: _Inspected) -> str:
    if not {"\r", "\n"} <= set(text.symbols):
        return ""
    carriage_return, line_feed = (text.symbols.index(each) for each in "\r\n")
    both = sum(
        int(np.count_nonzero((before == carriage_return) & (block == line_feed)))
        for before, block in text.blocks()
    )
    kinds = {
        "CR LF": both,
        "LF alone": text.count("\n") - both,
        "CR alone": text.count("\r") - both,
    }
    there = [f"{count:,} {name}" for name, count in kinds.items() if count]
    if len(there) < 2:
        return ""
    return f"the text has mixed line ends, which are kept: {', '.join(there)}"


def _unicode_forms(text: _Inspected) -> str:
    symbols, vocabulary = text.symbols, text.vocabulary
    composed, marks = np.zeros((2, vocabulary.size), np.bool_)  # no boundary is either
    composed[: len(symbols)] = [_is_composed(each) for each in symbols]
    marks[: len(symbols)] = [unicodedata.category(each)[0] == "M" for each in symbols]
    if not (composed.any() and marks.any()):
        return ""
    one = two = 0
    for before, block in text.blocks():
        one += int(np.count_nonzero(composed[block]))
        places = np.flatnonzero(marks[block] & (before >= 0))
        pairs = before[places] * vocabulary.size + block[places]
        for pair, count in zip(*np.unique(pairs, return_counts=True), strict=True):
            first, second = divmod(int(pair), vocabulary.size)
            if len(unicodedata.normalize("NFC", symbols[first] + symbols[second])) == 1:
                two += int(count)
    if not (one and two):
        return ""
    return (
        f"the text mixes two Unicode forms: {one:,} composed characters (NFC) and {two:,} written "
        "with a combining mark (NFD), which are different symbols; make them one with "
        "`uconv -x any-nfc` or the like"
    )


_CHECKS: tuple[Callable[[_Inspected], str], ...] = (
    _invisible,
    _direction,
    _replaced,
    _line_ends,
    _unicode_forms,
)


def _is_invisible(character: str) -> bool:
    if character in _ORDINARY or character in _DIRECTION:
        return False
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") or (
        character in _BLANK_LETTERS
    )


def _is_composed(character: str) -> bool:
    return (
        unicodedata.normalize("NFD", character) != character
        and unicodedata.normalize("NFC", character) == character
    )


def _listed(what: str, characters: Iterable[str], text: _Inspected) -> str:
    """Name characters with their counts, the most frequent first; empty if there is none."""
    found = {each: text.count(each) for each in characters if each in text.symbols}
    ranked = sorted(((count, each) for each, count in found.items() if count), reverse=True)
    if not ranked:
        return ""
    shown = ", ".join(f"{_name(each)} {_times(count)}" for count, each in ranked[:SHOWN])
    more = f" and {len(ranked) - SHOWN} more" if len(ranked) > SHOWN else ""
    return f"the text has {what}: {shown}{more}"


def _name(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}{f' ({name.lower()})' if name else ''}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
