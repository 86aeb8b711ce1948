"""Changed weights give the same result as holding a unit's output."""

from collections.abc import Mapping

import numpy as np
import pytest

from ricorda.engine import ReferenceBackend, open_model
from ricorda.engine.backend import Array
from ricorda.engine.reference import Layer
from ricorda.errors import ConfigurationError
from ricorda.insight import Unit, clamped
from ricorda.model import ModelFile
from tests.insight.planted import QUOTE_UNIT, planted_file, planted_text
from tests.insight.test_step_equation import NETWORKS, TEXT


def logits_with_held_units(file: ModelFile, text: str, held: Mapping[Unit, float]) -> Array:
    """Step the network and overwrite the units' outputs before anybody reads them: (T, V)."""
    backend = ReferenceBackend(file.configuration, file.tensors, np.float64)
    layers: list[Layer] = backend._layers
    state = backend.zero_state(1)
    found = []
    for symbol in file.vocabulary.encode(text).tolist():
        below = backend._project_symbols(np.array([symbol]), None)
        for number, layer in enumerate(layers):
            for unit, value in held.items():
                if unit.layer == number:
                    state[0, number, 0, unit.number] = value
            projected = layer.project_input(below) if number else below
            activations = backend._cell(projected, state[:, number], layer)
            parts = [activations[name] for name in backend._carried]
            below = parts[0].copy()
            for unit, value in held.items():
                if unit.layer == number:
                    below[0, unit.number] = value
            state[:, number] = np.stack(parts)
        found.append(below[0] @ backend._output_weights + backend._output_bias)
    return np.stack(found)


HELD: list[dict[Unit, float]] = [
    {Unit(0, 2): 0.0},
    {Unit(0, 2): 0.9},
    {Unit(0, 0): -1.0, Unit(0, 5): 0.25},
]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("held", HELD, ids=str)
def test_it_equals_the_network_with_the_output_replaced(name: str, held: dict[Unit, float]) -> None:
    file = NETWORKS[name]
    if file.configuration.num_layers > 1:
        held = {**held, Unit(1, 3): 0.7}
    expected = logits_with_held_units(file, TEXT, held)
    changed = clamped(file, held)
    ids = file.vocabulary.encode(TEXT)[np.newaxis]
    for backend in ("numpy", "auto"):
        engine = open_model(changed, backend=backend).backend
        logits, _ = engine.forward(ids, engine.zero_state(1))
        np.testing.assert_allclose(logits[0], expected, atol=2e-5, rtol=1e-5)


def test_a_unit_of_a_gru_that_is_held_is_not_its_own_memory() -> None:
    """Its own past, z * h, goes on unheard: with the first step's output held too, all agree."""
    file = NETWORKS["gru"]
    one, other = (clamped(file, {Unit(0, 1): value}) for value in (0.0, 1e-12))
    for name in file.tensors:
        np.testing.assert_allclose(one.tensors[name], other.tensors[name], atol=1e-9)


def test_the_given_model_is_left_as_it_is() -> None:
    file = planted_file()
    before = {name: tensor.copy() for name, tensor in file.tensors.items()}
    changed = clamped(file, {QUOTE_UNIT: 0.5})
    for name, tensor in before.items():
        np.testing.assert_array_equal(file.tensors[name], tensor)
    assert changed.vocabulary == file.vocabulary
    np.testing.assert_array_equal(clamped(file, {}).tensors["output.bias"], before["output.bias"])


def test_another_sample_is_written() -> None:
    file = planted_file()
    prompt = planted_text(2)
    samples = [
        open_model(clamped(file, held)).generate(prompt, seed=3, length=80)
        for held in ({}, {QUOTE_UNIT: 0.0}, {QUOTE_UNIT: 1.0})
    ]
    assert len(set(samples)) == 3
    assert samples[0] == open_model(file).generate(prompt, seed=3, length=80)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_must_be_a_number(value: float) -> None:
    with pytest.raises(ConfigurationError, match="to hold unit 0:5 at, got"):
        clamped(planted_file(), {QUOTE_UNIT: value})


def test_a_unit_must_be_there() -> None:
    with pytest.raises(ConfigurationError, match="expected a unit from"):
        clamped(planted_file(), {Unit(0, 99): 0.0})
