"""The distributions of initial weights."""

from typing import Any

import numpy as np
import pytest

from ricorda.training.initialization import initial_weights
from tests.training.learners import NETWORKS, settings

every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))


@every_network
def test_every_tensor_of_the_model_file_is_drawn(network: dict[str, Any]) -> None:
    configuration = settings(network)
    weights = initial_weights(configuration)
    shapes = {name: array.shape for name, array in weights.items()}
    assert shapes == configuration.model.tensor_shapes()
    assert list(shapes) == list(configuration.model.tensor_shapes())
    assert all(array.dtype == np.float32 for array in weights.values())


@pytest.mark.parametrize("hidden_size", [1, 2, 15, 16, 17, 50])
def test_each_gates_recurrent_weights_are_orthogonal(hidden_size: int) -> None:
    weights = initial_weights(settings({"hidden_size": hidden_size, "num_layers": 2}))
    for layer in range(2):
        blocks = weights[f"layers.{layer}.weight_hh"].reshape(4, hidden_size, hidden_size)
        for block in blocks.astype(np.float64):
            np.testing.assert_allclose(block @ block.T, np.eye(hidden_size), atol=1e-6)
        assert not np.array_equal(blocks[0], blocks[1]) or hidden_size == 1


def test_orthogonal_matrices_are_uniformly_distributed() -> None:
    """Traces of such matrices have mean 0 and variance 1, and half of the determinants are -1."""
    blocks = np.concatenate(
        [
            initial_weights(settings(seed=seed))["layers.0.weight_hh"].reshape(4, 6, 6)
            for seed in range(250)
        ]
    )
    traces = np.trace(blocks, axis1=1, axis2=2)
    assert abs(traces.mean()) < 0.12
    assert abs(traces.var() - 1) < 0.2
    determinants = np.linalg.det(blocks)
    np.testing.assert_allclose(np.abs(determinants), 1, atol=1e-5)
    assert abs(determinants.mean()) < 0.12


@pytest.mark.parametrize(
    "network, name, bound",
    [
        ({}, "output.weight", 20**-0.5),
        ({"embedding_size": 5}, "layers.0.weight_ih", 5**-0.5),
        ({"embedding_size": 64}, "layers.0.weight_ih", 20**-0.5),
        ({"embedding_size": "onehot"}, "layers.0.weight_ih", 20**-0.5),
        ({"num_layers": 2}, "layers.1.weight_ih", 20**-0.5),
        ({}, "layers.0.weight_hh", 20**-0.5),
    ],
)
def test_other_weights_are_uniform(network: dict[str, Any], name: str, bound: float) -> None:
    shape = {"hidden_size": 20, "vocabulary_size": 100} | network
    weights = initial_weights(settings(shape, initialisation="uniform"))[name] / bound
    assert 0.97 < weights.max() <= 1 + 1e-6
    assert -1 - 1e-6 <= weights.min() < -0.97
    tolerance = 4 / weights.size**0.5
    assert abs(weights.mean()) < tolerance * 3**-0.5
    assert abs((weights**2).mean() - 1 / 3) < tolerance * 0.3


def test_embeddings_are_normal() -> None:
    shape = {"vocabulary_size": 300, "embedding_size": 40}
    values = initial_weights(settings(shape))["embedding.weight"]
    assert abs(values.mean()) < 0.04
    assert abs(values.var() - 1) < 0.06
    assert 3 < np.abs(values).max() < 6


def test_labels_are_standard_normal() -> None:
    rows = initial_weights(settings({"num_labels": 60, "hidden_size": 50}))["labels.weight"]
    assert rows.shape == (60, 200)
    assert abs(rows.mean()) < 0.04
    assert abs(rows.var() - 1) < 0.06
    assert 3 < np.abs(rows).max() < 6


@pytest.mark.parametrize(
    "cell, gates",
    [("rnn", 1), ("gru", 3), ("lstm", 4), ("cifg", 3), ("mingru", 2), ("minlstm", 3)],
)
def test_biases_are_zero_except_an_lstms_forget_gate(cell: str, gates: int) -> None:
    weights = initial_weights(settings({"cell": cell, "hidden_size": 5}, forget_bias=1.5))
    expected = np.zeros(5 * gates)
    if cell in ("lstm", "minlstm"):
        expected[5:10] = 1.5
    np.testing.assert_array_equal(weights["layers.0.bias_ih"], expected)
    assert ("layers.0.bias_hh" in weights) == (cell not in ("mingru", "minlstm"))
    assert not weights.get("layers.0.bias_hh", np.zeros(1)).any()
    assert not weights["output.bias"].any()
