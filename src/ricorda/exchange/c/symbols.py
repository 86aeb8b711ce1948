"""The header of symbols.h: what the symbols of a model are, and how a prompt becomes symbols."""

import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.exchange.c.source import array, smallest, type_of
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.pieces import PieceVocabulary
from ricorda.text.tokens import TokenVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary
from ricorda.text.words import LONGEST, WordVocabulary

LONGEST_PIECE_WORD = 33
"""Characters of a word that pieces are made of: 32 letters and the space before them."""

PIECE_CLASSES = {
    "LETTER": r"[^\W\d_]+",
    "OTHER": r"[^\w\s]+|_+",
    "DIGIT": r"\d+",
    "LINE_END": r"\n+",
    "SPACE": r" +",
    "BLANK": r"\s+?",
}
"""The classes of characters that words of pieces consist of: what matches some of them, by name."""

WORD_CLASSES = {"WORD": r"\w+", "OTHER": r"\W+"}


def symbols_header(vocabulary: Vocabulary) -> tuple[str, int]:
    """Return symbols.h and how many bytes its constants have."""
    tables = dict(_tables(vocabulary))
    definitions = _definitions(vocabulary, tables).items()
    lines = [
        "/* The symbols of the model's vocabulary, for main.c. */\n",
        "".join(f"#define {name} {value}\n" for name, value in definitions),
        *(array(name, values) for name, values in tables.items()),
    ]
    size = sum(values.nbytes for values in tables.values())
    if isinstance(vocabulary, PieceVocabulary):
        text, added = _merges(vocabulary)
        lines.append(text)
        size += added
    return "\n".join(lines), size


def _symbol_bytes(vocabulary: Vocabulary) -> list[bytes]:
    """Return what is written for each symbol: nothing for the boundary and the rare one."""
    if isinstance(vocabulary, TokenVocabulary):
        texts = [text.encode() for text in vocabulary.texts]
    elif isinstance(vocabulary, CharacterVocabulary):
        texts = [symbol.encode() for symbol in vocabulary.symbols]
    else:
        texts = [bytes([value]) for value in range(256)]
    silent = (vocabulary.rare, vocabulary.boundary)
    return [
        b"" if symbol in silent or symbol >= len(texts) else texts[symbol]
        for symbol in range(vocabulary.size)
    ]


def _definitions(vocabulary: Vocabulary, tables: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Return the numbers that the program names."""
    names: dict[str, int] = {"LONGEST_WORD": 1}
    if isinstance(vocabulary, PieceVocabulary):
        names = {"LONGEST_WORD": LONGEST_PIECE_WORD, "MERGES": len(vocabulary.merges)}
        names |= {name: number for number, name in enumerate(PIECE_CLASSES)}
    elif isinstance(vocabulary, WordVocabulary):
        names = {"LONGEST_WORD": LONGEST}
        names |= {name: number for number, name in enumerate(WORD_CLASSES)}
    if not isinstance(vocabulary, ByteVocabulary):
        names["SORTED"] = len(_sorted(vocabulary))
    if "classes" in tables:
        names["CLASS_RANGES"] = len(tables["classes"])
    return names


def _tables(vocabulary: Vocabulary) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the texts of symbols and labels, and what prompts of longer symbols are read with."""
    yield from _texts("symbol", _symbol_bytes(vocabulary))
    if isinstance(vocabulary, TokenVocabulary):
        begins, classes = zip(*_class_ranges(vocabulary), strict=True)
        yield "class_begins", np.array(begins, np.uint32)
        yield "classes", np.array(classes, np.uint8)
    if isinstance(vocabulary, WordVocabulary):
        yield "sorted", smallest(_sorted(vocabulary))
    if vocabulary.labels:
        yield from _texts("label", [b"", *(label.encode() for label in vocabulary.labels)])


def _texts(name: str, texts: list[bytes]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the bytes of texts one after another, and where each begins."""
    joined = b"".join(texts) or b"\0"
    yield f"{name}_bytes", np.frombuffer(joined, np.uint8)
    yield f"{name}_begins", smallest([0, *accumulate(map(len, texts))])


def _sorted(vocabulary: Vocabulary) -> list[int]:
    """Return the symbols that a prompt is searched for, in the order of their bytes."""
    texts = _symbol_bytes(vocabulary)
    if isinstance(vocabulary, PieceVocabulary):  # pieces are found by their merges
        return list(range(len(vocabulary.characters.symbols)))
    return sorted((each for each, text in enumerate(texts) if text), key=texts.__getitem__)


def _class_ranges(vocabulary: TokenVocabulary) -> Iterator[tuple[int, int]]:
    """Yield where runs of characters of one class begin, and the class.

    Characters without a symbol count only where there is the rare symbol.
    """
    classes = PIECE_CLASSES if isinstance(vocabulary, PieceVocabulary) else WORD_CLASSES
    counted = vocabulary.characters.symbols
    if vocabulary.rare is not None:
        counted = "".join(map(chr, range(0x110000)))
    runs = re.compile("|".join(f"({pattern})" for pattern in classes.values()))
    for found in runs.finditer(counted):
        assert found.lastindex  # every character has a class
        yield ord(found[0][0]), found.lastindex - 1


def _merges(vocabulary: PieceVocabulary) -> tuple[str, int]:
    """Define the table of merges, in the order of their pairs, and count its bytes."""
    texts = vocabulary.texts
    symbols = {text: symbol for symbol, text in enumerate(texts)}
    rows = sorted(
        (first, second, rank, symbols[texts[first] + texts[second]])
        for rank, (first, second) in enumerate(vocabulary.merges)
    )
    numbers = smallest([number for row in rows for number in row])
    kind = type_of(numbers)
    body = ",\n".join(f"{{{', '.join(map(str, row))}}}" for row in rows) or "{0, 0, 0, 0}"
    text = (
        f"struct merge {{\n  {kind} first, second; /* symbols */\n"
        f"  {kind} rank;          /* when it was learned */\n"
        f"  {kind} result;        /* symbol */\n}};\n\n"
        f"static const struct merge merges[{max(1, len(rows))}] = {{\n{body}}};\n"
    )
    return text, max(1, len(rows)) * 4 * numbers.dtype.itemsize
