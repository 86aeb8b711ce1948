"""The seed decides weights, windows, drawn symbols and dropout: compared by their numbers."""

from typing import Any

import numpy as np
import pytest
import torch

from ricorda.model import ModelConfiguration
from ricorda.training import Budget, TrainingConfiguration
from ricorda.training.data.loader import make_loader
from ricorda.training.learner import make_learner, take_step
from ricorda.training.step import Batch

IDS = np.random.default_rng(7).integers(0, 40, 3000).astype(np.uint8)


def settings(seed: int, **changes: Any) -> TrainingConfiguration:
    return TrainingConfiguration(
        model=ModelConfiguration(
            cell="lstm", vocabulary_size=40, hidden_size=6, embedding_size=4
        ),
        budget=Budget(steps=1),
        batch_size=3,
        window=8,
        learning_rate=0.01,
        seed=seed,
        **changes,
    )  # fmt: skip


def batches(seed: int) -> list[Batch]:
    configuration = settings(seed, softmax_candidates=10)
    with make_loader(configuration, IDS, torch.device("cpu")) as loader:
        return [loader.batch_at(step) for step in (150, 300, 500)]  # after the first reading


def test_the_seed_decides_the_first_weights() -> None:
    first, second, other = (make_learner(settings(seed)).model.tensors() for seed in (1, 1, 2))
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name])
        is_drawn = "bias" not in name
        assert np.array_equal(tensor, other[name]) != is_drawn, name


def test_the_seed_decides_the_windows_and_the_drawn_symbols() -> None:
    first, second, other = (batches(seed) for seed in (1, 1, 2))
    for one, same, different in zip(first, second, other, strict=True):
        assert torch.equal(one.inputs, same.inputs)
        assert not torch.equal(one.inputs, different.inputs)
        assert one.candidates is not None
        assert same.candidates is not None
        assert different.candidates is not None
        drawn, drawn_again, drawn_otherwise = (
            each.candidates[0] for each in (one, same, different) if each.candidates
        )
        assert torch.equal(drawn, drawn_again)
        assert not torch.equal(drawn, drawn_otherwise)


@pytest.mark.parametrize("kernels", ["auto", "off"])
def test_the_seed_decides_the_dropout(kernels: Any) -> None:
    def nats(seed: int) -> float:
        configuration = settings(seed, dropout=0.5, kernels=kernels)
        learner = make_learner(configuration)
        weights = torch.Generator().manual_seed(9)
        with torch.no_grad():  # the same weights for every seed
            for parameter in learner.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=weights))
        learner.model.train()
        ids = torch.arange(27).view(3, 9)
        batch = Batch(ids[:, :-1], ids[:, 1:], None)
        return take_step(learner, batch, 0.01, configuration).nats_per_symbol

    assert nats(1) == nats(1)
    assert nats(1) != nats(2)
