"""What an evaluation makes of two figures."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from ricorda.engine import kernels_are_built
from ricorda.model import ModelConfiguration, RecurrentLanguageModel
from ricorda.training import Budget, TrainingConfiguration
from ricorda.training.evaluation import EvaluationResult, QuickEvaluation


@pytest.mark.parametrize(
    "raw, averaged, better",
    [(2.0, 1.5, True), (1.5, 2.0, False), (2.0, 2.0, False), (math.nan, 3.0, True)],
)
def test_the_better_weights_are_the_model(raw: float, averaged: float, better: bool) -> None:
    result = EvaluationResult(raw, averaged, has_average=True)
    assert result.averaged_is_better is better
    assert result.nats_per_symbol == (averaged if better else raw)


def test_without_a_text_to_judge_by_the_average_is_the_model() -> None:
    result = EvaluationResult(None, None, has_average=True)
    assert result.averaged_is_better
    assert result.nats_per_symbol is None


def test_a_row_has_both_figures_where_there_is_an_average() -> None:
    expected: dict[str, Any] = {"nats_per_character": 4.0}
    assert EvaluationResult(2.0).figures(2.0) == expected
    expected |= {"raw_nats_per_character": 5.0, "averaged_nats_per_character": 4.0}
    assert EvaluationResult(2.5, 2.0, has_average=True).figures(2.0) == expected


def settings(network: ModelConfiguration, kernels: Any) -> TrainingConfiguration:
    return TrainingConfiguration(
        model=network,
        budget=Budget(steps=1),
        batch_size=4,
        window=8,
        learning_rate=0.1,
        kernels=kernels,
    )


@pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")
@pytest.mark.parametrize("size", [2, 60, 3000])
def test_the_kernels_find_what_pytorch_finds(size: int) -> None:
    ids = np.random.default_rng(1).integers(0, 300, size).astype(np.uint16)
    network = ModelConfiguration(
        cell="gru", vocabulary_size=300, hidden_size=20, num_layers=2, embedding_size=8
    )
    model = RecurrentLanguageModel(network, dropout=0.5, generator=torch.Generator().manual_seed(1))
    found = []
    for kernels in ("auto", "off"):
        model.train()
        evaluation = QuickEvaluation(ids, "cpu")
        found.append(evaluation.nats_per_symbol(model, settings(network, kernels)))
        assert model.training
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize("kernels", ["auto", "off"])
def test_numbers_gone_wrong_are_no_number(kernels: Any) -> None:
    network = ModelConfiguration(
        cell="rnn", vocabulary_size=9, hidden_size=4, embedding_size="onehot"
    )
    model = RecurrentLanguageModel(network)
    with torch.no_grad():
        model.output.bias[0] = math.nan
    evaluation = QuickEvaluation(np.arange(9, dtype=np.uint8), "cpu")
    assert math.isnan(evaluation.nats_per_symbol(model, settings(network, kernels)))


def counted_one_by_one(model: RecurrentLanguageModel, ids: torch.Tensor) -> float:
    """The figure by its description: up to 32 segments, each read after 128 symbols before it."""
    predictions = len(ids) - 1
    counted = min(predictions, 32 * 1024)
    segments = max(1, min(32, counted // 128))
    length = counted // segments
    total = 0.0
    for number in range(segments):
        first = 0
        if segments > 1:
            first = (predictions - length) * number // (segments - 1)
        start = max(0, first - 128) if segments > 1 else first
        logits, _ = model(ids[None, start : first + length])
        expected = ids[first + 1 : first + length + 1]
        nats = torch.nn.functional.cross_entropy(
            logits[0, first - start :].double(), expected, reduction="sum"
        )
        total += float(nats)
    return total / (segments * length)


@pytest.mark.parametrize("kernels", ["auto", "off"])
@pytest.mark.parametrize("size", [2, 100, 257, 1000, 5000, 40_000])
@torch.no_grad()
def test_the_right_symbols_count(size: int, kernels: Any) -> None:
    ids = np.random.default_rng(size).integers(0, 9, size).astype(np.uint8)
    ids[size // 2 :] //= 3  # the halves differ, so that it matters which symbols are read
    network = ModelConfiguration(cell="gru", vocabulary_size=9, hidden_size=7, embedding_size=4)
    model = RecurrentLanguageModel(network, generator=torch.Generator().manual_seed(1))
    for parameter in model.parameters():
        parameter.mul_(3.0)  # so that the state before a segment matters
    found = QuickEvaluation(ids, "cpu").nats_per_symbol(model, settings(network, kernels))
    expected = counted_one_by_one(model.eval(), torch.from_numpy(ids.astype(np.int64)))
    assert found == pytest.approx(expected, rel=1e-5)
