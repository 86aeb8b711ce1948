"""Report unusual things in a text: invisible characters, a validation part of another kind.

Nothing is changed or refused: a soft hyphen or a zero-width joiner may be meant. A model learns it
like any other character, so the user should know.
"""

import math
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
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
    found = [check(text, vocabulary) for check in _CHECKS]
    return [line for line in found if line]


def _invisible(text: Part, vocabulary: CharacterVocabulary) -> str:
    symbols = [each for each in vocabulary.symbols if _is_invisible(each)]
    return _listed("invisible characters", symbols, text, vocabulary)


def _direction(text: Part, vocabulary: CharacterVocabulary) -> str:
    symbols = [each for each in vocabulary.symbols if each in _DIRECTION]
    return _listed("invisible controls of text direction", symbols, text, vocabulary)


def _replaced(text: Part, vocabulary: CharacterVocabulary) -> str:
    line = _listed("characters lost in an earlier conversion", [*_REPLACEMENT], text, vocabulary)
    return f"{line}: it was decoded wrongly once" if line else ""


def _line_ends(text: Part, vocabulary: CharacterVocabulary) -> str:
    if not {"\r", "\n"} <= set(vocabulary.symbols):
        return ""
    carriage_return, line_feed = (vocabulary.symbols.index(each) for each in "\r\n")
    both = 0
    counts = np.zeros(vocabulary.size, np.int64)
    for before, block in _blocks(text):
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


def _unicode_forms(text: Part, vocabulary: CharacterVocabulary) -> str:
    symbols = vocabulary.symbols
    composed, marks = np.zeros((2, vocabulary.size), np.bool_)  # no boundary is either
    composed[: len(symbols)] = [_is_composed(each) for each in symbols]
    marks[: len(symbols)] = [unicodedata.category(each)[0] == "M" for each in symbols]
    if not (composed.any() and marks.any()):
        return ""
    one = two = 0
    for before, block in _blocks(text):
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


_CHECKS: tuple[Callable[[Part, CharacterVocabulary], str], ...] = (
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


def _listed(what: str, symbols: list[str], text: Part, vocabulary: CharacterVocabulary) -> str:
    """Name characters with their counts, the most frequent first; empty if there is none."""
    known = [each for each in symbols if each in vocabulary.symbols]
    if not known:
        return ""
    counts = np.zeros(vocabulary.size, np.int64)
    for _, block in _blocks(text):
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


def _blocks(text: Part) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Yield blocks of a text's ids with the id before each, -1 before the first."""
    last = np.array([-1], np.int64)
    for begin in range(0, min(len(text), LARGEST), _BLOCK):
        block = text.read(begin, begin + _BLOCK).astype(np.int64)
        yield np.concatenate([last, block[:-1]]), block
        last = block[-1:]


LARGEST_SHARE = 0.2
"""The lost share of the gain from which the parts differ."""

LEAST_BITS = 0.1
"""Bits per symbol, beyond the loss expected by chance, from which the parts differ."""

CHANCES = 20
"""How often symbols are drawn to estimate the loss expected by chance."""

_MOST_COUNTED = 4_000_000  # symbols of each part
_BLOCK = 1 << 16

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """What a symbol of the validation part costs on average, in bits."""

    cross: float
    """By the frequencies of the training part."""

    own: float
    """By those of the validation part itself."""

    even: float
    """If all symbols of the text were equally likely."""

    def as_json(self) -> dict[str, float]:
        """Give the figures by name."""
        return asdict(self)


def part_difference(training: Part, validation: Part) -> Difference | None:
    """Compare the frequencies of symbols; None if the parts are of one kind.

    Of a long part only blocks spread over it are counted.
    """
    seen, evaluated = _counts(training), _counts(validation)
    size = max(len(seen), len(evaluated))
    seen, evaluated = (np.pad(each, (0, size - len(each))) for each in (seen, evaluated))
    occurring = (seen + evaluated) > 0
    seen, evaluated = seen[occurring], evaluated[occurring]
    difference = _compare(seen, evaluated)
    lost = difference.cross - difference.own
    gain = difference.even - difference.own
    least = max(LEAST_BITS + _by_chance(seen, evaluated), LARGEST_SHARE * gain)
    return difference if lost >= least else None


def _compare(seen: Counts, evaluated: Counts) -> Difference:
    """Compare counts (V,) of both parts."""
    share = evaluated / evaluated.sum()
    smoothed = (seen + 1) / (seen.sum() + len(seen))  # so that no symbol is impossible
    found = share[share > 0]
    # The entropy of few symbols comes out too small (Miller, 1955).
    missing = (len(found) - 1) / (2 * evaluated.sum() * math.log(2))
    return Difference(
        cross=float(-(share * np.log2(smoothed)).sum()),
        own=float(-(found * np.log2(found)).sum() + missing),
        even=math.log2(len(seen)),
    )


def _by_chance(seen: Counts, evaluated: Counts) -> float:
    """The bits that as many symbols lose if they are drawn from both parts together."""
    both = seen + evaluated
    drawn = np.random.default_rng(0).multinomial(evaluated.sum(), both / both.sum(), CHANCES)
    found = [_compare(seen, each) for each in drawn]
    return max(each.cross - each.own for each in found)


ADVICE = {
    "end": "The text may be sorted: its last part is held back. Hold back blocks spread over it "
    "with --split blocks, or name another text with --validation",
    "blocks": "The text may be of several kinds: shuffle its lines or files, or name another text "
    "with --validation",
    "documents": "The documents may be of several kinds: hold back blocks spread over the text "
    "with --split blocks, or name another text with --validation",
}
"""What to do about a validation part of another kind, by how it was held back."""


def describe_difference(difference: Difference, how: str | None) -> str:
    """Say that the parts differ and what to do.

    `how`: how the validation part was held back, None for a text of its own.
    """
    figures = (
        f"its characters cost {difference.cross:.2f} bits by the frequencies of the training "
        f"part, {difference.own:.2f} by its own"
    )
    if difference.cross > difference.even:
        figures += f", {difference.even:.2f} if all were equally likely"
    if how is not None:
        return f"the validation part differs from the training part: {figures}. {ADVICE[how]}"
    return (
        f"the validation text differs from the training text: {figures}. The validation loss says "
        "little about the training text: name a text of the same kind with --validation"
    )


def _counts(part: Part) -> Counts:
    """How often each symbol occurs, in blocks spread evenly over a long part."""
    return np.bincount(np.concatenate([*part.blocks(_BLOCK, _MOST_COUNTED)]))
