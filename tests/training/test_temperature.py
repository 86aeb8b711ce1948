"""The temperature of a trained network, fitted on its validation part."""

import numpy as np
import pytest

from ricorda.engine import Model, make_backend
from ricorda.engine.backend import Array
from ricorda.model import ModelConfiguration
from ricorda.text import CharacterVocabulary, Part
from ricorda.training import temperature
from ricorda.training.temperature import FEWEST, at_temperature, fitted_temperature

VOCABULARY = CharacterVocabulary("abcdefghijklmnopqrstuvwxyz", "a")
CONFIGURATION = ModelConfiguration(
    cell="gru", vocabulary_size=VOCABULARY.size, hidden_size=16, embedding_size=8
)
RANDOM = np.random.default_rng(1)
TENSORS: dict[str, Array] = {
    name: RANDOM.normal(0, 0.5, shape).astype(np.float32)
    for name, shape in CONFIGURATION.tensor_shapes().items()
}


def model(tensors: dict[str, Array]) -> Model:
    return Model(CONFIGURATION, VOCABULARY, make_backend(CONFIGURATION, tensors), {})


def written(count: int) -> Part:
    """A text that the network itself wrote: its temperature is 1."""
    return Part.whole(
        VOCABULARY.encode(model(TENSORS).generate(length=count, temperature=1.0, seed=1))
    )


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.4])
def test_temperature_of_a_network_with_scaled_logits_is_the_scale(factor: float) -> None:
    part = written(6_000)
    scaled = at_temperature(TENSORS, 1 / factor)

    assert fitted_temperature(model(scaled), part) == pytest.approx(factor, rel=0.03)


def test_fitted_temperature_has_a_lower_loss_than_its_neighbours() -> None:
    part = written(6_000)
    scaled = at_temperature(TENSORS, 0.8)
    best = fitted_temperature(model(scaled), part)

    losses = [
        model(at_temperature(scaled, best * factor)).evaluate(part).nats_per_character
        for factor in (0.96, 1.0, 1.04)
    ]

    assert min(losses) == losses[1]


def test_part_that_is_too_short_leaves_the_temperature_at_one() -> None:
    scaled = at_temperature(TENSORS, 0.5)

    assert fitted_temperature(model(scaled), written(FEWEST)) == 1.0


@pytest.mark.parametrize("most, read", [(1, FEWEST), (26 * 5_000, 5_000), (1 << 24, 5_999)])
def test_of_a_long_part_evenly_spread_segments_are_read(
    most: int, read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temperature, "MOST_LOGITS", most)
    found = list(temperature._predictions(model(TENSORS), written(6_000)))

    assert sum(len(targets) for _, targets in found) == pytest.approx(read, abs=5)
    assert sum(len(logits) for logits, _ in found) == sum(len(targets) for _, targets in found)


def test_logits_that_are_not_finite_leave_the_temperature_at_one() -> None:
    broken = TENSORS | {"output.bias": np.full(VOCABULARY.size, np.inf, np.float32)}

    assert fitted_temperature(model(broken), written(2_000)) == 1.0


def test_only_the_output_layer_changes() -> None:
    scaled = at_temperature(TENSORS, 2.0)

    changed = {name for name in TENSORS if not np.array_equal(scaled[name], TENSORS[name])}
    assert changed == {"output.weight", "output.bias"}
