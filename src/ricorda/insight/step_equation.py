"""One step of one unit as its equation, with the real numbers in it.

The numbers are computed in float64 from the model's weights and the states that the engine in NumPy
has after reading what comes before, so that they are those of any engine to its rounding.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.engine import ReferenceBackend
from ricorda.engine.chunks import read
from ricorda.errors import ConfigurationError
from ricorda.insight.units import Text, Unit, known_text, labels_of
from ricorda.model import ModelFile
from ricorda.model.cells import CELLS, CellName, Gate

STRONGEST = 5

Vector: TypeAlias = NDArray[np.float64]


_VARIABLE = re.compile(r"\b[a-z]\b'?")


@dataclass(frozen=True, slots=True)
class Product:
    """One weight times what it reads."""

    source: str
    """What is read: a unit as `0:17`, or for the symbol's vector `input 3`, or the symbol."""

    weight: float
    value: float

    @property
    def product(self) -> float:
        """What it adds to the sum."""
        return self.weight * self.value


@dataclass(frozen=True, slots=True)
class GateTerms:
    """One gate of one unit: the terms of its sum, and what comes of it.

    total = from_input + input_bias + from_label + scale * (from_hidden + hidden_bias)
    value = activation(total)
    """

    name: str
    """`input_gate`, `candidate` ... as in a trace; `hidden` for a simple network."""

    letter: str
    """Its letter in the equation."""

    activation: str
    """`sigmoid`, `tanh`, `relu` or `linear`."""

    from_input: float
    """The input weights times the input (W x): the symbol's, or what the layer below says."""

    input_bias: float
    from_hidden: float | None
    """The recurrent weights times the layer's outputs before the step (U h); None without them."""

    hidden_bias: float | None

    scale: float
    """1, but in the GRU's candidate its reset gate."""

    total: float
    value: float

    strongest: tuple[Product, ...]
    """The products with the largest size in both sums, the largest first."""

    from_label: float | None = None
    """What the document's label adds in the first layer; None elsewhere and without labels."""


@dataclass(frozen=True, slots=True)
class StepEquation:
    """One step of one unit: what it had, what its gates were, what it has now."""

    cell: CellName
    unit: Unit
    position: int
    """Which symbol of the text was read in this step, from 0."""

    symbol: str
    """That symbol, as a person may read it."""

    gates: tuple[GateTerms, ...]

    hidden_before: float
    hidden: float

    cell_before: float | None
    """The cell state before the step; None where the cell has none."""

    cell_after: float | None

    @checked
    def gate(self, name: str) -> GateTerms:
        """Find a gate by its name. Raises KeyError if the cell has none of this name."""
        for terms in self.gates:
            if terms.name == name:
                return terms
        raise KeyError(name)

    def as_json(self) -> dict[str, Any]:
        """Give everything for JSON, the unit by its name and the equations as lines."""
        return {**asdict(self), "unit": str(self.unit), "lines": self.lines()}

    @checked
    def lines(self, digits: int = 3) -> list[str]:
        """Write the equations, a line each, with their numbers."""
        values = {
            **{terms.letter: terms.value for terms in self.gates},
            **{"h": self.hidden_before, "h'": self.hidden},
            **{"c": self.cell_before, "c'": self.cell_after},
        }
        lines = [_gate_line(terms, digits) for terms in self.gates]
        for equation in CELLS[self.cell].equations:
            result, terms = equation.split(" = ")
            shown = _VARIABLE.sub(lambda name: _number(values[name[0]], digits), terms)
            lines.append(f"{equation} = {shown} = {_number(values[result], digits)}")
        return lines


@checked
def step_equation(
    file: ModelFile, text: Text, position: int, unit: Unit, *, label: str | None = None
) -> StepEquation:
    """Compute the step in which a unit read the symbol at `position` of a text, term by term.

    A negative position counts from the end; `label` is that of the text's documents. Raises
    ConfigurationError for a position outside the text, or a unit or a label that the model does not
    have, TextError if the model knows none of the text.
    """
    unit.checked(file.configuration)
    ids = known_text(file, text).ids
    if not -len(ids) <= position < len(ids):
        raise ConfigurationError(
            f"expected a position from 0 to {len(ids) - 1} in this text, got {position}"
        )
    position %= len(ids)
    backend = ReferenceBackend(file.configuration, file.tensors, np.float64)
    here = slice(position, position + 1)
    labels = labels_of(file, label, len(ids))
    before = None if labels is None else labels[:position]
    _, state = read(backend, ids[:position], labels=before)
    if ids[position] == file.configuration.boundary:
        state = backend.zero_state(1)
    now = None if labels is None else labels[here]
    traced, _ = backend.trace(ids[here], state, labels=now)
    number = 0 if labels is None else int(labels[0])
    inputs = _Inputs(file, unit, int(ids[position]), traced["hidden"][0], number)
    gates = _gates(file, unit, inputs, np.asarray(state[0, unit.layer, 0], np.float64))
    has_cell = "cell" in traced
    return StepEquation(
        cell=file.configuration.cell,
        unit=unit,
        position=position,
        symbol=file.vocabulary.label(int(ids[position])),
        gates=gates,
        hidden_before=float(state[0, unit.layer, 0, unit.number]),
        hidden=float(traced["hidden"][0, unit.layer, unit.number]),
        cell_before=float(state[1, unit.layer, 0, unit.number]) if has_cell else None,
        cell_after=float(traced["cell"][0, unit.layer, unit.number]) if has_cell else None,
    )


class _Inputs:
    """What a unit's layer reads at one step: x (I,), and what each number of it is.

    label: the number of the document's label, whose row (G H,) is added in the first layer.
    """

    def __init__(
        self, file: ModelFile, unit: Unit, symbol: int, hidden: Vector, label: int
    ) -> None:
        configuration = file.configuration
        self.label_row: Vector | None = None
        if unit.layer == 0 and configuration.num_labels:
            self.label_row = file.tensors["labels.weight"][label].astype(np.float64)
        self.places: Sequence[int] = range(configuration.input_size)
        self.sources: Sequence[str]
        if unit.layer > 0:
            self.values: Vector = np.asarray(hidden[unit.layer - 1], np.float64)
            self.places = range(configuration.hidden_size)
            self.sources = [str(Unit(unit.layer - 1, number)) for number in self.places]
        elif configuration.embedding_size == "onehot":
            self.values = np.ones(1)
            self.places = [symbol]
            self.sources = [repr(file.vocabulary.label(symbol))]
        else:
            self.values = file.tensors["embedding.weight"][symbol].astype(np.float64)
            self.sources = [f"input {number}" for number in self.places]


def _gates(file: ModelFile, unit: Unit, inputs: _Inputs, hidden: Vector) -> tuple[GateTerms, ...]:
    """Compute every gate of a unit from what it reads: inputs, hidden (H,)."""
    found: dict[str, GateTerms] = {}
    for number, gate in enumerate(CELLS[file.configuration.cell].gates):
        row = number * file.configuration.hidden_size + unit.number
        scale = found[gate.scaled_by].value if gate.scaled_by else 1.0
        found[gate.name] = _terms(file, unit, row, gate, inputs, hidden, scale)
    return tuple(found.values())


def _terms(
    file: ModelFile,
    unit: Unit,
    row: int,
    gate: Gate,
    inputs: _Inputs,
    hidden: Vector,
    scale: float,
) -> GateTerms:
    """Compute one gate, whose weights are a row of its layer's."""
    cell = CELLS[file.configuration.cell]

    def row_of(name: str) -> Vector:
        return np.asarray(file.tensors[f"layers.{unit.layer}.{name}"][row], np.float64)

    weights, input_bias = row_of("weight_ih")[inputs.places], float(row_of("bias_ih"))
    values, sources = inputs.values, [*inputs.sources]
    from_input = float(weights @ values)
    from_label = None if inputs.label_row is None else float(inputs.label_row[row])
    total = from_input + input_bias + (from_label or 0.0)
    from_hidden = hidden_bias = None
    if cell.has_recurrent_weights:
        hidden_weights, hidden_bias = row_of("weight_hh"), float(row_of("bias_hh"))
        from_hidden = float(hidden_weights @ hidden)
        total += scale * (from_hidden + hidden_bias)
        sources += [str(Unit(unit.layer, number)) for number in range(len(hidden))]
        weights = np.concatenate([weights, hidden_weights])
        values = np.concatenate([values, hidden])
    largest = np.argsort(-np.abs(weights * values), kind="stable")[:STRONGEST].tolist()
    activation = file.configuration.nonlinearity if cell.takes_nonlinearity else gate.activation
    return GateTerms(
        name=gate.name,
        letter=gate.letter,
        activation=activation,
        from_input=from_input,
        input_bias=input_bias,
        from_hidden=from_hidden,
        hidden_bias=hidden_bias,
        scale=scale,
        total=total,
        value=_apply(activation, total),
        strongest=tuple(
            Product(sources[place], float(weights[place]), float(values[place]))
            for place in largest
            if weights[place] * values[place] != 0
        ),
        from_label=from_label,
    )


def _apply(activation: str, total: float) -> float:
    if activation == "relu":
        return max(total, 0.0)
    if activation == "linear":
        return total
    if activation == "tanh":
        return float(np.tanh(total))
    return float(0.5 + 0.5 * np.tanh(0.5 * total))


def _number(value: float | None, digits: int) -> str:
    """A number without the sign of a zero."""
    return f"{round(value or 0.0, digits) + 0.0:.{digits}f}"


def _signed(value: float, digits: int) -> str:
    """A further term of a sum: "+ 0.120"."""
    shown = _number(value, digits)
    return f"- {shown[1:]}" if shown.startswith("-") else f"+ {shown}"


def _gate_line(terms: GateTerms, digits: int) -> str:
    parts = [_number(terms.from_input, digits), _signed(terms.input_bias, digits)]
    if terms.from_label is not None:
        parts.append(_signed(terms.from_label, digits))
    if terms.from_hidden is not None and terms.hidden_bias is not None:
        past, bias = terms.from_hidden, _signed(terms.hidden_bias, digits)
        parts.append(
            f"{_signed(past, digits)} {bias}"
            if terms.scale == 1
            else f"+ {_number(terms.scale, digits)} * ({_number(past, digits)} {bias})"
        )
    total, value = " ".join(parts), _number(terms.value, digits)
    if terms.activation == "linear":
        return f"{terms.letter:<2} = {total} = {value}"
    return (
        f"{terms.letter:<2} = {terms.activation}({total}) = "
        f"{terms.activation}({_number(terms.total, digits)}) = {value}"
    )
