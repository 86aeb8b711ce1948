"""Units that are dead or saturated."""

import numpy as np
import pytest

from ricorda.engine import open_model
from ricorda.insight import Unit, unit_health
from ricorda.model import ModelFile
from ricorda.model.cells import CellName
from tests.insight.planted import HIDDEN_SIZE, planted_file, planted_model, planted_text

DEAD, STUCK, SATURATED = 1, 2, 3


def spoiled() -> ModelFile:
    """A simple network of which one unit says nothing, one always 1, and one is -1 or 1."""
    file = planted_file("rnn")
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        file.tensors[f"layers.0.{name}"][[DEAD, STUCK, SATURATED]] = 0
    file.tensors["layers.0.bias_ih"][STUCK] = 9
    file.tensors["layers.0.weight_ih"][SATURATED] = np.where(
        np.arange(file.vocabulary.size) % 2, 9, -9
    )
    return file


def test_units_that_do_nothing_are_found() -> None:
    health = unit_health(open_model(spoiled()), planted_text())
    assert {Unit(0, DEAD), Unit(0, STUCK)} <= set(health.dead)
    assert Unit(0, SATURATED) in health.saturated
    assert not set(health.dead) & set(health.saturated)
    assert health.state_of(Unit(0, DEAD)) == "dead"
    assert health.state_of(Unit(0, SATURATED)) == "saturated"
    assert health.state_of(Unit(0, 0)) == "works"


@pytest.mark.parametrize("cell", ["lstm", "cifg", "gru"])
def test_the_figures_are_those_of_the_trace(
    cell: CellName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ricorda.engine.chunks.positions_at_once", lambda configuration: 5 * 37)
    model, text = planted_model(cell), planted_text(10)
    health = unit_health(model, text)
    trace = model.trace(text)
    hidden = trace["hidden"].astype(np.float64)
    assert health.symbols == len(text)
    np.testing.assert_allclose(health.mean, hidden.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(health.deviation, hidden.std(axis=0), atol=1e-9)
    np.testing.assert_array_equal(health.smallest, hidden.min(axis=0))
    np.testing.assert_array_equal(health.largest, hidden.max(axis=0))
    np.testing.assert_allclose(health.saturated_share, (np.abs(hidden) >= 0.95).mean(axis=0))
    gates = {name for name in trace if name.endswith("_gate")}
    assert set(health.shut) == set(health.open) == gates
    for name in gates:
        np.testing.assert_allclose(health.shut[name], (trace[name] < 0.1).mean(axis=0))
        np.testing.assert_allclose(health.open[name], (trace[name] > 0.9).mean(axis=0))
        assert health.open[name].shape == (1, HIDDEN_SIZE)
