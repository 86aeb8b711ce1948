"""Gradients are those of finite differences; integrated ones add up."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine import ReferenceBackend
from ricorda.engine.backend import Array
from ricorda.engine.reference import Layer
from ricorda.engine.sampling import log_softmax
from ricorda.errors import ConfigurationError
from ricorda.insight import gradient_influence
from ricorda.model import ModelFile
from ricorda.torch.gradient import MEASURES
from tests.insight.planted import planted_file, planted_text
from tests.insight.test_step_equation import NETWORKS, TEXT

Numbers = NDArray[np.float64]


def log_probability(file: ModelFile, vectors: Numbers, place: int, begin: int) -> float:
    """Log p of the symbol at a place where vectors (D, I) stand for those from `begin` on."""
    backend = ReferenceBackend(file.configuration, file.tensors, np.float64)
    ids = file.vocabulary.encode(TEXT)
    state = backend.zero_state(1)
    if begin:
        _, state = backend.forward(ids[np.newaxis, :begin], state)
    layers: list[Layer] = backend._layers
    hidden: Array = vectors[np.newaxis]
    continues = np.ones(hidden.shape[:2], bool)
    for number, layer in enumerate(layers):
        projected = layer.project_input(hidden)
        activations, _ = backend._run_layer(
            layer, projected, state[:, number], ("hidden",), continues
        )
        hidden = activations["hidden"]
    logits = hidden[0, -1] @ backend._output_weights + backend._output_bias
    return float(log_softmax(logits)[ids[place]])


def table(file: ModelFile) -> Numbers:
    if file.configuration.embedding_size == "onehot":
        return np.eye(file.configuration.vocabulary_size)
    return file.tensors["embedding.weight"].astype(np.float64)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_measures_are_what_they_say(name: str) -> None:
    file = NETWORKS[name]
    ids = file.vocabulary.encode(TEXT)
    place, distance = 7, 3
    vectors = table(file)[ids[place - distance : place]]  # (D, I)
    slope = np.zeros_like(vectors)
    for index in np.ndindex(*vectors.shape):
        moved = [vectors.copy(), vectors.copy()]
        moved[0][index] += 1e-5
        moved[1][index] -= 1e-5
        up, down = (log_probability(file, each, place, place - distance) for each in moved)
        slope[index] = (up - down) / 2e-5
    found = {
        measure: gradient_influence(file, TEXT, [place], distance=distance, measure=measure)[1][0]
        for measure in MEASURES
    }
    np.testing.assert_allclose(found["norm"][::-1], np.linalg.norm(slope, axis=1), atol=1e-6)
    mean = table(file)[ids].mean(axis=0)
    products = ((vectors - mean) * slope).sum(axis=1)
    np.testing.assert_allclose(found["product"][::-1], products, atol=1e-6)
    gained = log_probability(file, vectors, place, place - distance) - log_probability(
        file, np.broadcast_to(mean, vectors.shape), place, place - distance
    )
    assert found["integrated"].sum() == pytest.approx(gained, abs=0.01)


def test_places_and_distances() -> None:
    file, text = planted_file(), planted_text(4)
    places, values = gradient_influence(file, text, [9, 3, 40], distance=6)
    assert places.tolist() == [9, 3, 40]
    assert np.isnan(values[1]).tolist() == [False] * 3 + [True] * 3
    alone = gradient_influence(file, text, [40], distance=6)[1]
    np.testing.assert_allclose(values[2], alone[0])
    nearer = gradient_influence(file, text, [40], distance=2)[1]
    np.testing.assert_allclose(nearer[0], alone[0, :2])


def test_wrong_options_are_reported() -> None:
    with pytest.raises(ConfigurationError, match="measure must be 'norm' or 'product'"):
        gradient_influence(planted_file(), "the", measure="x")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="distance must be at least 1"):
        gradient_influence(planted_file(), "the", distance=0)
