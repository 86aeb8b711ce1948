"""The kinds of vocabularies, and how an option names them."""

from typing import NamedTuple

from ricorda.errors import ConfigurationError
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.encoding import VocabularyKind
from ricorda.text.pieces import PieceVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary
from ricorda.text.words import WordVocabulary

KINDS: dict[str, type[Vocabulary]] = {
    "characters": CharacterVocabulary,
    "bytes": ByteVocabulary,
    "pieces": PieceVocabulary,
    "words": WordVocabulary,
}
"""Each kind's class, as a model file names it."""

FEWEST_PIECES, MOST_PIECES = 2, 65_535


class Wanted(NamedTuple):
    """What --vocabulary asks for."""

    kind: str
    """characters, bytes, pieces or words."""

    size: int | None
    """How many pieces, the characters included; None for another kind."""

    @property
    def encoded_as(self) -> VocabularyKind:
        """What the text is encoded as at first: pieces and words are made of characters."""
        return "bytes" if self.kind == "bytes" else "characters"


def wanted(vocabulary: str) -> Wanted:
    """Read `characters`, `bytes`, `words` or `pieces:N`. Raises ConfigurationError for others."""
    kind, colon, number = vocabulary.partition(":")
    if kind == "pieces" and number.isascii() and number.isdecimal() and len(number) < 10:
        if FEWEST_PIECES <= int(number) <= MOST_PIECES:
            return Wanted(kind, int(number))
    elif kind in KINDS and kind != "pieces" and not colon:
        return Wanted(kind, None)
    raise ConfigurationError(
        f"--vocabulary {vocabulary!r}: expected characters, bytes, words or pieces:N with N from "
        f"{FEWEST_PIECES} to {MOST_PIECES:,}, such as pieces:512"
    )
