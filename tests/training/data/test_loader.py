"""Batches by the number of the step, prepared ahead or not."""

import numpy as np
import pytest
import torch

from ricorda.errors import ConfigurationError
from ricorda.text import WindowStream
from ricorda.training.data.loader import DataLoader
from ricorda.training.data.negatives import CandidateSampler


def stream() -> WindowStream:
    ids = np.random.default_rng(2).integers(0, 9, 400).astype(np.uint8)
    return WindowStream(ids, batch_size=4, window=5, seed=3, reset_probability=0.3)


@pytest.mark.parametrize("draws", [False, True])
def test_what_is_prepared_ahead_is_the_same(*, draws: bool) -> None:
    ids = np.random.default_rng(2).integers(0, 9, 400).astype(np.uint8)
    sampler = CandidateSampler(ids, 9, 4, seed=3) if draws else None
    with (
        DataLoader(stream(), torch.device("cpu"), sampler, ahead=True) as ahead,
        DataLoader(stream(), torch.device("cpu"), sampler) as plain,
    ):
        for step in [0, 1, 2, 7, 8, 3, 4]:  # a run may go back
            mine, its = ahead.batch_at(step), plain.batch_at(step)
            assert (its.candidates is not None) == draws
            torch.testing.assert_close(mine, its)


def test_what_goes_wrong_ahead_is_raised() -> None:
    loader = DataLoader(stream(), torch.device("cpu"), ahead=True)
    with pytest.raises(ConfigurationError):
        loader.batch_at(-1)
    loader.close()


def test_rows_are_a_part_of_the_window() -> None:
    whole = stream().window_at(3)
    ids = np.random.default_rng(2).integers(0, 9, 400).astype(np.uint8)
    part = WindowStream(
        ids, batch_size=4, window=5, seed=3, reset_probability=0.3, rows=slice(1, 3)
    ).window_at(3)
    for mine, its in zip(part, whole, strict=True):
        np.testing.assert_array_equal(mine, its[1:3])
