"""How each method turns bytes into code, and back, a chunk at a time."""

import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from ricorda.compression.archive import (
    CHUNK,
    LARGEST_TABLES,
    SMALLEST_TABLES,
    Header,
    Method,
    chunks,
    damaged,
)
from ricorda.compression.models import TrainedModel, compiled_kernels
from ricorda.compression.symbols import Alphabet, ByteAlphabet

PIECE = 1 << 14  # bytes that are encoded or decoded in a call of the kernels
WIDEST = 4  # bytes of a symbol at most
MOST_DOUBLINGS = 23
"""A byte of code predicts at most 2 to this power bytes: no bit is surer than 1 - 2^-18."""

MOST_THREADS = 16  # no reader has more to share
UNITS = 96
"""Of the network that learns from nothing."""

NETWORK_FROM, NETWORK_TO = 1 << 10, 1 << 22
"""The sizes in bytes from and up to which it is worth its time."""
LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]

Coded = Iterator[tuple[int, bytes]]
"""How many bytes of the content were read, and the code that this made complete."""


def table_bits_for(size: int) -> int:
    """Return how large the tables are for a content of `size` bytes: 256 MB at most."""
    return min(max((8 * size).bit_length(), SMALLEST_TABLES), LARGEST_TABLES)


@dataclass(frozen=True)
class Setting:
    """What the predictors of a file need besides its header."""

    model: TrainedModel | None = None
    threads: int = 1
    """Changes no byte."""

    kernels: str = ""
    """The instruction set; changes no byte either."""

    def alphabet(self, header: Header) -> Alphabet:
        """Return the symbols of an archive."""
        if header.method is not Method.TRAINED:
            return ByteAlphabet()
        assert self.model is not None, "the model is loaded before its archive is read"
        return self.model.alphabet(escapes=header.escapes)

    def arguments(self, header: Header, alphabet: Alphabet) -> dict[str, Any]:
        """Return the arguments of a SymbolEncoder or SymbolDecoder."""
        threads = min(self.threads, MOST_THREADS)
        common = {"letters": alphabet.letters, "table_bits": header.table_bits}
        if header.method is Method.TRAINED:
            assert self.model is not None
            return common | self.model.arguments(threads, self.kernels)
        if header.method is Method.NETWORK:
            network = {"fresh_units": UNITS, "threads": threads, "kernels": self.kernels}
            return common | network
        return common


def encode(content: Iterator[bytes], header: Header, setting: Setting) -> Coded:
    """Encode the chunks of a file by the header's method."""
    coders = {Method.STORED: _store, Method.LZMA: _encode_lzma}
    return coders.get(header.method, _encode_mixed)(content, header, setting)


def decode(
    file: IO[bytes], code_size: int, header: Header, setting: Setting, name: str
) -> Iterator[bytes]:
    """Restore the content from the code at the file's place, a chunk at a time.

    Raises ArchiveError if the code is not that of a content of the header's size.
    """
    code = chunks(file, code_size)
    if header.method is Method.STORED:
        content = code
    elif header.method is Method.LZMA:
        content = _decode_lzma(code, name)
    else:
        content = _decode_mixed(code, code_size, header, setting, name)
    left = header.size
    for chunk in content:
        if len(chunk) > left:
            raise damaged(name)
        left -= len(chunk)
        yield chunk
    if left != 0:
        raise damaged(name)


def _store(content: Iterator[bytes], header: Header, setting: Setting) -> Coded:
    for chunk in content:
        yield len(chunk), chunk


def _encode_lzma(content: Iterator[bytes], header: Header, setting: Setting) -> Coded:
    compressor = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=LZMA_FILTERS)
    for chunk in content:
        yield len(chunk), compressor.compress(chunk)
    yield 0, compressor.flush()


def _decode_lzma(code: Iterator[bytes], name: str) -> Iterator[bytes]:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=LZMA_FILTERS)
    try:
        for data in code:
            given = data
            while not decompressor.eof:
                chunk = decompressor.decompress(given, max_length=CHUNK)
                given = b""
                if not chunk and decompressor.needs_input:
                    break
                yield chunk
            if decompressor.eof and decompressor.unused_data:
                raise damaged(name)
    except lzma.LZMAError:
        raise damaged(name) from None
    if not decompressor.eof:
        raise damaged(name)


def _encode_mixed(content: Iterator[bytes], header: Header, setting: Setting) -> Coded:
    alphabet = setting.alphabet(header)
    encoder = compiled_kernels().SymbolEncoder(**setting.arguments(header, alphabet))
    for chunk in content:
        for start in range(0, len(chunk), PIECE):
            piece = chunk[start : start + PIECE]
            yield len(piece), encoder.encode(alphabet.encode(piece, False))
    yield 0, encoder.encode(alphabet.encode(b"", True)) + encoder.finish()


def _decode_mixed(
    code: Iterator[bytes], code_size: int, header: Header, setting: Setting, name: str
) -> Iterator[bytes]:
    if header.size > (code_size + 16) << MOST_DOUBLINGS:
        raise damaged(name)
    alphabet = setting.alphabet(header)
    decoder = compiled_kernels().SymbolDecoder(**setting.arguments(header, alphabet))
    left = header.size
    while left > 0:
        data = next(code, b"")
        last = not data
        while len(symbols := decoder.decode(data, _symbols_in(left), last)):
            chunk = alphabet.decode(symbols)
            left -= len(chunk)
            yield chunk
            data = b""
        if last and left > 0:
            raise damaged(name)
    if not decoder.is_exhausted or next(code, b""):
        raise damaged(name)


def _symbols_in(left: int) -> int:
    """Return how many symbols may be decoded at once: no more than so many bytes certainly have."""
    return min((max(left, 0) + WIDEST - 1) // WIDEST, PIECE)
