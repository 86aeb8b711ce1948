"""The benchmark measures what it says: peers compute the same, ratios are taken by turns."""

from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from ricorda.bench import peers, timing
from ricorda.engine import ReferenceBackend
from ricorda.models import ModelConfiguration
from ricorda.models.configuration import CellName


def random_network(
    random: np.random.Generator, cell: CellName, embedding_size: Any
) -> tuple[ModelConfiguration, peers.Tensors]:
    configuration = ModelConfiguration(
        cell=cell,
        vocabulary_size=7,
        hidden_size=9,
        embedding_size=embedding_size,
    )
    return configuration, {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }


@pytest.mark.parametrize("embedding_size", ["onehot", 4])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_onnx_step_is_the_engines(
    random: np.random.Generator, cell: CellName, embedding_size: Any
) -> None:
    reference = pytest.importorskip("onnx.reference")
    from ricorda.bench.onnx_step import step_graph

    configuration, tensors = random_network(random, cell, embedding_size)
    evaluator = reference.ReferenceEvaluator(step_graph(configuration, tensors))
    state = random.standard_normal((configuration.state_parts, 1, 1, 9))
    parts = dict(
        zip(("hidden", "cell"), state.astype(np.float32)[:, 0][:, np.newaxis], strict=False)
    )
    logits, *after = evaluator.run(None, {"symbol": np.array([3]), **parts})
    engine = ReferenceBackend(configuration, tensors)
    expected, expected_state = engine.step(np.array([3]), state.astype(np.float32))
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_allclose(np.stack(after)[:, 0], expected_state[:, 0], atol=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_torch_peers_write(random: np.random.Generator, cell: CellName) -> None:
    configuration, tensors = random_network(random, cell, 4)
    written = [peers.torch_layer(configuration, tensors), peers.torch_cell(configuration, tensors)]
    for write in written:
        write(3)
    assert len(written) == 2


def test_a_ratio_is_the_median_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(timing, "time", Mock(perf_counter=lambda: now[0]))
    turns: list[str] = []

    def work(name: str, seconds: float) -> Any:
        def run(units: int) -> None:
            turns.append(name)
            now[0] += seconds * units

        return run

    ratio = timing.compare(work("ours", 0.001), work("peer", 0.004), rounds=3)
    assert ratio.median == pytest.approx(4)
    assert ratio.least == pytest.approx(4)
    assert ratio.ours == pytest.approx(0.001)
    assert turns[-6:] == ["ours", "peer"] * 3
