"""Read state dicts of PyTorch: an embedding or one-hot input, a recurrent network, a linear layer.

The recurrent weights have torch.nn's names, those of nn.RNN, nn.GRU and nn.LSTM (`weight_ih_l0`)
or of lists of cells (`weight_ih`), after any prefix. The other weights are found by their shapes,
and by their names where several have the same shape. What is left over or ambiguous is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np

from ricorda.errors import ModelFileError, VocabularyError
from ricorda.exchange.described import Description, read_description
from ricorda.exchange.network import (
    ForeignLayer,
    ForeignNetwork,
    Symbols,
    Weight,
    check_gates,
    coupled,
    three_gates,
)
from ricorda.exchange.symbols import LARGEST, symbols_of
from ricorda.exchange.torch_export import VOCABULARY
from ricorda.exchange.torch_tensors import StateDict, read_state_dict
from ricorda.model.cells import CellName
from ricorda.text.vocabulary import Vocabulary
from ricorda.validation import parse_json, shown

PARTS = ForeignLayer._fields
CELL_OF_GATES: dict[int, CellName] = {1: "rnn", 3: "gru", 4: "lstm"}

RECURRENT = re.compile(r"(.*?)((?:weight|bias)_(?:ih|hh|hr))(?:_l(\d{1,6}))?(_reverse)?")
OWN_TENSOR = "layers.0.weight_ih"
"""A tensor of every model file of ricorda."""

EMBEDDING = re.compile(r"emb|encoder|lookup|wte")
"""What people call the symbols' vectors."""

SYMBOLS = (
    *("chars", "tokens", "symbols", "vocab", "vocabulary", "alphabet"),
    *("itos", "int2char", "ix_to_char", "idx2char"),
    *("stoi", "char2int", "char_to_ix", "char2idx"),
)
"""Where a checkpoint keeps its symbols."""


def read(path: Path) -> ForeignNetwork:
    """Read a state dict.

    Raises ModelFileError, in one line, for a file that is damaged or holds another network;
    MissingExtra where PyTorch must read it and is not installed.
    """
    found = read_state_dict(path)
    description = read_description(path, found.metadata)
    tensors = dict(found.tensors)
    try:
        if description is not None:
            return _exported(tensors, description)
        network = _network(tensors)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    return replace(
        network,
        symbols=_symbols(path, found, len(network.output_weight)),
    )


def _exported(tensors: dict[str, Weight], description: Description) -> ForeignNetwork:
    """Read an export of ricorda."""
    shape = description.configuration
    if OWN_TENSOR in tensors:
        raise ModelFileError("a model of ricorda already: use it as it is")

    def tensor(name: str) -> Weight:
        if name not in tensors:
            raise ModelFileError(f"the tensor {name!r} of an export of ricorda is missing")
        return tensors[name]

    def gates(weight: Weight) -> Weight:  # (G*H, ...)
        if shape.cell != "cifg":
            return weight
        check_gates(weight, 4)
        return three_gates(weight)

    def layer(number: int) -> ForeignLayer:
        return ForeignLayer(*(gates(tensor(f"rnn.{each}_l{number}")) for each in PARTS))

    return ForeignNetwork(
        cell=shape.cell,
        layers=tuple(layer(number) for number in range(shape.num_layers)),
        output_weight=tensor("output.weight"),
        output_bias=tensor("output.bias"),
        embedding=None if shape.embedding_size == "onehot" else tensor("embedding.weight"),
        nonlinearity=shape.nonlinearity,
        labels=gates(tensor("labels.weight").T).T if shape.num_labels else None,
        symbols=Symbols(description.vocabulary),
        training=description.training,
    )


def _network(tensors: dict[str, Weight]) -> ForeignNetwork:
    """Find a network's parts among tensors, and see that no tensor is left over."""
    if empty := {name: each for name, each in tensors.items() if not each.size}:
        raise ModelFileError(f"expected weights, got tensors without numbers: {_described(empty)}")
    layers = _layers(tensors)
    rows, hidden = layers[0].weight_hh.shape
    if rows % hidden or rows // hidden not in CELL_OF_GATES:
        raise ModelFileError(
            f"expected 1, 3 or 4 gates of {hidden} units (RNN, GRU or LSTM), got {rows} rows"
        )
    if any(layer.weight_hh.shape != (rows, hidden) for layer in layers):
        raise ModelFileError("ricorda's layers have one size, these have several")
    cell, layers = coupled(CELL_OF_GATES[rows // hidden], layers)
    embedding, output = _matrices(tensors, layers[0].weight_ih.shape[1], hidden)
    weight = tensors.pop(output)
    vectors = None if embedding is None else tensors.pop(embedding, weight)
    bias = _bias(tensors, output, len(weight), is_tied=embedding == output)
    if tensors:
        raise ModelFileError(f"ricorda's networks have no place for {_described(tensors)}")
    return ForeignNetwork(
        cell=cell,
        layers=layers,
        output_weight=weight,
        output_bias=bias,
        embedding=vectors,
        nonlinearity=None if cell == "rnn" else "tanh",
    )


def _layers(tensors: dict[str, Weight]) -> tuple[ForeignLayer, ...]:
    """Take the recurrent layers, in the order of their numbers."""
    places: dict[tuple[str, int], dict[str, str]] = {}
    for name in sorted(tensors):
        match = RECURRENT.fullmatch(name)
        if match is None:
            continue
        prefix, part, number, reverse = match.groups()
        if reverse or part.endswith("_hr"):
            what = "both directions (bidirectional)" if reverse else "projections (proj_size)"
            raise ModelFileError(f"ricorda has no layers with {what}, such as {shown(name)}")
        places.setdefault((prefix, int(number or 0)), {})[part] = name
    if not places:
        raise ModelFileError(
            f"expected the weights of a recurrent network (weight_ih_l0), found "
            f"{_described(tensors)}"
        )
    if len({re.sub(r"\d+", "#", prefix) for prefix, _ in places}) > 1:
        names = ", ".join(shown(prefix) for prefix in sorted({prefix for prefix, _ in places})[:4])
        raise ModelFileError(f"expected one recurrent network, found several: {names}")
    ordered = sorted(places, key=lambda place: (_natural(place[0]), place[1]))
    return tuple(_layer(tensors, places[place]) for place in ordered)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key from the numbers in a name: `cells.2` before `cells.10`."""
    numbers = [digits.lstrip("0") for digits in re.findall(r"[0-9]+", name)]
    return [(len(digits), digits) for digits in numbers]


def _layer(tensors: dict[str, Weight], names: Mapping[str, str]) -> ForeignLayer:
    """Take one layer's tensors; without biases they are zero."""
    found = {part: tensors.pop(name) for part, name in names.items()}
    here = shown(next(iter(names.values())))
    biases = [part for part in PARTS[2:] if part in found]
    if any(part not in found or found[part].ndim != 2 for part in PARTS[:2]) or len(biases) == 1:
        raise ModelFileError(f"expected two weights, and two biases or none, beside {here}")
    rows = len(found["weight_hh"])
    zero = np.zeros(rows, np.float32)
    layer = ForeignLayer(*(found.get(part, zero) for part in PARTS))
    if any(part.shape[:1] != (rows,) for part in layer):
        raise ModelFileError(f"the tensors beside {here} differ in their rows")
    return layer


def _matrices(tensors: Mapping[str, Weight], inputs: int, hidden: int) -> tuple[str | None, str]:
    """Name the embedding, None for one-hot input, and the output layer; they may be the same.

    Both are read from what fits: every matrix must be one of the two.
    """
    names = sorted(name for name, each in tensors.items() if each.ndim == 2)
    choices: list[tuple[str | None, str]] = []
    if len(names) == 1:
        rows, columns = tensors[names[0]].shape
        if columns == hidden and rows == inputs:
            choices.append((None, names[0]))
        if columns == hidden == inputs:  # tied
            choices.append((names[0], names[0]))
    if len(names) == 2:
        choices.extend(
            (first, second)
            for first, second in permutations(names)
            if tensors[first].shape[1] == inputs
            and tensors[second].shape[1] == hidden
            and len(tensors[first]) == len(tensors[second])
            and _beside(first) not in tensors
        )
    if len(choices) > 1 and len(names) == 2:
        if np.array_equal(tensors[names[0]], tensors[names[1]]):
            return choices[0]  # tied, under both names
        choices = [each for each in choices if _is_embedding(each[0]) > _is_embedding(each[1])]
    if len(choices) != 1:
        raise ModelFileError(
            f"expected the symbols' vectors (V, {inputs}), unless the input is one-hot, and an "
            f"output layer (V, {hidden}) by shape or name, found {_described(tensors)}"
        )
    return choices[0]


def _is_embedding(name: str | None) -> bool:
    return EMBEDDING.search((name or "").lower()) is not None


def _beside(name: str) -> str:
    """The name of the bias of a weight."""
    return name.removesuffix("weight") + "bias"


def _bias(tensors: dict[str, Weight], output: str, symbols: int, *, is_tied: bool) -> Weight:
    """Take the output layer's bias (V,): zero without one, under another name if it is tied."""
    names = [_beside(output)]
    if is_tied:
        names = [name for name, each in tensors.items() if each.shape == (symbols,)]
    if len(names) == 1 and names[0] in tensors:
        return tensors.pop(names[0])
    return np.zeros(symbols, np.float32)


def _described(tensors: Mapping[str, Weight]) -> str:
    """Names and shapes, for a message."""
    names = sorted(tensors)[:6]
    return ", ".join(f"{shown(name)} {tensors[name].shape}" for name in names) or "no tensors"


def _symbols(path: Path, found: StateDict, count: int) -> Symbols | VocabularyError | None:
    """Find so many symbols in a checkpoint, or in the vocabulary of an export beside it.

    Otherwise return what is wrong with those of the checkpoint, None if it has none.
    """
    wrong = None
    for name in SYMBOLS:
        if name not in found.others:
            continue
        value = found.others[name]
        if isinstance(value, Mapping):  # its ids may be numbers, which JSON's keys are not
            value = {str(key): each for key, each in value.items()}
        elif isinstance(value, str | tuple):
            value = list(value)
        try:
            symbols = symbols_of(value, where=f"{name!r} of {path}")
        except VocabularyError as error:
            wrong = error
            continue
        if symbols.vocabulary.size == count:
            return symbols
    return _symbols_beside(path, count) or wrong


def _symbols_beside(path: Path, count: int) -> Symbols | None:
    """Read the vocabulary of an export of ricorda in the file's folder, if it is there."""
    try:
        with (path.parent / VOCABULARY).open("rb") as file:
            described = parse_json(file.read(LARGEST + 1), longest=LARGEST)
        vocabulary = Vocabulary.from_json(described["ricorda.vocabulary"])
    except (OSError, ValueError, TypeError, LookupError, VocabularyError):
        return None  # there is none, or it is another tool's
    return Symbols(vocabulary) if vocabulary.size == count else None
