"""A model with weights made by hand, in which one unit tracks quotes, and a text to see it by.

    planted_text()          sentences with "quoted" parts, commas and lines
    planted_file("lstm")    a model file whose weights are random but for those of QUOTE_UNIT
    planted_model("lstm")   the same, ready to run

The unit of every gated cell is large from an opening quote until before the closing one, and
small elsewhere; it reads the quote sign and itself. A simple network cannot turn a unit over with
the sign alone, for that is an exclusive or: there the unit is large where the text was inside
already and no quote stands, and two more units help it.
"""

import numpy as np
from numpy.typing import NDArray

from ricorda.engine import Model, open_model
from ricorda.insight.units import Unit
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CellName
from ricorda.text.vocabulary import CharacterVocabulary

QUOTE_UNIT = Unit(0, 5)
HIDDEN_SIZE = 16
OPENED, STARTED = 6, 7  # the helpers: a quote has just opened; something was read

Weights = NDArray[np.float32]

_WORDS = ["the", "cat", "sat", "on", "a", "mat", "saw", "seven", "dogs", "run", "one", "red"]


def planted_text(sentences: int = 160, seed: int = 1) -> str:
    """Sentences of random words, a part of every other one in quotes, a line or two each."""
    generator = np.random.default_rng(seed)
    written = []
    for _ in range(sentences):
        words = generator.choice(_WORDS, int(generator.integers(6, 14))).tolist()
        words[0] = words[0].capitalize()
        if generator.random() < 0.5:
            begin = int(generator.integers(0, len(words) - 3))
            end = int(generator.integers(begin + 1, len(words)))
            words[begin] = '"' + words[begin]
            words[end] += '"'
        written.append(" ".join(words) + generator.choice([". ", ".\n"]))
    return "".join(written)


def planted_file(cell: CellName = "lstm", seed: int = 1) -> ModelFile:
    """Random weights, but for those of the unit that tracks quotes."""
    symbols = "".join(sorted(set(planted_text()) | set('\n"')))
    vocabulary = CharacterVocabulary(symbols, "\n")
    configuration = ModelConfiguration(
        cell=cell, vocabulary_size=vocabulary.size, hidden_size=HIDDEN_SIZE
    )
    generator = np.random.default_rng(seed)
    tensors = {
        name: generator.normal(0, 0.5, shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    _PLANT[cell](tensors, symbols.index('"'))
    return ModelFile(configuration, vocabulary, tensors, {"source": "made by hand"})


def planted_model(cell: CellName = "lstm", seed: int = 1) -> Model:
    """The same, ready to run."""
    return open_model(planted_file(cell, seed))


def _clear(tensors: dict[str, Weights], units: tuple[int, ...]) -> None:
    """See that these units read nothing yet, and that no unit of their layer reads them."""
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        for unit in units:
            tensors[f"layers.0.{name}"][unit::HIDDEN_SIZE] = 0
    tensors["layers.0.weight_hh"][:, list(units)] = 0


def _plant_lstm(tensors: dict[str, Weights], quote: int) -> None:
    """Forget and write at a quote, keep otherwise; write the opposite of what is shown."""
    unit = QUOTE_UNIT.number
    input_gate, forget_gate, candidate, output_gate = (
        gate * HIDDEN_SIZE + unit for gate in range(4)
    )
    _clear(tensors, (unit,))
    inputs, bias = tensors["layers.0.weight_ih"], tensors["layers.0.bias_ih"]
    inputs[input_gate, quote], bias[input_gate] = 40, -20
    inputs[forget_gate, quote], bias[forget_gate] = -40, 20
    tensors["layers.0.weight_hh"][candidate, unit], bias[candidate] = -12, 4  # at first it opens
    bias[output_gate] = 20


def _plant_cifg(tensors: dict[str, Weights], quote: int) -> None:
    """The same, by the input gate alone: the cell is replaced at a quote and kept otherwise."""
    unit = QUOTE_UNIT.number
    input_gate, candidate, output_gate = (gate * HIDDEN_SIZE + unit for gate in range(3))
    _clear(tensors, (unit,))
    inputs, bias = tensors["layers.0.weight_ih"], tensors["layers.0.bias_ih"]
    inputs[input_gate, quote], bias[input_gate] = 40, -20
    tensors["layers.0.weight_hh"][candidate, unit], bias[candidate] = -12, 4
    bias[output_gate] = 20


def _plant_gru(tensors: dict[str, Weights], quote: int) -> None:
    """The same, by one gate."""
    unit = QUOTE_UNIT.number
    reset_gate, update_gate, candidate = (gate * HIDDEN_SIZE + unit for gate in range(3))
    _clear(tensors, (unit,))
    inputs, bias = tensors["layers.0.weight_ih"], tensors["layers.0.bias_ih"]
    bias[reset_gate] = 20
    inputs[update_gate, quote], bias[update_gate] = -40, 20
    tensors["layers.0.weight_hh"][candidate, unit], bias[candidate] = -12, 4


def _plant_rnn(tensors: dict[str, Weights], quote: int) -> None:
    """Opened: a quote while outside. Inside: no quote while inside; either was 1 the step before.

    With units of -1 and 1, inside = (opened + inside + 2 * started) / 2 is 0 or 1, also at first,
    when all are 0.
    """
    inside = QUOTE_UNIT.number
    _clear(tensors, (inside, OPENED, STARTED))
    inputs, recurrent = tensors["layers.0.weight_ih"], tensors["layers.0.weight_hh"]
    bias = tensors["layers.0.bias_ih"]
    sum_of = [inside, OPENED, STARTED, STARTED]
    for unit, sign in ((inside, 1), (OPENED, -1)):
        inputs[unit, quote] = -sign * 20
        np.add.at(recurrent[unit], sum_of, sign * 10)  # half of 20 each
        bias[unit] = -10
    bias[STARTED] = 20


_PLANT = {"lstm": _plant_lstm, "cifg": _plant_cifg, "gru": _plant_gru, "rnn": _plant_rnn}
