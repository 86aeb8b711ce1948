"""Add the new characters of a text to the vocabulary of a model that learned another text.

Characters are merged in ascending order, so ids change: `origins` finds each symbol's old one.
Nothing is removed, and no byte, piece or word is added: words of the new text that the vocabulary
lacks are spelled in characters.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.pieces import PieceVocabulary
from ricorda.text.tokens import TokenVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary
from ricorda.text.words import WordVocabulary

NEW = -1
"""What stands for the old id of a symbol that is new."""

_RARE, _BOUNDARY = -1, -2


def extended(known: Vocabulary, found: Vocabulary) -> Vocabulary:
    """Return `known` with the characters, the rare symbol, the boundary and labels of `found`.

    found: bytes for a vocabulary of bytes, else characters. Labels keep their numbers; new ones
    follow. The first symbol of a text without a prompt stays what it was.
    """
    labels = dict.fromkeys([*known.labels, *found.labels])
    options: dict[str, Any] = {
        "has_boundary": known.boundary is not None or found.boundary is not None,
        "labels": tuple(labels),
    }
    if isinstance(known, ByteVocabulary):
        return ByteVocabulary(known.first, **options)
    assert isinstance(known, CharacterVocabulary | TokenVocabulary)
    characters = "".join(sorted({*characters_of(known), *characters_of(found)}))
    options["has_rare"] = known.rare is not None or found.rare is not None
    if isinstance(known, PieceVocabulary):
        merges = _moved_merges(known, characters)
        return PieceVocabulary(characters, merges, known.first, **options)
    if isinstance(known, WordVocabulary):
        return WordVocabulary(characters, known.words, known.first, **options)
    return CharacterVocabulary(characters, known.first, **options)


def characters_of(vocabulary: Vocabulary) -> str:
    """Return the single characters among the symbols, in ascending order; none of bytes."""
    if isinstance(vocabulary, TokenVocabulary):
        return vocabulary.characters.symbols
    return vocabulary.symbols if isinstance(vocabulary, CharacterVocabulary) else ""


def origins(old: Vocabulary, new: Vocabulary) -> NDArray[np.int64]:
    """Return the id in `old` of each symbol of `new`, NEW where it has none, (V,).

    Both are of one kind. Characters, pieces and words are matched by their text, the rare symbol
    and the boundary by what they mean.
    """
    numbers = {key: id for id, key in enumerate(_keys(old))}
    return np.array([numbers.get(key, NEW) for key in _keys(new)], np.int64)


def label_origins(old: Vocabulary, new: Vocabulary) -> NDArray[np.int64]:
    """Return the number in `old` of each label of `new`, NEW where it has none, (K,).

    Number 0, no label, is that of both.
    """
    numbers = {label: number for number, label in enumerate(old.labels, 1)}
    return np.array([0, *(numbers.get(label, NEW) for label in new.labels)], np.int64)


def _keys(vocabulary: Vocabulary) -> list[str | int]:
    """What identifies each symbol, by id."""
    if isinstance(vocabulary, TokenVocabulary):
        specials = (vocabulary.rare is not None) + (vocabulary.boundary is not None)
        keys: list[str | int] = [*vocabulary.texts[: vocabulary.size - specials]]
    elif isinstance(vocabulary, CharacterVocabulary):
        keys = [*vocabulary.symbols]
    else:
        keys = [*range(256)]
    keys += [_RARE] * (vocabulary.rare is not None)
    return keys + [_BOUNDARY] * (vocabulary.boundary is not None)


def _moved_merges(known: PieceVocabulary, characters: str) -> list[tuple[int, int]]:
    """The merges of a vocabulary of pieces, in the ids that they have after other characters."""
    old_size, shift = len(known.characters.symbols), len(characters) - len(known.characters.symbols)
    numbers = {character: number for number, character in enumerate(characters)}
    ids = [numbers[character] for character in known.characters.symbols]

    def moved(id: int) -> int:
        return ids[id] if id < old_size else id + shift

    return [(moved(first), moved(second)) for first, second in known.merges]
