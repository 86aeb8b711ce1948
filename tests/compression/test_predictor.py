"""The predictor's distributions, and its code symbol by symbol."""

import math

import numpy as np
import pytest

_kernels = pytest.importorskip("ricorda._kernels")

SIZES = [1, 2, 3, 5, 16, 17, 65, 256, 300]


def letters(size: int) -> np.ndarray:
    return (np.arange(size) % 5).astype(np.uint32)


def text(size: int, length: int, seed: int = 1) -> np.ndarray:
    """Symbols where pairs repeat often."""
    random = np.random.default_rng(seed)
    phrases = [random.integers(0, size, size=n) for n in range(1, 9)]
    chosen = [phrases[k] for k in random.integers(0, len(phrases), size=length)]
    return np.concatenate(chosen)[:length].astype(np.uint32)


@pytest.mark.parametrize("size", SIZES)
def test_the_probabilities_of_all_symbols_sum_to_one(size: int) -> None:
    encoder = _kernels.SymbolEncoder(letters=letters(size), table_bits=6)
    symbols = text(size, 200)
    for start in range(0, 200, 100):
        total = math.fsum(encoder.probability(symbol) for symbol in range(size))
        assert total == pytest.approx(1.0, abs=1e-6)
        encoder.encode(symbols[start : start + 100])


@pytest.mark.parametrize("size", SIZES)
def test_symbols_come_back_whatever_the_pieces(size: int) -> None:
    symbols = text(size, 3000)
    encoder = _kernels.SymbolEncoder(letters=letters(size), table_bits=8)
    code = b"".join(encoder.encode(part) for part in np.array_split(symbols, 7)) + encoder.finish()
    decoder = _kernels.SymbolDecoder(letters=letters(size), table_bits=8)
    found = []
    for start in range(0, len(code), 50):
        data = code[start : start + 50]
        while len(part := decoder.decode(data, 123)):
            found.append(part)
            data = b""
    while (left := 3000 - sum(map(len, found))) > 0:
        found.append(decoder.decode(b"", left, True))
    np.testing.assert_array_equal(np.concatenate(found), symbols)
    assert decoder.is_exhausted


def test_the_code_has_the_length_that_the_probabilities_say() -> None:
    symbols = text(20, 400)
    encoder = _kernels.SymbolEncoder(letters=letters(20), table_bits=6)
    bits, size = 0.0, 0
    for symbol in symbols:
        bits -= math.log2(encoder.probability(int(symbol)))
        size += len(encoder.encode(np.array([symbol], np.uint32)))
    size += len(encoder.finish())
    assert bits / 8 <= size <= bits / 8 + 2


def test_what_repeats_becomes_cheap() -> None:
    encoder = _kernels.SymbolEncoder(letters=letters(256), table_bits=10)
    block = text(256, 1000)
    first = len(encoder.encode(block))
    assert len(encoder.encode(block)) < first / 10


def test_symbols_beyond_the_vocabulary_are_refused() -> None:
    encoder = _kernels.SymbolEncoder(letters=letters(20))
    with pytest.raises(IndexError, match="symbols must be below"):
        encoder.encode(np.array([20], np.uint32))
    with pytest.raises(ValueError, match="table_bits"):
        _kernels.SymbolEncoder(letters=letters(20), table_bits=60)
