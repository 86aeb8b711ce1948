"""Batches by the number of the step, prefetched or not."""

from dataclasses import replace

import numpy as np
import pytest

from ricorda.errors import ConfigurationError
from ricorda.text import Part, WindowStream
from ricorda.training.data.loader import DataLoader, make_loader
from ricorda.training.data.negatives import NegativeSampler
from ricorda.training.kernel_learner import KernelLearner
from ricorda.training.learner import Batch
from tests.training.learners import settings
from tests.training.threads import in_threads

IDS = Part.whole(np.random.default_rng(2).integers(0, 9, 400).astype(np.uint8))


def stream(rows: slice = slice(None)) -> WindowStream:
    return WindowStream(IDS, batch_size=4, window=5, seed=3, reset_probability=0.3, rows=rows)


def assert_equal(one: Batch, other: Batch) -> None:
    np.testing.assert_array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.targets, other.targets)
    np.testing.assert_equal(one.restart, other.restart)
    np.testing.assert_equal(one.negatives, other.negatives)


@pytest.mark.parametrize("draws", [False, True])
def test_prefetched_batches_are_the_same(*, draws: bool) -> None:
    sampler = NegativeSampler(IDS, 9, 4, seed=3) if draws else None
    with (
        DataLoader(stream(), sampler, prefetches=True) as ahead,
        DataLoader(stream(), sampler) as plain,
    ):
        for step in [0, 1, 2, 7, 8, 3, 4]:  # a run may return to a checkpoint
            batch = plain.batch_at(step)
            assert (batch.negatives is not None) == draws
            assert_equal(ahead.batch_at(step), batch)


def test_an_error_of_the_thread_is_raised() -> None:
    loader = DataLoader(stream(), prefetches=True)
    with pytest.raises(ConfigurationError):
        loader.batch_at(-1)
    loader.close()


def test_rows_are_a_part_of_the_window() -> None:
    whole, part = stream().window_at(3), stream(slice(1, 3)).window_at(3)
    for mine, its in zip(part[:3], whole[:3], strict=True):
        np.testing.assert_array_equal(mine, its[1:3])


def test_restarts_are_left_out_where_there_are_none() -> None:
    loader = DataLoader(stream())
    restarts = [loader.batch_at(step).restart for step in range(40)]
    assert any(restart is None for restart in restarts)
    for step, restart in enumerate(restarts):
        expected = stream().window_at(step).restart
        if restart is None:
            assert not expected.any()
        else:
            assert restart.dtype == np.float32
            np.testing.assert_array_equal(restart, expected)


def test_a_learner_gets_its_own_streams_and_the_common_negatives() -> None:
    configuration = settings(batch_size=5, softmax_candidates=4, reset_probability=0.5)
    alone = make_loader(KernelLearner(configuration), IDS).batch_at(7)

    def work(group: object) -> Batch:
        return make_loader(KernelLearner(configuration, group), IDS).batch_at(7)  # type: ignore[arg-type]

    parts = in_threads(2, work)
    assert alone.negatives is not None
    np.testing.assert_array_equal(np.concatenate([part.inputs for part in parts]), alone.inputs)
    for part in parts:
        np.testing.assert_equal(part.negatives, alone.negatives)
    exact = make_loader(KernelLearner(replace(configuration, softmax_candidates=0)), IDS)
    assert exact.batch_at(7).negatives is None
