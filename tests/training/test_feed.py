"""Batches by the number of the step, prepared ahead or not."""

import numpy as np
import pytest
import torch

from ricorda.errors import ConfigurationError
from ricorda.text import WindowStream
from ricorda.training.feed import Feed


def stream() -> WindowStream:
    ids = np.random.default_rng(2).integers(0, 9, 400).astype(np.uint8)
    return WindowStream(ids, batch_size=4, window=5, seed=3, reset_probability=0.3)


def test_what_is_prepared_ahead_is_the_same() -> None:
    ahead, plain = (
        Feed(stream(), torch.device("cpu"), ahead=True),
        Feed(stream(), torch.device("cpu")),
    )
    for step in [0, 1, 2, 7, 8, 3, 4]:  # a run may go back
        for mine, its in zip(ahead.batch_at(step), plain.batch_at(step), strict=True):
            if its is None:
                assert mine is None
            else:
                torch.testing.assert_close(mine, its)
    ahead.close()
    plain.close()


def test_what_goes_wrong_ahead_is_raised() -> None:
    feed = Feed(stream(), torch.device("cpu"), ahead=True)
    with pytest.raises(ConfigurationError):
        feed.batch_at(-1)
    feed.close()


def test_rows_are_a_part_of_the_window() -> None:
    whole = stream().window_at(3)
    ids = np.random.default_rng(2).integers(0, 9, 400).astype(np.uint8)
    part = WindowStream(
        ids, batch_size=4, window=5, seed=3, reset_probability=0.3, rows=slice(1, 3)
    ).window_at(3)
    for mine, its in zip(part, whole, strict=True):
        np.testing.assert_array_equal(mine, its[1:3])
