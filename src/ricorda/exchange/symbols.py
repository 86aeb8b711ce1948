"""The symbols of a foreign model, from a file beside it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ricorda.errors import VocabularyError
from ricorda.exchange.network import Symbols
from ricorda.text.vocabulary import CharacterVocabulary, readable
from ricorda.validation import parse_json, shown

LARGEST = 16 * 2**20  # bytes
MOST = 0x110000  # ids
_STARTS = "\n "
"""What generation starts from, the first of these that there is."""


def read_symbols(path: Path) -> Symbols:
    """Read symbols in JSON: a list in the order of ids, or an object of symbols and ids.

    Raises VocabularyError for a file that is missing, too large or not of this form.
    """
    if path.suffix.lower() in {".pkl", ".pickle"}:
        raise VocabularyError(
            f"{path} is a pickled vocabulary, which could run any code: write its symbols as JSON "
            "with the program that made it (json.dump of the list or dictionary)"
        )
    try:
        if not path.is_file():
            raise VocabularyError(f"expected a file with symbols, found none at {path}")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise VocabularyError(f"cannot read the symbols in {path}: {error.strerror}") from error
    if len(content) > LARGEST:
        raise VocabularyError(f"expected at most {LARGEST:,} bytes of symbols in {path}")
    try:
        value = parse_json(content.decode("utf-8-sig"), longest=LARGEST, most=2 * MOST)
    except ValueError as error:
        raise VocabularyError(
            f'the symbols in {path} are not JSON, such as ["a", "b"] or {{"a": 0, "b": 1}}: {error}'
        ) from error
    return symbols_of(value, where=str(path))


def symbols_of(value: object, where: str) -> Symbols:
    """Sort the characters of a list, or of an object of characters and ids.

    One id may stand for no character: null, a name such as `<unk>`, or a gap in the ids. It becomes
    the vocabulary's rare symbol. Raises VocabularyError for anything else, and for symbols of
    several characters.
    """
    by_id = _by_id(value, where)
    others = [number for number, symbol in enumerate(by_id) if symbol is None or len(symbol) != 1]
    if len(others) > 1:
        names = ", ".join(shown(by_id[number]) for number in others[:3])
        raise VocabularyError(
            f"expected symbols of one character in {where} and at most one that stands for none, "
            f"got {len(others)} others, such as {names}: models of words or with several special "
            "symbols cannot be imported"
        )
    characters = {number: symbol for number, symbol in enumerate(by_id) if number not in others}
    ids = sorted(characters, key=lambda number: characters[number] or "")
    symbols = "".join(characters[number] or "" for number in ids)
    first = next((each for each in _STARTS if each in symbols), symbols[:1])
    vocabulary = CharacterVocabulary(symbols, first, has_rare=bool(others))
    return Symbols(vocabulary, np.array([*ids, *others], np.intp), _notes(by_id, others))


def _notes(by_id: list[str | None], others: list[int]) -> tuple[str, ...]:
    """What a person should know of an id without a character."""
    if not others:
        return ()
    symbol = by_id[others[0]]
    name = "has no character" if symbol is None else f"is {''.join(map(readable, symbol[:40]))!r}"
    return (
        f"The id {others[0]} {name}: it stands for characters that the model does not know, and is "
        "never written.",
    )


def _by_id(value: object, where: str) -> list[str | None]:
    """The symbols in the order of ids, None for an id without one."""
    if isinstance(value, list):
        if not value or not all(each is None or isinstance(each, str) for each in value):
            raise _unknown(where)
        return value
    if not isinstance(value, Mapping) or not value:
        raise _unknown(where)
    pairs = list(_pairs(value, where))
    numbers = dict(pairs)
    highest = max(numbers)
    if len(numbers) < len(pairs) or min(numbers) < 0 or highest > len(numbers):
        raise VocabularyError(
            f"expected the ids from 0 to {len(pairs) - 1} in {where}, each once, or one of them "
            "left out"
        )
    return [numbers.get(number) for number in range(highest + 1)]


def _pairs(value: Mapping[str, object], where: str) -> Iterator[tuple[int, str | None]]:
    """Yield (id, symbol) of an object of symbols and ids, or of ids and symbols."""
    for key, each in value.items():
        match each:
            case int() if not isinstance(each, bool):
                yield each, key
            case str() | None if key.isascii() and key.isdigit() and len(key) < 9:
                yield int(key), each
            case _:
                raise _unknown(where)


def _unknown(where: str) -> VocabularyError:
    return VocabularyError(
        f"expected a list of characters in the order of their ids, or an object of characters and "
        f"ids, in {where}"
    )
