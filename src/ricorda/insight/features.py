"""What a unit might track: features of every place of a text, in any language.

The label of a place holds after its symbol was read: it is inside quotes from the opening quote
on, and outside after the closing one. Features are of characters; in a vocabulary of bytes each
byte has those of its character, and two more. A boundary between documents ends line, sentence and
paragraph, and what is open; it is no character of any kind itself.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.engine.backend import Ids
from ricorda.insight import spans
from ricorda.insight.spans import Span
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import Vocabulary, code_points

Column: TypeAlias = NDArray[np.float32]
"""One feature at every place, (T,)."""

SMALLEST_SCRIPT = 0.005  # share of a text's letters from which a script is a feature
FARTHEST = 10_000  # where distances stop to count
BOUNDARY = "\ud800"  # stands for it in a text, in which no such lone surrogate occurs

VOWELS = frozenset("aeiouy" + "αεηιουω" + "аеёиоуыэюяіїєѵ" + "ıæœøə")
"""Vowels without their accents, in the alphabets that write them as letters."""

ALPHABETS = ("LATIN", "GREEK", "CYRILLIC")
"""Where a letter that is no vowel is a consonant."""


@dataclass(frozen=True)
class Feature:
    """One thing that a unit might track."""

    key: str
    """Its name for programs: `inside_quotes`, `script:greek`."""

    description: str
    """What it is, in a few words of English."""

    is_binary: bool
    """Whether it is yes or no at each place; otherwise a number."""


BINARY = {
    "inside_straight_quotes": 'inside "…"',
    "inside_curly_quotes": "inside “…”",
    "inside_guillemets": "inside «…»",
    "inside_corner_quotes": "inside 「…」",
    "inside_single_quotes": "inside '…'",
    "inside_quotes": "inside any quotes",
    "inside_parentheses": "inside (…)",
    "inside_square_brackets": "inside […]",
    "inside_curly_brackets": "inside {…}",
    "inside_tags": "inside <…>",
    "inside_brackets": "inside any brackets",
    "word_beginning": "first letter of a word",
    "word_inside": "letter of a word, not the first",
    "vowel": "vowel",
    "consonant": "consonant",
    "uppercase": "uppercase letter",
    "lowercase": "lowercase letter",
    "capitalised_word": "in a capitalized word",
    "uppercase_word": "in an uppercase word",
    "letter": "letter",
    "digit": "digit",
    "punctuation": "punctuation",
    "sign": "sign such as + or €",
    "space": "space or tab",
    "line_end": "line end",
    "indentation": "spaces at the beginning of a line",
    "continuation_byte": "continuation byte of a character",
    "long_character": "in a character of several bytes",
}

NUMERIC = {
    "bracket_depth": "number of open brackets",
    "position_in_word": "letters since the beginning of the word",
    "since_line_end": "characters since the last line end",
    "share_of_line": "position in the line, from 0 to 1",
    "words_in_line": "words since the last line end",
    "since_sentence_end": "characters since . ! or ?",
    "since_empty_line": "lines since the last empty line",
    "line_indentation": "indentation of the line",
}

_BRACKETS = {
    "inside_parentheses": ("()", "（）"),
    "inside_square_brackets": ("[]", "【】"),
    "inside_curly_brackets": ("{}",),
}


@checked
def describe(vocabulary: Vocabulary, ids: Ids) -> dict[Feature, Column]:
    """Return every feature that occurs in a text, ids (T,), at every place: columns (T,).

    Features that never change in this text are left out, and of two that are the same everywhere
    the more general one.
    """
    return _distinct(every_column(vocabulary, ids))


def every_column(vocabulary: Vocabulary, ids: Ids) -> dict[str, Column]:
    """Return every feature at every place of a text, ids (T,), by key: columns (T,)."""
    text, places = _characters(vocabulary, ids)
    columns = {**_spans(text), **_classes(text), **_words(text), **_lines(text)}
    spread = {key: column[places] for key, column in columns.items()}
    if isinstance(vocabulary, ByteVocabulary):
        spread |= _bytes(ids, places)
    return spread


def _characters(vocabulary: Vocabulary, ids: Ids) -> tuple[str, NDArray[np.int64]]:
    """Decode ids (T,): their characters, and by symbol the number of its last character, (T,).

    A boundary is one character, its label.
    """
    parts = [ids]
    if vocabulary.boundary is not None:
        begins = np.flatnonzero(ids == vocabulary.boundary)
        parts = np.split(ids, np.sort(np.concatenate([begins, begins + 1])))
        parts = [part for part in parts if len(part)]
    text = "".join(_decoded(vocabulary, part) for part in parts)
    if not isinstance(vocabulary, ByteVocabulary):
        widths = np.where(ids == vocabulary.boundary, 1, vocabulary.widths(ids))
        return text, np.maximum(np.cumsum(widths) - 1, 0)
    codes = code_points(text)
    lone = (codes >= 0xD800) & (codes < 0xE000)
    sizes = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    return text, np.repeat(np.arange(len(text)), np.where(lone, 1, sizes))


def _decoded(vocabulary: Vocabulary, ids: Ids) -> str:
    """Decode symbols that are either one boundary or have none."""
    if vocabulary.boundary is not None and ids[0] == vocabulary.boundary:
        return BOUNDARY
    if not isinstance(vocabulary, ByteVocabulary):
        return vocabulary.decode(ids)
    # What is no UTF-8 becomes one lone surrogate a byte.
    return ids.astype(np.uint8).tobytes().decode("utf-8", "surrogateescape")


def _spans(text: str) -> dict[str, Column]:
    """Quotes and brackets."""
    quotes = {
        "inside_straight_quotes": _depth(text, spans.straight_quotes),
        "inside_curly_quotes": _depth(text, spans.curly_quotes),
        "inside_guillemets": _depth(text, spans.guillemets),
        "inside_corner_quotes": _depth(text, spans.corner_quotes),
        "inside_single_quotes": _depth(text, spans.single_quotes),
    }
    bracketed = {
        key: np.stack([_depth(text, partial(spans.brackets, pair=pair)) for pair in pairs]).sum(
            axis=0
        )
        for key, pairs in _BRACKETS.items()
    }
    bracketed["inside_tags"] = _depth(text, spans.tags)
    depth: Column = np.stack(list(bracketed.values())).sum(axis=0)
    columns = {
        **quotes,
        "inside_quotes": np.stack(list(quotes.values())).sum(axis=0),
        **bracketed,
        "inside_brackets": depth,
    }
    inside = {key: np.minimum(column, 1) for key, column in columns.items()}
    return {**inside, "bracket_depth": depth}


def _depth(text: str, find: Callable[[str], Iterable[Span]]) -> Column:
    """In how many spans each place lies, (T,); none continues in another document."""
    changes = np.zeros(len(text) + 1, np.int32)
    begin = 0
    for document in text.split(BOUNDARY):
        for span in find(document):
            changes[begin + span.begin] += 1
            changes[begin + span.end] -= 1
        begin += len(document) + 1
    return np.cumsum(changes[:-1]).astype(np.float32)


def _by_character(text: str, holds: Callable[[str], object]) -> NDArray[np.bool_]:
    """Where a text has characters of a kind, (T,); asked once for each that occurs."""
    distinct, numbers = np.unique(code_points(text), return_inverse=True)
    return np.array([bool(holds(chr(code))) for code in distinct.tolist()], np.bool_)[numbers]


def _classes(text: str) -> dict[str, Column]:
    """What kind of character each one is."""
    kinds: dict[str, Callable[[str], object]] = {
        "vowel": is_vowel,
        "consonant": lambda each: script_of(each) in ALPHABETS and not is_vowel(each),
        "uppercase": str.isupper,
        "lowercase": str.islower,
        "letter": str.isalpha,
        "digit": lambda each: unicodedata.category(each).startswith("N"),
        "punctuation": lambda each: unicodedata.category(each).startswith("P"),
        "sign": lambda each: unicodedata.category(each).startswith("S"),
        "space": lambda each: each.isspace() and each != "\n",
        "line_end": "\n".__eq__,
    }
    columns = {key: _by_character(text, holds).astype(np.float32) for key, holds in kinds.items()}
    for name in _common_scripts(text):
        is_script = _by_character(text, lambda each: script_of(each) == name)  # noqa: B023
        columns[f"script:{name.lower()}"] = is_script.astype(np.float32)
    return columns


def script_of(character: str) -> str | None:
    """Name a letter's script by the first word of its Unicode name; None if it is no letter."""
    if not character.isalpha():
        return None
    return unicodedata.name(character, "UNKNOWN").split()[0].split("-")[0]


def is_vowel(character: str) -> bool:
    """Whether a letter, without its accents, is one of VOWELS."""
    return unicodedata.normalize("NFD", character)[0].lower() in VOWELS


def _common_scripts(text: str) -> list[str]:
    """The scripts that a text has enough letters of, the most frequent first."""
    letters: Counter[str] = Counter()
    for character, count in sorted(Counter(text).items()):
        script = script_of(character)
        if script is not None:
            letters[script] += count
    least = SMALLEST_SCRIPT * letters.total()
    return [script for script, count in letters.most_common() if count >= least]


def _words(text: str) -> dict[str, Column]:
    """Where in a word each letter stands, and the word's case.

    A word is a run of letters, marks and digits, with single apostrophes between letters.
    """
    letter, upper, cased = (
        _by_character(text, holds)
        for holds in (
            str.isalpha,
            str.isupper,
            lambda each: each.isupper() or each.islower() or each.istitle(),
        )
    )
    inside = _by_character(
        text, lambda each: each.isalnum() or unicodedata.category(each).startswith("M")
    )
    apostrophe = _by_character(text, "'’".__contains__)
    inside[1:-1] |= apostrophe[1:-1] & letter[:-2] & letter[2:]
    begins = inside & ~np.concatenate([[False], inside[:-1]])
    place = np.arange(len(text))
    begin = np.maximum.accumulate(np.where(begins, place, 0))
    word = np.cumsum(begins) * inside  # numbers from 1; 0 between words
    position = (place - begin + 1) * inside
    lengths, cases, capitals = (
        np.bincount(word, weights=each) for each in (inside, cased, upper & cased)
    )
    capital_words = (lengths > 1) & (cases > 0) & (cases == capitals)
    return {
        "word_beginning": (position == 1).astype(np.float32),
        "word_inside": (position > 1).astype(np.float32),
        "position_in_word": position.astype(np.float32),
        "capitalised_word": (inside & upper[begin]).astype(np.float32),
        "uppercase_word": (inside & capital_words[word]).astype(np.float32),
    }


def _lines(text: str) -> dict[str, Column]:
    """Where in its line, sentence and paragraph each place is."""
    codes = code_points(text)
    boundary = codes == ord(BOUNDARY)
    line_end = (codes == ord("\n")) | boundary
    since = _since(line_end)
    lengths = _line_lengths(line_end)
    spaces = np.isin(codes, [ord(" "), ord("\t")])
    began = _leading_spaces(spaces, line_end)
    words = np.cumsum(_word_starts(text))
    words_before = _last(words, line_end)
    empty = boundary | (line_end & np.concatenate([[True], line_end[:-1]]))
    lines = np.cumsum(line_end)
    sentence_end = np.isin(codes, [ord(sign) for sign in ".!?。！？" + BOUNDARY])
    in_beginning = spaces & (since.astype(np.int64) <= began) & (since > 0)
    return {
        "since_line_end": since,
        "share_of_line": np.where(line_end, 1.0, since / np.maximum(lengths, 1)).astype(np.float32),
        "words_in_line": (words - words_before).astype(np.float32),
        "since_sentence_end": _since(sentence_end),
        "since_empty_line": np.minimum(lines - _last(lines, empty), FARTHEST).astype(np.float32),
        "line_indentation": np.where(line_end, 0, began).astype(np.float32),
        "indentation": in_beginning.astype(np.float32),
    }


def _since(marks: NDArray[np.bool_]) -> Column:
    """How many places ago the last mark was, (T,), as though one stood before the text."""
    places = np.arange(len(marks))
    last = np.maximum.accumulate(np.where(marks, places, -1))
    return np.minimum(places - last, FARTHEST).astype(np.float32)


def _last(values: NDArray[np.int64], marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The value at the last mark, (T,); 0 before the first. Values never fall."""
    found: NDArray[np.int64] = np.maximum.accumulate(np.where(marks, values, 0))
    return found


def _line_lengths(line_end: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How long the line is that each place is part of, its end included, (T,)."""
    number = np.concatenate([[0], np.cumsum(line_end)[:-1]])
    found: NDArray[np.int64] = np.bincount(number)[number]
    return found


def _leading_spaces(spaces: NDArray[np.bool_], line_end: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many spaces began the line that each place is part of, as far as read, (T,)."""
    other = ~spaces & ~line_end
    number = np.concatenate([[0], np.cumsum(line_end)[:-1]])
    others = np.cumsum(other)
    before = np.concatenate([[0], others[line_end]])[number]  # others at the last line end
    leading = spaces & (others == before)
    count = np.cumsum(leading)
    at_start = np.concatenate([[0], count[line_end]])[number]
    found: NDArray[np.int64] = count - at_start
    return found


def _word_starts(text: str) -> NDArray[np.int64]:
    """1 where a run of anything but space and boundaries begins, (T,)."""
    space = _by_character(text, lambda each: each.isspace() or each == BOUNDARY)
    starts: NDArray[np.bool_] = ~space & np.concatenate([[True], space[:-1]])
    return starts.astype(np.int64)


def _bytes(ids: Ids, places: NDArray[np.int64]) -> dict[str, Column]:
    """What only bytes have."""
    sizes = np.bincount(places)[places]
    goes_on = np.concatenate([[False], places[1:] == places[:-1]])
    return {
        "continuation_byte": goes_on.astype(np.float32),
        "long_character": (sizes > 1).astype(np.float32),
    }


def _distinct(columns: dict[str, Column]) -> dict[Feature, Column]:
    """Leave out features that never change, and those that equal an earlier one."""
    order = [*BINARY, *NUMERIC]
    keys = sorted(columns, key=lambda key: order.index(key) if key in order else len(BINARY))
    kept: dict[Feature, Column] = {}
    seen: set[bytes] = set()
    for key in keys:
        column = columns[key]
        digest = column.tobytes()
        opposite = (1 - column).tobytes() if key not in NUMERIC else b""
        if (column == column[:1]).all() or digest in seen or opposite in seen:
            continue
        seen.add(digest)
        kept[feature_of(key)] = column
    return kept


def feature_of(key: str) -> Feature:
    """Describe a feature by its key."""
    if key.startswith("script:"):
        return Feature(key, f"{key.removeprefix('script:').capitalize()} letter", True)
    if key in BINARY:
        return Feature(key, BINARY[key], True)
    return Feature(key, NUMERIC[key], False)
