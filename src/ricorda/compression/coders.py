"""How each method turns bytes into code, and back, a chunk at a time."""

import importlib
import lzma
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ricorda.compression.archive import CHUNK, Header, Method, damaged
from ricorda.errors import MissingExtra

PIECE = 1 << 14  # bytes that are encoded or decoded in a call of the kernels
FEWEST_TABLES, MOST_TABLES = 10, 22
LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]

Coded = Iterator[tuple[int, bytes]]
"""How many bytes of the content were read, and the code that this made complete."""


def table_bits_for(size: int) -> int:
    """Return how large the tables are for a content of `size` bytes: 64 MB at most."""
    return min(max((8 * size).bit_length(), FEWEST_TABLES), MOST_TABLES)


def encoder_for(method: Method) -> Callable[[Iterator[bytes], Header], Coded]:
    """Return the function that encodes chunks by a method."""
    return {Method.STORED: _store, Method.LZMA: _encode_lzma, Method.MIXED: _encode_mixed}[method]


def decode(file: IO[bytes], code_size: int, header: Header, name: str) -> Iterator[bytes]:
    """Restore the content from the code at the file's place, a chunk at a time.

    Raises ArchiveError if the code is not that of a content of the header's size.
    """
    code = _chunks(file, code_size)
    decoders = {Method.STORED: _unstore, Method.LZMA: _decode_lzma, Method.MIXED: _decode_mixed}
    left = header.size
    for chunk in decoders[header.method](code, header, name):
        if len(chunk) > left:
            raise damaged(name)
        left -= len(chunk)
        yield chunk
    if left != 0:
        raise damaged(name)


def _chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (data := file.read(min(CHUNK, size))):
        size -= len(data)
        yield data


def _store(content: Iterator[bytes], header: Header) -> Coded:
    for chunk in content:
        yield len(chunk), chunk


def _unstore(code: Iterator[bytes], header: Header, name: str) -> Iterator[bytes]:
    return code


def _encode_lzma(content: Iterator[bytes], header: Header) -> Coded:
    compressor = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=LZMA_FILTERS)
    for chunk in content:
        yield len(chunk), compressor.compress(chunk)
    yield 0, compressor.flush()


def _decode_lzma(code: Iterator[bytes], header: Header, name: str) -> Iterator[bytes]:
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


def _encode_mixed(content: Iterator[bytes], header: Header) -> Coded:
    encoder = _kernels().SymbolEncoder(letters=LETTERS, table_bits=header.table_bits)
    for chunk in content:
        for start in range(0, len(chunk), PIECE):
            piece = chunk[start : start + PIECE]
            yield len(piece), encoder.encode(np.frombuffer(piece, np.uint8).astype(np.uint32))
    yield 0, encoder.finish()


def _decode_mixed(code: Iterator[bytes], header: Header, name: str) -> Iterator[bytes]:
    decoder = _kernels().SymbolDecoder(letters=LETTERS, table_bits=header.table_bits)
    left = header.size
    while left > 0:
        data = next(code, b"")
        last = not data
        while len(symbols := decoder.decode(data, min(left, PIECE), last)):
            left -= len(symbols)
            yield symbols.astype(np.uint8).tobytes()
            data = b""
        if last and left > 0:
            raise damaged(name)
    if not decoder.is_exhausted or next(code, b""):
        raise damaged(name)


def _letters_of_bytes() -> NDArray[np.uint32]:
    """Say of each byte which letter it is, for contexts of words: (256,), 0 for none.

    Both cases of a letter have one number. The bytes of characters beyond ASCII count as letters.
    """
    letters = np.arange(256, dtype=np.uint32)
    small, capital = letters - ord("a") < 26, letters - ord("A") < 26
    letters[capital] += 32
    letters[~(small | capital | (letters >= 128))] = 0
    return letters


LETTERS = _letters_of_bytes()


def _kernels() -> Any:
    try:
        return importlib.import_module("ricorda._kernels")
    except ImportError:
        raise MissingExtra(
            "the compiled kernels are missing, which this compression needs: install ricorda "
            "where a C++ compiler is, or a wheel with kernels"
        ) from None
