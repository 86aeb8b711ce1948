"""Random numbers: numpy's Philox, number for number."""

import numpy as np
import pytest

from ricorda import _kernels


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63, 2**64 - 1])
@pytest.mark.parametrize("stream_index", [0, 7, 2**64 - 1])
def test_numbers_are_those_of_numpy(seed: int, stream_index: int) -> None:
    key = np.array([seed, stream_index], np.uint64)
    expected = np.random.Philox(key=key).random_raw(1003)
    np.testing.assert_array_equal(_kernels.philox(seed, stream_index, 1003), expected)


def test_fresh_keys(random: np.random.Generator) -> None:
    for seed, stream_index in random.integers(0, 2**64, (50, 2), np.uint64):
        key = np.array([seed, stream_index], np.uint64)
        expected = np.random.Philox(key=key).random_raw(9)
        np.testing.assert_array_equal(_kernels.philox(int(seed), int(stream_index), 9), expected)
