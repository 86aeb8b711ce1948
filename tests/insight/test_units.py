"""Units by name, and what they did over texts of any length."""

from typing import Any

import numpy as np
import pytest

from ricorda.engine import open_model
from ricorda.errors import ConfigurationError, TextError, UnseenCharactersWarning
from ricorda.insight import Unit, read_activations, unit_activity
from tests.insight.planted import HIDDEN_SIZE, planted_file, planted_model, planted_text


def test_a_unit_is_written_with_or_without_its_layer() -> None:
    assert Unit.parse("17") == Unit(0, 17)
    assert Unit.parse(" 1:3 ") == Unit(1, 3)
    assert str(Unit(1, 3)) == "1:3"
    assert Unit.parse(str(Unit(2, 9))) == Unit(2, 9)


@pytest.mark.parametrize("text", ["", "x", "-1", "1:", ":1", "1:2:3", "1.5", "9999999"])
def test_anything_else_is_no_unit(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a unit as its number"):
        Unit.parse(text)


@pytest.mark.parametrize("unit", [Unit(1, 0), Unit(0, HIDDEN_SIZE), Unit(-1, 0), Unit(0, -1)])
def test_a_unit_must_be_in_the_network(unit: Unit) -> None:
    with pytest.raises(ConfigurationError, match="expected a unit from 0:0 to 0:15"):
        unit_activity(planted_model(), "the", [unit])


def test_blocks_together_are_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ricorda.engine.chunks.positions_at_once", lambda configuration: 60)
    model, text = planted_model(), planted_text(2)
    blocks = list(read_activations(model, text))
    assert [block.begin for block in blocks] == list(range(0, len(text), 10))
    trace = model.trace(text)
    for name in trace:
        found = np.concatenate([block.arrays[name] for block in blocks])
        np.testing.assert_array_equal(found, trace[name])


def test_a_few_units_of_a_text() -> None:
    model, text = planted_model("gru"), planted_text(3)
    trace = model.trace(text)
    found = unit_activity(model, text, [Unit(0, 3), Unit(0, 1)])
    np.testing.assert_array_equal(found, trace["hidden"][:, 0, [3, 1]])
    gate = unit_activity(model, text, [Unit(0, 3)], "reset_gate")
    np.testing.assert_array_equal(gate[:, 0], trace["reset_gate"][:, 0, 3])


def test_a_name_must_be_one_of_the_cell() -> None:
    with pytest.raises(ConfigurationError, match="of a rnn, got 'cell'"):
        unit_activity(planted_model("rnn"), "the", [Unit(0, 0)], "cell")


def test_unknown_characters_are_left_out() -> None:
    model = planted_model()
    expected = unit_activity(model, "the cat", [Unit(0, 1)])
    with pytest.warns(UnseenCharactersWarning, match="2 characters of the text"):
        np.testing.assert_array_equal(unit_activity(model, "théêe cat", [Unit(0, 1)]), expected)
    with pytest.raises(TextError, match="at least one symbol"):
        unit_activity(model, "éé", [Unit(0, 1)])


def test_ids_serve_as_a_text() -> None:
    model = planted_model()
    ids: Any = model.vocabulary.encode("the cat")
    np.testing.assert_array_equal(
        unit_activity(model, ids, [Unit(0, 1)]), unit_activity(model, "the cat", [Unit(0, 1)])
    )


def test_the_planted_files_run_on_both_engines() -> None:
    file, text = planted_file("lstm"), planted_text(4)
    traces = [open_model(file, backend=name).trace(text) for name in ("auto", "numpy")]
    np.testing.assert_allclose(traces[0]["hidden"], traces[1]["hidden"], atol=1e-5)
