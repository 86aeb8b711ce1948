"""The seed decides weights, windows, negatives and dropout."""

import numpy as np
import pytest

from ricorda.text import Part
from ricorda.training.data.loader import make_loader
from ricorda.training.kernel_learner import KernelLearner
from ricorda.training.learner import Batch, make_learner
from tests.training.learners import settings

IDS = np.random.default_rng(7).integers(0, 40, 3000).astype(np.uint8)
NETWORK = {"vocabulary_size": 40}


def batches(seed: int) -> list[Batch]:
    learner = KernelLearner(settings(NETWORK, seed=seed, window=8, softmax_candidates=10))
    with make_loader(learner, Part.whole(IDS)) as loader:
        return [loader.batch_at(step) for step in (150, 300, 500)]  # after the first epoch


def test_the_seed_decides_the_first_weights() -> None:
    first, second, other = (KernelLearner(settings(seed=seed)).weights() for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
        is_drawn = "bias" not in name
        assert np.array_equal(array, other[name]) != is_drawn, name


def test_the_seed_decides_the_windows_and_the_negatives() -> None:
    for one, same, different in zip(batches(1), batches(1), batches(2), strict=True):
        np.testing.assert_array_equal(one.inputs, same.inputs)
        assert not np.array_equal(one.inputs, different.inputs)
        assert one.negatives is not None
        assert same.negatives is not None
        assert different.negatives is not None
        np.testing.assert_array_equal(one.negatives.ids, same.negatives.ids)
        assert not np.array_equal(one.negatives.ids, different.negatives.ids)


@pytest.mark.parametrize("backend", ["kernels", "torch"])
def test_the_seed_decides_the_dropout(backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    weights = KernelLearner(settings(NETWORK)).tensors()  # the same for every seed

    def nats(seed: int) -> float:
        learner = make_learner(settings(NETWORK, dropout=0.5, seed=seed, backend=backend))
        learner.restore(weights)
        ids = np.arange(24, dtype=np.uint32).reshape(3, 8)
        return learner.take_step(Batch(ids[:, :-1], ids[:, 1:], None), 0.01, 0).nats_per_symbol

    assert nats(1) == nats(1)
    assert nats(1) != nats(2)
