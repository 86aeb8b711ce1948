"""How the bytes of a file become the symbols that are predicted, and bytes again."""

import codecs
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.adaptive import letters_of, letters_of_bytes
from ricorda.text.vocabulary import CharacterVocabulary

Symbols: TypeAlias = NDArray[np.uint32]


class Alphabet(Protocol):
    """Symbols, each of which stands for 1 to 4 bytes."""

    letters: Symbols
    """Of each symbol 0, or for a letter a number that both its cases share, (V,)."""

    def encode(self, data: bytes, final: bool) -> Symbols:
        """Return the symbols (n,) of the next bytes; a cut character waits for the rest."""

    def decode(self, symbols: Symbols) -> bytes:
        """Return the bytes of symbols (n,)."""


class ByteAlphabet:
    """The 256 bytes, and symbols after them that never occur."""

    def __init__(self, size: int = 256) -> None:
        """Number the bytes; `size` counts all symbols."""
        self.letters = np.zeros(size, np.uint32)
        self.letters[:256] = letters_of_bytes()

    def encode(self, data: bytes, final: bool) -> Symbols:
        """Return the bytes as symbols."""
        return np.frombuffer(data, np.uint8).astype(np.uint32)

    def decode(self, symbols: Symbols) -> bytes:
        """Return symbols as bytes; one that is no byte is 0."""
        return np.where(symbols < 256, symbols, 0).astype(np.uint8).tobytes()


class CharacterAlphabet:
    """The characters that a model knows; with `escapes`, the 256 bytes follow.

    A character that it does not know is written as the bytes of its UTF-8, and so is what is not
    UTF-8 at all.
    """

    def __init__(self, vocabulary: CharacterVocabulary, *, escapes: bool) -> None:
        """Take a model's vocabulary."""
        self._escape = vocabulary.size
        characters = vocabulary.symbols
        self._bytes = [character.encode() for character in characters]
        self._bytes += [b""] * (vocabulary.size - len(characters))  # rare, boundary
        self._ids = {character: id for id, character in enumerate(characters)}
        letters = letters_of(vocabulary).tolist()
        if escapes:
            self._bytes += [bytes([byte]) for byte in range(256)]
            letters += [0x110000 + byte if byte >= 128 else 0 for byte in range(256)]
        self.letters = np.array(letters, np.uint32)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def encode(self, data: bytes, final: bool) -> Symbols:
        """Return the symbols of the next bytes; those without `escapes` may be beyond V."""
        ids: list[int] = []
        for character in self._decoder.decode(data, final):
            known = self._ids.get(character)
            if known is not None:
                ids.append(known)
            else:
                spelled = character.encode("utf-8", "surrogateescape")
                ids.extend(self._escape + byte for byte in spelled)
        return np.array(ids, np.uint32)

    def decode(self, symbols: Symbols) -> bytes:
        """Return the bytes of symbols."""
        return b"".join(map(self._bytes.__getitem__, symbols.tolist()))
