"""Export as a program in C99: the network's step, its numbers, and a main that writes text."""

from collections.abc import Mapping

from ricorda.engine.generation import LONGEST_DOCUMENT, LONGEST_TEXT
from ricorda.exchange.c.source import filled
from ricorda.exchange.c.symbols import symbols_header
from ricorda.exchange.c.weights import weights_header
from ricorda.exchange.exporting import Export, Weights
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CELLS
from ricorda.text.kinds import KINDS

STACK = 256
"""Bytes of stack that a step needs at most, compiled by gcc -Os."""

CODE = 1536
"""Bytes of code that a step has at most, compiled by gcc -Os for a Cortex-M4."""

DEEPEST_SUM = 4000
"""Inputs of a row whose fixed-point products fit 32 bits: 4,096 * 127 * 4,000 < 2^31."""


def export(model: ModelFile, weights: Weights) -> Export:
    """Make the files of a folder that `make` builds."""
    is_int8 = weights == "int8"
    flags, values = _flags(model, is_int8), _values(model, is_int8)
    numbers, weight_bytes = weights_header(model, is_int8=is_int8)
    symbols, symbol_bytes = symbols_header(model.vocabulary)
    files = {name: filled(name, flags, values) for name in ("model.h", "model.c", "main.c")}
    files |= {"weights.h": numbers, "symbols.h": symbols, "Makefile": filled("Makefile", {}, {})}
    return Export(
        {name: content.encode() for name, content in files.items()},
        (
            f"constants: {weight_bytes:,} bytes of weights, {symbol_bytes:,} of symbols for main",
            f"RAM: {state_bytes(model.configuration, is_int8=is_int8):,} bytes of struct "
            f"model_state, {4 * model.configuration.vocabulary_size:,} of logits",
            f"a step on a Cortex-M4 (gcc -Os): less than {CODE:,} bytes of code, {STACK} of stack",
            "next: make in the folder, then ./main PROMPT LENGTH TEMPERATURE SEED"
            + " LABEL" * bool(model.configuration.num_labels),
        ),
    )


def state_bytes(shape: ModelConfiguration, *, is_int8: bool) -> int:
    """Return the size of struct model_state: what is carried, and the workspace of a step."""
    carried = shape.state_parts * shape.num_layers * shape.hidden_size
    total = 4 * (carried + CELLS[shape.cell].blocks * shape.hidden_size)
    if is_int8:
        total += 2 * 2 * _deepest(shape)
        if shape.embedding_size != "onehot":
            total += 4 * shape.embedding_size
    return total


def _deepest(shape: ModelConfiguration) -> int:
    """Return the length of the longest vector that a matrix is multiplied with."""
    if shape.embedding_size == "onehot":
        return shape.hidden_size
    return max(shape.hidden_size, shape.embedding_size)


def _flags(model: ModelFile, is_int8: bool) -> Mapping[str, bool]:
    """Return the conditions of the templates."""
    shape, vocabulary = model.configuration, model.vocabulary
    kinds = {kind.upper(): vocabulary.kind == kind for kind in KINDS}
    cells = {cell.upper(): shape.cell == cell for cell in CELLS}
    is_relu = shape.cell == "rnn" and shape.nonlinearity == "relu"
    cells["RNN"] &= not is_relu
    return kinds | cells | {
        "RELU": is_relu,
        "RECURRENT": CELLS[shape.cell].has_recurrent_weights,
        "INT8": is_int8,
        "EMBEDDING": shape.embedding_size != "onehot",
        "STACKED": shape.num_layers > 1,
        "DOCUMENTS": shape.documents,
        "LABELS": shape.num_labels > 0,
        "RARE": vocabulary.rare is not None,
    }  # fmt: skip


def _values(model: ModelFile, is_int8: bool) -> Mapping[str, object]:
    """Return what the templates leave open."""
    shape, vocabulary = model.configuration, model.vocabulary
    cell = CELLS[shape.cell]
    units = f"{shape.num_layers} layer{'' if shape.num_layers == 1 else 's'} of {shape.hidden_size}"
    return {
        "DESCRIPTION": (
            f"{cell.label}, {units} units, {shape.vocabulary_size} symbols, "
            f"{shape.parameters} parameters, weights in {'int8' if is_int8 else 'float32'}."
        ),
        "SYMBOLS": shape.vocabulary_size,
        "HIDDEN": shape.hidden_size,
        "LAYERS": shape.num_layers,
        "EMBEDDING": shape.embedding_size,
        "START": vocabulary.start,
        "BOUNDARY": vocabulary.boundary,
        "RARE": vocabulary.rare,
        "LABELS": shape.num_labels,
        "LABEL_USAGE": " [LABEL]" if shape.num_labels else "",
        "ARGUMENTS": 6 if shape.num_labels else 5,
        "LENGTH": LONGEST_DOCUMENT if shape.documents else LONGEST_TEXT,
        "GATES": shape.gates,
        "BLOCKS": cell.blocks,
        "DEPTH": _deepest(shape),
        "STATE_BYTES": f"{state_bytes(shape, is_int8=is_int8):,}",
        "STATE": "state, " if is_int8 else "",
        "SUM": "int32_t" if _deepest(shape) <= DEEPEST_SUM else "int64_t",
    }
