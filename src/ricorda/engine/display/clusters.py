"""Which symbols make up what a reader takes for one character.

A letter and its combining marks, the bytes of a letter, the parts of an emoji: each is several
symbols to a model and one thing to the eye. A symbol of several characters is not divided.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ricorda.arguments import checked
from ricorda.engine.backend import Ids
from ricorda.pages import is_invisible
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import BOUNDARY_LABEL, Vocabulary

LONGEST = 32  # symbols; a text may pile marks on a letter without end

_JOINERS = "\u200c\u200d"
_ZERO_WIDTH_JOINER = "\u200d"
_NUMBER_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2\U000110bd\U000110cd"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One character to the eye: the symbols from `begin` until `end`."""

    text: str
    begin: int
    end: int
    spelled_out: bool = False
    r"""Whether text is not the character but its name, as `\x1b`: nobody could see it."""


@checked
def clusters(ids: Ids, vocabulary: Vocabulary) -> Iterator[Cluster]:
    """Cut a text, ids (n,), into what a reader takes for characters, after UAX 29 in essence."""
    held: Cluster | None = None
    for character in _characters(ids, vocabulary):
        if held is not None and _belongs(character, held):
            held = Cluster(held.text + character.text, held.begin, character.end)
            continue
        if held is not None:
            yield held
        held = character
    if held is not None:
        yield held


def _characters(ids: Ids, vocabulary: Vocabulary) -> Iterator[Cluster]:
    """Every character by itself; a boundary between documents is its label."""
    begin = 0
    boundaries = () if vocabulary.boundary is None else np.flatnonzero(ids == vocabulary.boundary)
    for place in [*map(int, boundaries), len(ids)]:
        yield from _characters_of_document(ids[begin:place], vocabulary, begin)
        begin = place + 1
        if place < len(ids):
            yield Cluster(BOUNDARY_LABEL, place, begin, spelled_out=True)


def _characters_of_document(ids: Ids, vocabulary: Vocabulary, first: int) -> Iterator[Cluster]:
    """Every character by itself; a byte that is no part of one is spelled out.

    first: the number of the first symbol.
    """
    if not isinstance(vocabulary, ByteVocabulary):
        for place, symbol in enumerate(ids.tolist(), first):
            yield _whole(symbol, vocabulary, place)
        return
    data = bytes(ids.tolist())
    begin = 0
    while begin < len(data):
        end = begin + _utf8_length(data[begin])
        try:
            yield _single(data[begin:end].decode(), first + begin, first + end)
        except UnicodeDecodeError:
            end = begin + 1
            label = vocabulary.label(data[begin])
            yield Cluster(label, first + begin, first + end, spelled_out=True)
        begin = end


def _single(character: str, begin: int, end: int) -> Cluster:
    """One character, spelled out if it has to be."""
    if _is_hidden(character):
        return Cluster(character.encode("unicode_escape").decode(), begin, end, spelled_out=True)
    return Cluster(character, begin, end)


def _whole(symbol: int, vocabulary: Vocabulary, place: int) -> Cluster:
    """One symbol of any number of characters, with its name if one of them has to be spelled."""
    text = vocabulary.decode([symbol])
    if symbol == vocabulary.rare:
        return Cluster(vocabulary.label(symbol), place, place + 1, spelled_out=True)
    if len(text) == 1:
        return _single(text, place, place + 1)
    if text == "" or any(map(_is_hidden, text)):
        return Cluster(vocabulary.label(symbol), place, place + 1, spelled_out=True)
    return Cluster(text, place, place + 1)


def _utf8_length(first: int) -> int:
    """How many bytes a character has that begins with this one."""
    if first < 0xC0:
        return 1
    return 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _is_hidden(character: str) -> bool:
    """Whether nobody could see or point at this character."""
    if character in "\n\t":
        return False
    category = unicodedata.category(character)
    if category == "Cf":
        return character not in _JOINERS + _NUMBER_SIGNS and not _is_tag(character)
    return category == "Co" or is_invisible(character)


def _is_tag(character: str) -> bool:
    """Whether this is a letter of an emoji flag's name, itself unseen."""
    return "\U000e0020" <= character <= "\U000e007f"


def _belongs(character: Cluster, held: Cluster) -> bool:
    """Whether a character is drawn as part of those before it."""
    text, last = character.text, held.text[-1]
    if character.spelled_out or held.spelled_out or last in "\n\t":
        return False
    if character.end - held.begin > LONGEST:
        return False
    if "\u1160" <= text <= "\u11ff" or "\ud7b0" <= text <= "\ud7ff":  # Korean vowels and finals
        return unicodedata.category(last) == "Lo"
    if _is_regional(text):  # two of them are a flag
        return len(held.text) == len(text) == 1 and _is_regional(last)
    joined = last == _ZERO_WIDTH_JOINER and unicodedata.category(text[0]) == "So"
    return joined or _extends(text[0])


def _extends(character: str) -> bool:
    """Whether this is a mark, a joiner, a tag or a skin tone: nothing by itself."""
    if unicodedata.category(character) in ("Mn", "Me", "Mc"):
        return True
    skin_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    return skin_tone or character in _JOINERS or _is_tag(character)


def _is_regional(character: str) -> bool:
    """Whether this is one of the two letters of a flag."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"
