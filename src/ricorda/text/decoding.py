"""From bytes to text, strictly: what cannot be decoded stops, and says where and what to try."""

import codecs

import numpy as np

from ricorda.errors import TextError

HEAD_BYTES = 8192
"""How much of a file's beginning shows what kind of file it is."""

SMALLEST_BINARY = 512
"""Bytes after which a beginning of control characters is not accepted as text."""

# The marks of UTF-32 come first, since that of UTF-32-LE begins with that of UTF-16-LE.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NO_TEXT = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))  # rare in texts of one byte a character
_ANY_BYTES = "learn any bytes with --vocabulary bytes"


def canonical_encoding(name: str) -> str:
    """Return Python's name of a text encoding: "utf-8" for each way to spell UTF-8.

    Raises TextError if there is no such encoding, or it is not one of text (base64, say).
    """
    try:
        "a".encode(name)
        codecs.getincrementaldecoder(name)
        canonical = codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        raise TextError(
            f"--encoding {name!r}: not a text encoding that Python knows; "
            "such as utf-8, utf-16, latin-1, cp1252, shift_jis or gb18030"
        ) from error
    return "utf-8" if canonical == "utf-8-sig" else canonical


def guess_unicode(head: bytes) -> str | None:
    """Name the UTF-16 or UTF-32 form that a file's first bytes show, None if they do not.

    It shows in a byte order mark, or in zero bytes: the upper bytes of ASCII characters (of which
    spaces and line ends are some in nearly every script), so at odd or at even places alone.
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding
    if len(head) < 2 or 0 not in head:
        return None
    zero = np.frombuffer(head, np.uint8) == 0
    lanes = [zero[place::4] for place in range(4)]
    first, second, third, fourth = (float(lane.mean()) if lane.size else 0.0 for lane in lanes)
    even, odd = float(zero[0::2].mean()), float(zero[1::2].mean())
    guesses = {
        "utf-32-le": min(third, fourth) > 0.9 and first < 0.5,
        "utf-32-be": min(first, second) > 0.9 and fourth < 0.5,
        "utf-16-le": odd > max(0.05, 20 * even),
        "utf-16-be": even > max(0.05, 20 * odd),
    }
    return next((encoding for encoding, fits in guesses.items() if fits), None)


def looks_binary(head: bytes) -> bool:
    """Tell whether a file's first bytes are unlike text of one byte a character, or UTF-8."""
    return len(head.translate(None, _NO_TEXT)) < 0.98 * len(head)


class StrictDecoder:
    """Decodes one file piece by piece, without its byte order mark."""

    def __init__(self, name: str, encoding: str) -> None:
        """Decode the file called `name`; `encoding` is a canonical name."""
        self._name = name
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._head = b""
        self._bytes_taken = 0
        self._at_start = True
        self._beyond_ascii = False

    def decode(self, data: bytes, *, final: bool = False) -> str:
        """Decode the next piece of the file; `final` says that it is the last.

        Raises TextError at the first byte that is not part of a character.
        """
        self._bytes_taken += len(data)
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise self._explained(error) from error
        except UnicodeError as error:  # UTF-16 and UTF-32 without an offset, "idna", "undefined"
            raise TextError(f"{self._name}: not {self._encoding} text: {error}") from error
        self._refuse_disguised()
        self._refuse_surrogates(text)
        self._beyond_ascii |= not text.isascii()
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        return text

    def _refuse_disguised(self) -> None:
        """Stop at UTF-16 or UTF-32 without a mark, which may well be valid UTF-8 full of zeros."""
        if self._encoding != "utf-8":
            return
        if 0 not in self._head:
            self._refuse_binary()
            return
        # Upper bytes are zero, or small numbers in the scripts whose UTF-16 may be valid UTF-8.
        controls = np.frombuffer(self._head, np.uint8) < 32
        guess = guess_unicode(self._head) if controls.mean() > 0.4 else None
        if guess is not None:
            raise TextError(
                f"{self._name}: expected UTF-8 text, but it looks like {guess.upper()} "
                f"(zero bytes beside the characters): give --encoding {guess}, or {_ANY_BYTES}"
            )
        self._refuse_binary()

    def _refuse_binary(self) -> None:
        """Raise TextError for mostly control characters, even if they are valid UTF-8."""
        odd = len(self._head) - len(self._head.translate(None, _NO_TEXT))
        if len(self._head) >= SMALLEST_BINARY and odd > 0.4 * len(self._head):
            raise TextError(
                f"{self._name}: expected UTF-8 text, but it looks like binary data (control "
                f"characters and zeros): name a text, or {_ANY_BYTES}"
            )

    def _refuse_surrogates(self, text: str) -> None:
        """Stop at halves of UTF-16 pairs, which a few encodings (utf-7, unicode_escape) let in."""
        try:
            if not self._encoding.startswith("utf-8"):
                text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise TextError(
                f"{self._name}: not {self._encoding} text: it holds "
                f"U+{ord(text[error.start]):04X}, half of a surrogate pair; repair the file"
            ) from error

    def _explained(self, error: UnicodeDecodeError) -> TextError:
        # The error's object ends where the bytes given so far end: it is the last piece, after
        # what the decoder kept of the piece before.
        offset = self._bytes_taken - len(error.object) + error.start
        wrong = " ".join(f"0x{byte:02x}" for byte in error.object[error.start : error.end][:4])
        expected = "UTF-8" if self._encoding == "utf-8" else self._encoding
        return TextError(
            f"{self._name}: expected {expected} text, but byte {offset} ({wrong}) is not valid "
            f"({error.reason}): {self._remedy(error)}"
        )

    def _remedy(self, error: UnicodeDecodeError) -> str:
        guess = guess_unicode(self._head)
        if guess is not None and guess != self._encoding:
            return f"it looks like {guess.upper()}, give --encoding {guess}"
        if self._encoding != "utf-8":
            return f"give the encoding it was written in, or {_ANY_BYTES} (without --encoding)"
        if looks_binary(self._head):
            return f"it looks like binary data; name a text, or {_ANY_BYTES}"
        if self._beyond_ascii or not error.object[: error.start].isascii():
            return f"the text before it is UTF-8, so repair the file there, or {_ANY_BYTES}"
        guess = _guess_single_byte(error.object[error.start :][:HEAD_BYTES])
        if guess is not None:
            return f"give its encoding, perhaps --encoding {guess}, or {_ANY_BYTES}"
        return (
            "give its encoding with --encoding, such as cp1251, shift_jis or gb18030, "
            f"or {_ANY_BYTES}"
        )


def _guess_single_byte(sample: bytes) -> str | None:
    """Name a Western encoding for text that is not UTF-8, None if it looks like another script."""
    values = np.frombuffer(sample, np.uint8)
    letters = values[values > 32]
    if np.count_nonzero(letters >= 128) > 0.3 * len(letters) and len(letters) > 8:
        return None
    if not ((values >= 128) & (values < 160)).any():
        return "latin-1"
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return "cp1252"
