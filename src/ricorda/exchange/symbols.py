"""The symbols of a foreign model, from a file beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ricorda.errors import VocabularyError
from ricorda.exchange.network import Symbols
from ricorda.text.vocabulary import CharacterVocabulary
from ricorda.validation import parse_json

LARGEST = 16 * 2**20  # bytes


def read_symbols(path: Path) -> Symbols:
    """Read symbols in JSON: a list in the order of ids, or an object of symbols and ids.

    Raises VocabularyError for a file that is missing, too large or not of this form.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise VocabularyError(f"cannot read the symbols in {path}: {error.strerror}") from error
    if len(content) > LARGEST:
        raise VocabularyError(f"expected at most {LARGEST:,} bytes of symbols in {path}")
    try:
        value = parse_json(content.decode("utf-8"), longest=LARGEST)
    except ValueError as error:
        raise VocabularyError(f"the symbols in {path} are not JSON: {error}") from error
    return symbols_of(value, where=str(path))


def symbols_of(value: object, where: str) -> Symbols:
    """Sort the characters of a list, or of an object of characters and ids.

    Raises VocabularyError for anything else, for ids with gaps and for symbols of several
    characters.
    """
    if isinstance(value, Mapping):
        value = _in_order(value, where)
    if not isinstance(value, Sequence) or not all(isinstance(each, str) for each in value):
        raise VocabularyError(
            f"expected a list of characters, or an object of characters and ids, in {where}"
        )
    if odd := [each for each in value if len(each) != 1]:
        raise VocabularyError(f"expected symbols of one character in {where}, got {odd[0]!r:.40}")
    order = np.argsort(np.array([ord(each) for each in value]))
    symbols = "".join(value[number] for number in order)
    return Symbols(CharacterVocabulary(symbols, "\n" if "\n" in symbols else symbols[0]), order)


def _in_order(ids: Mapping[object, object], where: str) -> list[object]:
    """The characters of an object of characters and ids, in the order of the ids from 0."""
    order = sorted(ids.items(), key=lambda pair: (not isinstance(pair[1], int), str(pair[1])))
    by_id = {number: symbol for symbol, number in order if type(number) is int}
    if sorted(by_id) != list(range(len(ids))):
        raise VocabularyError(f"expected the ids 0 to {len(ids) - 1} in {where}, each once")
    return [by_id[number] for number in range(len(ids))]
