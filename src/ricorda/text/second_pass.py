"""A vocabulary learned from the training part, or a model's, and the encoded text in its symbols.

A text is encoded as characters first, in one pass, and then split. Which characters are rare, and
which pieces or words become symbols, is learned from the training part alone; then the ids are
translated. Each place where the text was split stays between two symbols. Where a training starts
from a model, the symbols are the model's and the new characters of the text.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import compress, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import TextError
from ricorda.text.boundaries import stored_size
from ricorda.text.encoding import EncodedText
from ricorda.text.extension import characters_of, extended, origins
from ricorda.text.id_file import IdFile
from ricorda.text.kinds import Wanted
from ricorda.text.parts import Numbers, Part, boundaries_of
from ricorda.text.pieces import learn_pieces
from ricorda.text.splits import Split
from ricorda.text.vocabulary import CharacterVocabulary, Ids, Vocabulary, id_type, start_symbol
from ricorda.text.words import learn_words

BLOCK = 1 << 20
"""Ids that are read at a time."""

SAMPLE_BLOCKS = 16
"""Blocks, spread over the training part, from which pieces and words are learned."""

SMALLEST_NOTED = 256
"""Characters of a vocabulary below which rare ones cost little."""

SMALLEST_NOTED_SHARE = 0.2
"""Share of rare characters in a vocabulary from which they are noted."""

SUGGESTED_COUNT = 5


def in_symbols(
    text: EncodedText, parts: Split, want: Wanted, min_count: int, folder: Path
) -> tuple[EncodedText, Split]:
    """Learn the vocabulary that is wanted from the training part; translate the text and its parts.

    text: encoded as characters. Those that occur fewer than `min_count` times in the training part
    become the rare symbol. The new ids lie in an unnamed file on the disk of `folder`. Raises
    TextError if the text does not allow it.
    """
    characters = text.vocabulary
    assert isinstance(characters, CharacterVocabulary)
    kept = _without_rare(characters, character_counts(characters, parts.training), min_count)
    sample = _runs(parts.training.blocks(BLOCK, BLOCK * SAMPLE_BLOCKS), characters)
    learned: Vocabulary = kept
    if want.kind == "pieces":
        assert want.size is not None
        learned = learn_pieces(sample, want.size, kept)
    elif want.kind == "words":
        learned = learn_words(sample, kept, min_count)
    return _in(learned, text, parts, folder)


def in_known_symbols(
    text: EncodedText, parts: Split, known: Vocabulary, min_count: int, folder: Path
) -> tuple[EncodedText, Split]:
    """Translate a text and its parts into a model's symbols, to which its new ones are added.

    text: encoded as characters, or as bytes for a model of bytes. Characters that the model lacks
    and that occur fewer than `min_count` times in the training part become the rare symbol.
    """
    found = text.vocabulary
    if isinstance(found, CharacterVocabulary):
        counts = character_counts(found, parts.training)
        found = _without_rare(found, counts, min_count, characters_of(known))
    return _in(extended(known, found), text, parts, folder)


def _in(
    vocabulary: Vocabulary, text: EncodedText, parts: Split, folder: Path
) -> tuple[EncodedText, Split]:
    """Translate a text and its parts; the ids stay where they are the same."""
    if vocabulary == text.vocabulary:
        return text, parts
    if _has_same_ids(text.vocabulary, vocabulary):  # only what a text begins after differs
        return replace(text, vocabulary=vocabulary), parts
    found = {name: getattr(parts, name) for name in ("training", "validation", "test")}
    places = np.unique(np.concatenate([each.borders() for each in found.values() if each]))
    ids, new_places = _translated(text, vocabulary, places, folder)
    labels = _label_numbers(text.vocabulary, vocabulary)
    moved = {
        name: part and part.moved(ids, vocabulary.boundary, places, new_places, labels)
        for name, part in found.items()
    }
    return replace(text, _ids=ids, vocabulary=vocabulary), replace(parts, **moved)


def _has_same_ids(old: Vocabulary, new: Vocabulary) -> bool:
    """Whether two vocabularies give a text the same ids, also on the disk."""
    if old.kind != new.kind or (old.size, old.labels) != (new.size, new.labels):
        return False
    return bool((origins(old, new) == np.arange(old.size)).all())


def _label_numbers(old: Vocabulary, new: Vocabulary) -> NDArray[np.uint32]:
    """Return the new number of each old label, (K,); 0 is none."""
    numbers = {label: number for number, label in enumerate(new.labels, 1)}
    return np.array([0, *(numbers[label] for label in old.labels)], np.uint32)


def note_on_rare(vocabulary: Vocabulary, training: Part) -> str:
    """Say in one line that the training part's rare characters cost much; empty if they do not."""
    if not isinstance(vocabulary, CharacterVocabulary) or vocabulary.size < SMALLEST_NOTED:
        return ""
    counts = character_counts(vocabulary, training)
    rare = counts < SUGGESTED_COUNT
    number = int(np.count_nonzero(rare))
    if number < SMALLEST_NOTED_SHARE * len(counts):
        return ""
    share = 100 * counts[rare].sum() / max(1, counts.sum())
    return (
        f"{number:,} of {len(counts):,} characters occur fewer than {SUGGESTED_COUNT} times "
        f"({share:.2g} % of the text) and cost time and memory: --min-count {SUGGESTED_COUNT} "
        "makes them one symbol"
    )


def character_counts(characters: CharacterVocabulary, part: Part) -> NDArray[np.int64]:
    """Count each character of a part, by id."""
    size = len(characters.symbols)
    counts = np.zeros(size, np.int64)
    for block in part.blocks(BLOCK):
        counts += np.bincount(block[block < size], minlength=size)
    return counts


def _without_rare(
    characters: CharacterVocabulary, counts: NDArray[np.int64], min_count: int, kept: str = ""
) -> CharacterVocabulary:
    """The characters that occur often enough or are `kept`, and the rare symbol for the others."""
    known = set(kept)
    often = (counts >= min_count) | np.array([each in known for each in characters.symbols])
    if often.all() or min_count <= 1:
        return characters
    if not often.any():
        raise TextError(
            f"--min-count {min_count}: no character occurs so often in the training part; the "
            f"most frequent one occurs {counts.max():,} times: give a smaller number"
        )
    symbols = "".join(compress(characters.symbols, often))
    usual = characters.symbols[int(counts.argmax())]
    first = characters.first if characters.first in symbols else usual
    return CharacterVocabulary(
        symbols,
        start_symbol(symbols, first),
        has_rare=True,
        has_boundary=characters.boundary is not None,
        labels=characters.labels,
    )


def _translated(
    text: EncodedText, vocabulary: Vocabulary, places: Numbers, folder: Path
) -> tuple[Ids, Numbers]:
    """Translate a text; return its ids, and where some places (n,), ascending, are in them.

    Each of the places stays between two symbols. At boundaries they do so anyway.
    """
    boundary, size = text.vocabulary.boundary, stored_size(vocabulary)
    marks = _marks(text.ids, boundary)
    inner = np.setdiff1d(places, np.concatenate([marks, marks + 1, [0, len(text.ids)]]))
    translation = _Translation(text.vocabulary, vocabulary)
    with IdFile(folder) as file:
        found, place = [0], 0
        cuts = [0, *inner.tolist(), len(text.ids)]
        for begin, end in pairwise(cuts):
            for ids in translation.translated(text.ids[begin:end]):
                file.append(ids, size)
                place += len(ids)
            found.append(place)
        ids = file.map(size)
    new_marks = _marks(ids, vocabulary.boundary)
    old = np.concatenate([cuts, marks, marks + 1]).astype(np.int64)
    new = np.concatenate([found, new_marks, new_marks + 1]).astype(np.int64)
    old, first = np.unique(old, return_index=True)
    return ids, new[first][np.searchsorted(old, places)]


def _marks(ids: Ids, boundary: int | None) -> Numbers:
    """Where the boundaries stand."""
    return np.zeros(0, np.int64) if boundary is None else boundaries_of(ids, boundary)[0]


def _runs(blocks: Iterable[Ids], vocabulary: Vocabulary) -> Iterator[str]:
    """Yield the text between boundaries."""
    for block in blocks:
        for text, _ in _divided(block, vocabulary):
            yield text


def _divided(ids: Ids, vocabulary: Vocabulary) -> Iterator[tuple[str, int | None]]:
    """Yield the texts that ids stand for and the boundary, or label, after each."""
    begin = 0
    if vocabulary.boundary is not None:
        for place in np.flatnonzero(ids >= vocabulary.boundary).tolist():
            yield vocabulary.decode(ids[begin:place]), int(ids[place])
            begin = place + 1
    if begin < len(ids):
        yield vocabulary.decode(ids[begin:]), None


class _Translation:
    """Turns the ids of characters into those of another vocabulary."""

    def __init__(self, old: Vocabulary, new: Vocabulary) -> None:
        self._old, self._new = old, new
        self._type = id_type(stored_size(new))
        self._marks = (new.boundary or 0) + _label_numbers(old, new)  # (K,), as they are stored
        self._table: Ids | None = None
        if new.widest > 1:
            return
        symbols = new.encode(old.symbols) if isinstance(old, CharacterVocabulary) else range(256)
        marks = self._marks[: None if old.boundary is not None else 0]
        self._table = np.concatenate([symbols, marks]).astype(self._type)

    def translated(self, ids: Ids) -> Iterator[Ids]:
        """Yield the new ids of a stretch of the text, block by block."""
        held = ""
        for begin in range(0, len(ids), BLOCK):
            block = ids[begin : begin + BLOCK]
            if self._table is not None:
                yield self._table.take(block)
                continue
            parts: list[NDArray[np.unsignedinteger]] = []
            for run, mark in _divided(block, self._old):
                text = held + run
                cut = len(text) if mark is not None else self._new.settled(text)
                parts.append(self._new.encode(text[:cut]))
                held = text[cut:]
                if mark is not None:
                    assert self._old.boundary is not None
                    parts.append(self._marks[mark - self._old.boundary][None])
            yield np.concatenate([each.astype(self._type) for each in parts])
        if held:
            yield self._new.encode(held)
