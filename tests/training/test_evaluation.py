"""Evaluation during training: which symbols count, and what two figures come to."""

import math
from typing import Any

import numpy as np
import pytest

from ricorda.engine import ReferenceBackend
from ricorda.text import Part
from ricorda.training.evaluation import EvaluationResult, QuickEvaluation, evaluate
from ricorda.training.kernel_learner import KernelLearner
from ricorda.training.learner import make_learner
from ricorda.training.process_group import ProcessGroup
from tests.training.learners import learn, settings
from tests.training.threads import in_threads

NETWORK = {"cell": "gru", "vocabulary_size": 9, "hidden_size": 7, "embedding_size": 4}


@pytest.mark.parametrize(
    "raw, averaged, better",
    [(2.0, 1.5, True), (1.5, 2.0, False), (2.0, 2.0, False), (math.nan, 3.0, True)],
)
def test_the_better_weights_are_the_model(raw: float, averaged: float, better: bool) -> None:
    result = EvaluationResult(raw, averaged, has_average=True)
    assert result.averaged_is_better is better
    assert result.nats_per_symbol == (averaged if better else raw)


def test_without_a_validation_text_the_average_is_the_model() -> None:
    result = EvaluationResult(None, None, has_average=True)
    assert result.averaged_is_better
    assert result.nats_per_symbol is None


def test_a_row_has_both_figures_where_there_is_an_average() -> None:
    expected: dict[str, Any] = {"nats_per_character": 4.0}
    assert EvaluationResult(2.0).figures(2.0) == expected
    expected |= {"raw_nats_per_character": 5.0, "averaged_nats_per_character": 4.0}
    assert EvaluationResult(2.5, 2.0, has_average=True).figures(2.0) == expected


@pytest.mark.parametrize("size", [2, 60, 3000])
def test_both_backends_find_the_same(size: int) -> None:
    pytest.importorskip("torch")
    ids = np.random.default_rng(1).integers(0, 300, size).astype(np.uint16)
    network = {"cell": "gru", "vocabulary_size": 300, "hidden_size": 20, "num_layers": 2}
    found = [
        QuickEvaluation(Part.whole(ids)).nats_per_symbol(
            make_learner(settings(network, dropout=0.5, backend=backend))
        )
        for backend in ("kernels", "torch")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_a_loss_that_is_not_a_number() -> None:
    learner = KernelLearner(settings({"cell": "rnn", "embedding_size": "onehot"}))
    learner.weights()["output.bias"][0] = math.nan
    evaluation = QuickEvaluation(Part.whole(np.arange(9, dtype=np.uint8)))
    assert math.isnan(evaluation.nats_per_symbol(learner))


def large_weights() -> KernelLearner:
    """Return a learner with large weights, so that the state before a segment matters."""
    learner = KernelLearner(settings(NETWORK))
    for array in learner.weights().values():
        array[...] *= 3.0
    return learner


def varied_ids(size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return a text whose halves differ, so that it matters which symbols are read."""
    ids = np.random.default_rng(size).integers(0, 9, size).astype(np.uint8)
    ids[size // 2 :] //= 3
    return ids


def counted_one_by_one(learner: KernelLearner, ids: Any) -> float:
    """Return the figure by its description: up to 32 segments, each after 128 symbols before it."""
    backend = ReferenceBackend(learner.configuration.model, learner.weights())
    predictions = len(ids) - 1
    counted = min(predictions, 32 * 1024)
    segments = max(1, min(32, counted // 128))
    length = counted // segments
    total = 0.0
    for number in range(segments):
        first = (predictions - length) * number // (segments - 1) if segments > 1 else 0
        start = max(0, first - 128) if segments > 1 else first
        read = slice(start, first + length)
        scored, _ = backend.score(
            ids[None, read], ids[None, read.start + 1 : read.stop + 1], backend.zero_state(1)
        )
        total += float(scored.nats[0, first - start :].sum(dtype=float))
    return total / (segments * length)


@pytest.mark.parametrize("size", [2, 100, 257, 1000, 5000, 40_000])
def test_the_right_symbols_count(size: int) -> None:
    learner, ids = large_weights(), varied_ids(size)
    found = QuickEvaluation(Part.whole(ids)).nats_per_symbol(learner)
    assert found == pytest.approx(counted_one_by_one(learner, ids), rel=1e-5)


@pytest.mark.parametrize("size", [100, 5000])
def test_processes_share_the_segments(size: int) -> None:
    ids = varied_ids(size)
    expected = QuickEvaluation(Part.whole(ids)).nats_per_symbol(large_weights())

    def work(group: ProcessGroup) -> float:
        return QuickEvaluation(Part.whole(ids), group).nats_per_symbol(large_weights())

    found = in_threads(3, work)
    assert found[0] == pytest.approx(expected, rel=1e-6)
    assert len(set(found)) == 1


def test_weights_and_their_average_are_evaluated() -> None:
    learner = KernelLearner(settings(NETWORK, averaging=0.9))
    learn(learner, range(20))
    ids = varied_ids(1000)
    result = evaluate(learner, QuickEvaluation(Part.whole(ids)))
    assert result.has_average
    assert result.raw is not None
    assert result.averaged is not None
    assert result.raw != result.averaged
    averaged = KernelLearner(settings(NETWORK))
    for name, array in averaged.weights().items():
        array[...] = learner.weights(averaged=True)[name]
    assert QuickEvaluation(Part.whole(ids)).nats_per_symbol(averaged) == result.averaged
