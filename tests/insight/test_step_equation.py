"""The equation's numbers are the network's."""

import re

import numpy as np
import pytest

from ricorda.engine import ReferenceBackend
from ricorda.errors import ConfigurationError, TextError
from ricorda.insight import Unit, step_equation
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CellName
from ricorda.text.vocabulary import CharacterVocabulary
from tests.insight.planted import QUOTE_UNIT, planted_file

TEXT = "abcab\nbca"


def network(cell: CellName, **shape: object) -> ModelFile:
    configuration = ModelConfiguration(cell, 4, 6, **shape)  # type: ignore[arg-type]
    generator = np.random.default_rng(5)
    tensors = {
        name: generator.normal(0, 0.7, size).astype(np.float32)
        for name, size in configuration.tensor_shapes().items()
    }
    return ModelFile(configuration, CharacterVocabulary("\nabc", "\n"), tensors)


NETWORKS = {
    "rnn": network("rnn"),
    "relu": network("rnn", nonlinearity="relu"),
    "gru": network("gru"),
    "lstm": network("lstm"),
    "cifg": network("cifg"),
    "mingru": network("mingru", num_layers=2),
    "minlstm": network("minlstm"),
    "deep": network("lstm", num_layers=2, embedding_size=3),
    "deep gru": network("gru", num_layers=3),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("position", [0, 1, 7])
def test_every_number_is_that_of_the_trace(name: str, position: int) -> None:
    file = NETWORKS[name]
    ids = file.vocabulary.encode(TEXT)
    backend = ReferenceBackend(file.configuration, file.tensors, np.float64)
    trace, _ = backend.trace(ids, backend.zero_state(1))
    for layer in range(file.configuration.num_layers):
        unit = Unit(layer, 4)
        step = step_equation(file, TEXT, position, unit)
        for terms in step.gates:
            assert terms.value == pytest.approx(trace[terms.name][position, layer, 4], abs=1e-6)
        assert step.hidden == pytest.approx(trace["hidden"][position, layer, 4], abs=1e-6)
        before = trace["hidden"][position - 1, layer, 4] if position else 0.0
        assert step.hidden_before == pytest.approx(before, abs=1e-6)
        if file.configuration.state_parts == 2:
            assert step.cell_after == pytest.approx(trace["cell"][position, layer, 4], abs=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_terms_add_up(name: str) -> None:
    file = NETWORKS[name]
    step = step_equation(file, TEXT, 5, Unit(0, 2))
    for terms in step.gates:
        past = terms.scale * ((terms.from_hidden or 0) + (terms.hidden_bias or 0))
        assert (terms.from_hidden is None) == (terms.hidden_bias is None)
        assert (terms.from_hidden is None) == (step.cell in ("mingru", "minlstm"))
        assert terms.total == pytest.approx(terms.from_input + terms.input_bias + past)
    scales = [terms.scale for terms in step.gates]
    if step.cell == "gru":
        assert scales == [1, 1, step.gate("reset_gate").value]
        z, n = step.gate("update_gate").value, step.gate("candidate").value
        assert step.hidden == pytest.approx((1 - z) * n + z * step.hidden_before)
    else:
        assert set(scales) == {1}
    if step.cell == "mingru":
        update, candidate = step.gates
        assert candidate.value == candidate.total
        kept = (1 - update.value) * step.hidden_before
        assert step.hidden == pytest.approx(kept + update.value * candidate.value)
    if step.cell == "minlstm":
        i, f, g = (terms.value for terms in step.gates)
        assert step.hidden == pytest.approx((f * step.hidden_before + i * g) / (f + i))
    if step.cell in ("lstm", "cifg"):
        i, g, o = (step.gate(name).value for name in ("input_gate", "candidate", "output_gate"))
        f = step.gate("forget_gate").value if step.cell == "lstm" else 1 - i
        assert step.cell_before is not None
        cell = f * step.cell_before + i * g
        assert step.cell_after == pytest.approx(cell)
        assert step.hidden == pytest.approx(o * np.tanh(cell))


def test_the_strongest_products_come_first() -> None:
    step = step_equation(NETWORKS["lstm"], TEXT, 5, Unit(0, 2))
    for terms in step.gates:
        sizes = [abs(each.product) for each in terms.strongest]
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) == 5
        sources = {each.source for each in terms.strongest}
        assert sources <= {repr("\\n"), *(str(Unit(0, number)) for number in range(6))}
    deep = step_equation(NETWORKS["deep"], TEXT, 5, Unit(1, 2))
    sources = {each.source for terms in deep.gates for each in terms.strongest}
    assert any(source.startswith("0:") for source in sources)  # the layer below
    first = step_equation(NETWORKS["deep"], TEXT, 5, Unit(0, 2))
    assert any(each.source.startswith("input ") for each in first.gates[0].strongest)


def test_the_equation_in_words() -> None:
    step = step_equation(planted_file("lstm"), 'a "', -1, QUOTE_UNIT)
    assert step.symbol == '"'
    assert step.position == 2
    assert step.lines(2) == [
        "i  = sigmoid(40.00 - 20.00 + 0.00 + 0.00) = sigmoid(20.00) = 1.00",
        "f  = sigmoid(-40.00 + 20.00 + 0.00 + 0.00) = sigmoid(-20.00) = 0.00",
        "g  = tanh(0.00 + 4.00 + 0.00 + 0.00) = tanh(4.00) = 1.00",
        "o  = sigmoid(0.00 + 20.00 + 0.00 + 0.00) = sigmoid(20.00) = 1.00",
        "c' = f * c + i * g = 0.00 * 0.00 + 1.00 * 1.00 = 1.00",
        "h' = o * tanh(c') = 1.00 * tanh(1.00) = 0.76",
    ]
    gru = step_equation(planted_file("gru"), 'a "', 2, QUOTE_UNIT).lines(1)
    assert gru[2] == "n  = tanh(0.0 + 4.0 + 1.0 * (0.0 + 0.0)) = tanh(4.0) = 1.0"
    assert gru[3] == "h' = (1 - z) * n + z * h = (1 - 0.0) * 1.0 + 0.0 * 0.0 = 1.0"
    mingru = step_equation(NETWORKS["mingru"], TEXT, 5, Unit(0, 2))
    z, n, hidden = mingru.lines(1)
    assert re.fullmatch(r"z  = sigmoid\((\S+) [+-] 0.\d\) = sigmoid\(\S+\) = 0.\d", z)
    assert re.fullmatch(r"n  = (\S+) [+-] \d.\d = \S+", n)
    assert hidden.startswith("h' = (1 - z) * h + z * n = (1 - 0.")
    (rnn,) = step_equation(planted_file("rnn"), "at", 0, QUOTE_UNIT).lines()
    assert rnn.startswith("h' = tanh(")


def test_what_is_not_there_is_reported() -> None:
    file = NETWORKS["lstm"]
    with pytest.raises(ConfigurationError, match="a position from 0 to 8 in this text, got 9"):
        step_equation(file, TEXT, 9, Unit(0, 0))
    with pytest.raises(ConfigurationError, match="expected a unit from 0:0 to 0:5, got 1:0"):
        step_equation(file, TEXT, 0, Unit(1, 0))
    with pytest.raises(TextError, match="at least one symbol"):
        step_equation(file, "é", 0, Unit(0, 0))
    with pytest.raises(KeyError):
        step_equation(file, TEXT, 0, Unit(0, 0)).gate("reset_gate")
