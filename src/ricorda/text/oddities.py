"""Count invisible oddities of a text from its ids.

Nothing is changed or refused: a soft hyphen or a zero-width joiner may be meant. A model learns it
like any other character, so the user should know.
"""

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.text.vocabulary import CharacterVocabulary, Ids, Vocabulary

LARGEST = 1 << 28
"""Symbols of a text that are inspected."""

SHOWN = 8  # characters that are named
_BLOCK = 1 << 20
_ORDINARY = "\t\n\v\f\r"
_DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and a pattern without ink
_REPLACEMENT = "\ufffd"


def oddities(ids: Ids, vocabulary: Vocabulary) -> list[str]:
    """Describe, in one line each, what is odd in a text's ids (N,); nothing for raw bytes.

    Reported are invisible characters, text direction controls, replacement characters, mixed line
    ends and mixed Unicode forms. The ids are scanned only if the vocabulary has such characters.
    """
    if not isinstance(vocabulary, CharacterVocabulary):
        return []
    found = [check(ids[:LARGEST], vocabulary) for check in _CHECKS]
    return [line for line in found if line]


def _invisible(ids: Ids, vocabulary: CharacterVocabulary) -> str:
    symbols = [each for each in vocabulary.symbols if _is_invisible(each)]
    return _listed("invisible characters", symbols, ids, vocabulary)


def _direction(ids: Ids, vocabulary: CharacterVocabulary) -> str:
    symbols = [each for each in vocabulary.symbols if each in _DIRECTION]
    return _listed("invisible controls of text direction", symbols, ids, vocabulary)


def _replaced(ids: Ids, vocabulary: CharacterVocabulary) -> str:
    line = _listed("characters lost before", [*_REPLACEMENT], ids, vocabulary)
    return f"{line}: it was decoded wrongly once" if line else ""


def _line_ends(ids: Ids, vocabulary: CharacterVocabulary) -> str:
    if not {"\r", "\n"} <= set(vocabulary.symbols):
        return ""
    carriage_return, line_feed = (vocabulary.symbols.index(each) for each in "\r\n")
    both = 0
    counts = np.zeros(vocabulary.size, np.int64)
    for before, block in _blocks(ids):
        counts += np.bincount(block, minlength=vocabulary.size)
        both += int(np.count_nonzero((before == carriage_return) & (block == line_feed)))
    kinds = {
        "CR LF": both,
        "LF alone": int(counts[line_feed]) - both,
        "CR alone": int(counts[carriage_return]) - both,
    }
    there = [f"{count:,} {name}" for name, count in kinds.items() if count]
    if len(there) < 2:
        return ""
    return f"the text has mixed line ends, which are kept: {', '.join(there)}"


def _unicode_forms(ids: Ids, vocabulary: CharacterVocabulary) -> str:
    symbols = vocabulary.symbols
    composed = np.array([_is_composed(each) for each in symbols])
    marks = np.array([unicodedata.category(each)[0] == "M" for each in symbols])
    if not (composed.any() and marks.any()):
        return ""
    one = two = 0
    for before, block in _blocks(ids):
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


_CHECKS: tuple[Callable[[Ids, CharacterVocabulary], str], ...] = (
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


def _listed(what: str, symbols: list[str], ids: Ids, vocabulary: CharacterVocabulary) -> str:
    """Name characters with their counts, the most frequent first; empty if there is none."""
    known = [each for each in symbols if each in vocabulary.symbols]
    if not known:
        return ""
    counts = np.zeros(vocabulary.size, np.int64)
    for _, block in _blocks(ids):
        counts += np.bincount(block, minlength=vocabulary.size)
    found = {each: int(counts[vocabulary.symbols.index(each)]) for each in known}
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


def _blocks(ids: Ids) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Yield blocks of ids with the id before each, -1 before the first."""
    last = np.array([-1], np.int64)
    for begin in range(0, len(ids), _BLOCK):
        block = ids[begin : begin + _BLOCK].astype(np.int64)
        yield np.concatenate([last, block[:-1]]), block
        last = block[-1:]
