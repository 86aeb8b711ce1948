"""Cutting ids into blocks that overlap by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ricorda.engine.chunks import NUMBERS_AT_ONCE, overlapping, positions_at_once
from ricorda.model.configuration import ModelConfiguration


@given(st.lists(st.integers(0, 12), max_size=8), st.integers(1, 15))
def test_each_id_but_the_first_is_predicted_once(sizes: list[int], length: int) -> None:
    ids = np.arange(sum(sizes), dtype=np.uint8)
    pieces = np.split(ids, np.cumsum(sizes))[:-1]
    blocks = list(overlapping(pieces, length))
    assert all(len(block) == length + 1 for block in blocks[:-1])
    assert all(2 <= len(block) <= length + 1 for block in blocks)
    assert [number for block in blocks for number in block[1:]] == ids[1:].tolist()
    for block in blocks:
        np.testing.assert_array_equal(np.diff(block.astype(int)), 1)


def test_memory_is_bounded_also_for_large_vocabularies() -> None:
    for size in (2, 100, 30000, 0x110000):
        configuration = ModelConfiguration(cell="rnn", vocabulary_size=size, hidden_size=64)
        assert 1 <= positions_at_once(configuration) * max(size, 64) <= NUMBERS_AT_ONCE
