"""What a Keras model's configuration says, in JSON, and the network that its weights make.

Nothing is executed: a layer is a name in the tables below, or it is refused by its name.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from ricorda.errors import ModelFileError
from ricorda.exchange.network import ForeignLayer, ForeignNetwork, Weight, reordered
from ricorda.model.cells import CELLS, CellName
from ricorda.validation import shown

RECURRENT: dict[str, CellName] = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}

GATE_ORDER = {"lstm": "ifgo", "gru": "zrn", "rnn": "h"}
"""Keras' order of gates, in the letters of the table of cells."""

INERT = frozenset(
    {
        "InputLayer",
        "Dropout",
        "SpatialDropout1D",
        "GaussianDropout",
        "GaussianNoise",
        "AlphaDropout",
        "ActivityRegularization",
    }
)
"""Layers that do nothing when a model predicts."""

MODELS = frozenset({"Sequential", "Functional", "Model"})

LONGEST_WINDOW = 1_000_000

WEIGHT_NAMES = {
    **dict.fromkeys(RECURRENT, ("kernel", "recurrent_kernel", "bias")),
    "Embedding": ("embeddings",),
    "Dense": ("kernel", "bias"),
}
"""Keras' names of a layer's weights, in their order."""


class KerasLayer(NamedTuple):
    """One layer of a model."""

    kind: str
    """Its class; of a TimeDistributed, that of the layer inside it."""

    name: str
    config: Mapping[str, Any]
    is_distributed: bool = False

    def __str__(self) -> str:
        """What an error calls it."""
        return f"the layer {shown(self.name)} ({shown(self.kind)[1:-1]})"


Weights = Callable[[KerasLayer], Mapping[str, Weight]]
"""Returns a layer's weights by Keras' names, in Keras' layout."""


def layers_of(model: object) -> list[KerasLayer]:
    """Return the layers that a model applies one after another.

    Raises ModelFileError for anything but a Sequential model, or a functional one that is a chain.
    """
    kind = model.get("class_name") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(kind, str) or kind not in MODELS:
        raise ModelFileError(
            f"expected a Keras model of the class Sequential or Functional, got {shown(kind)}: a "
            "model that a program builds does not say what it computes"
        )
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(layers, list) or not layers or (config is layers and kind != "Sequential"):
        raise ModelFileError("expected a Keras model with a list of layers, got none")
    found = [_layer(each) for each in layers]
    if kind != "Sequential":
        _check_chain(cast("dict[str, Any]", config), layers, found)
    return found


def _layer(described: object) -> KerasLayer:
    if not isinstance(described, dict) or not isinstance(described.get("config"), dict):
        raise ModelFileError("expected a Keras layer with a class and a configuration, got none")
    kind, config = described.get("class_name"), described["config"]
    name = config.get("name", described.get("name"))
    if not isinstance(kind, str) or not isinstance(name, str):
        raise ModelFileError("expected a Keras layer with a class and a name, got none")
    if kind != "TimeDistributed":
        return KerasLayer(kind, name, config)
    inner = config.get("layer")
    if not isinstance(inner, dict) or inner.get("class_name") != "Dense":
        raise ModelFileError(f"the layer {shown(name)} is TimeDistributed of no Dense layer")
    return KerasLayer("Dense", name, _layer(inner).config, is_distributed=True)


def _check_chain(config: dict[str, Any], described: list[Any], layers: list[KerasLayer]) -> None:
    """Refuse a functional model whose layers are not applied one after another."""
    expected: list[tuple[str, int]] = []
    for each, layer in zip(described, layers, strict=True):
        if list(_sources(each.get("inbound_nodes"))) != expected:
            raise ModelFileError(
                f"{layer} does not read just the output of the layer before it: only a chain of "
                "layers can be imported"
            )
        expected = [(layer.name, 0)]
    if list(_sources(config.get("output_layers"))) != expected:
        raise ModelFileError("the model has other outputs than those of its last layer")


def _sources(value: object) -> Iterator[tuple[str, int]]:
    """Yield the (layer, output) that a node reads, in the forms of Keras 2 and 3."""
    match value:
        case {"keras_history": [str(name), int(), int(output)]}:
            yield name, output
        case [str(name), int(), int(output), *rest]:
            yield name, output
            yield from _sources(rest)
        case dict():
            yield from _sources(list(value.values()))
        case list():
            for each in value:
                yield from _sources(each)


def network_of(layers: list[KerasLayer], weights: Weights) -> ForeignNetwork:
    """Return the network of layers: an embedding, recurrent layers, a dense layer, softmax.

    Raises ModelFileError, naming the layer, for what ricorda has no equal of.
    """
    chain = [layer for layer in layers if layer.kind not in INERT]
    embedding = _take(chain, "Embedding")
    recurrent: list[KerasLayer] = []
    while chain and chain[0].kind in RECURRENT:
        recurrent.append(chain.pop(0))
    dense = _take(chain, "Dense") if recurrent else None
    softmax = _take(chain, "Activation", "Softmax") if dense else None
    if chain:
        raise ModelFileError(
            f"{chain[0]} cannot be imported: a network is an Embedding or one-hot input, LSTM, "
            "GRU or SimpleRNN layers, and a Dense layer with softmax"
        )
    if dense is None:
        raise ModelFileError("the model has no recurrent layer with a Dense layer after it")
    _check_outputs(dense, softmax)
    cell, nonlinearity = _check_recurrent(recurrent)
    kernel, *bias = _weights(weights, dense, "kernel")
    return ForeignNetwork(
        cell=cell,
        layers=tuple(_recurrent(cell, layer, weights) for layer in recurrent),
        output_weight=kernel.T,
        output_bias=bias[0] if bias else np.zeros(kernel.shape[1], np.float32),
        embedding=None if embedding is None else _embedding(embedding, weights),
        nonlinearity=nonlinearity,
        notes=_notes(layers, recurrent[-1]),
    )


def _take(chain: list[KerasLayer], *kinds: str) -> KerasLayer | None:
    """Remove the first layer from a list if it is of one of these kinds."""
    return chain.pop(0) if chain and chain[0].kind in kinds else None


def _check_outputs(dense: KerasLayer, softmax: KerasLayer | None) -> None:
    """The outputs are logits, or a softmax of them."""
    activation = _function(dense.config.get("activation"))
    allowed = {"linear"} if softmax else {"linear", "softmax", "log_softmax"}
    _check(dense, "activation", activation, allowed)
    if softmax is not None and softmax.kind == "Activation":
        after = _function(softmax.config.get("activation"))
        _check(softmax, "activation", after, {"softmax", "log_softmax", "linear"})


def _check_recurrent(layers: list[KerasLayer]) -> tuple[CellName, Literal["tanh", "relu"]]:
    """Return what all layers have in common; refuse what the cells of ricorda do not compute."""
    cell = RECURRENT[layers[0].kind]
    nonlinearity = _function(layers[0].config.get("activation"))
    for layer in layers:
        _check(layer, "class", layer.kind, {layers[0].kind})
        allowed = {"relu"} if cell == "rnn" and nonlinearity == "relu" else {"tanh"}
        _check(layer, "activation", _function(layer.config.get("activation")), allowed)
        if cell != "rnn":
            gate = _function(layer.config.get("recurrent_activation"))
            _check(layer, "recurrent_activation", gate, {"sigmoid"})
        if cell == "gru":
            _check(layer, "reset_after", layer.config.get("reset_after", False), {True})
        _check(layer, "go_backwards", layer.config.get("go_backwards", False), {False})
        if layer is not layers[-1]:
            _check(layer, "return_sequences", layer.config.get("return_sequences"), {True})
    return cell, "relu" if nonlinearity == "relu" else "tanh"


def _check(layer: KerasLayer, name: str, value: object, allowed: set[Any]) -> None:
    if not isinstance(value, str | bool) or value not in allowed:
        expected = " or ".join(sorted(map(str, allowed)))
        raise ModelFileError(
            f"{layer} has {name}={shown(value)}, which no model of ricorda has: expected {expected}"
        )


def _function(value: object) -> object:
    """The name of an activation, which Keras 3 may wrap; None is linear."""
    if isinstance(value, dict):
        value = value.get("config")
    return "linear" if value is None else value


def _weights(weights: Weights, layer: KerasLayer, *names: str) -> list[Weight]:
    """The matrices of these names, then the bias if the layer uses one."""
    found = weights(layer)
    names = (*names, "bias") if layer.config.get("use_bias", True) else names
    if missing := [name for name in names if name not in found]:
        raise ModelFileError(f"{layer} has no weights {missing[0]!r} in the file")
    for name in names:
        if name != "bias" and (found[name].ndim != 2 or not found[name].size):
            raise ModelFileError(f"{layer} has weights {name!r} that are no matrix")
    return [found[name] for name in names]


def _embedding(layer: KerasLayer, weights: Weights) -> Weight:
    _check(layer, "mask_zero", layer.config.get("mask_zero", False), {False})
    found = weights(layer).get("embeddings")
    if found is None or found.ndim != 2:
        raise ModelFileError(f"{layer} has no matrix of weights in the file")
    return found


def _recurrent(cell: CellName, layer: KerasLayer, weights: Weights) -> ForeignLayer:
    """Transpose Keras' weights, and put their gates into torch.nn's order.

    A GRU of Keras, h' = z * h + (1 - z) * n, is that of torch.nn if its reset gate multiplies
    what the recurrent weights give (reset_after): then it has both biases.
    """
    kernel, recurrent, *bias = _weights(weights, layer, "kernel", "recurrent_kernel")
    rows = kernel.shape[1]
    both = np.zeros((2, rows), np.float32)
    if bias:
        expected = (2, rows) if cell == "gru" else (rows,)
        if bias[0].shape != expected:
            raise ModelFileError(f"{layer} has a bias of shape {bias[0].shape}, not {expected}")
        both[: 2 if cell == "gru" else 1] = bias[0]
    if rows % len(GATE_ORDER[cell]):
        raise ModelFileError(f"{layer} has {rows} columns of weights, not some for each gate")
    order = "".join(gate.letter[0] for gate in CELLS[cell].gates)
    return ForeignLayer(
        *(reordered(each, GATE_ORDER[cell], order) for each in (kernel.T, recurrent.T, *both))
    )


def _notes(layers: list[KerasLayer], last: KerasLayer) -> tuple[str, ...]:
    """What a person should know of a model that reads windows."""
    if last.config.get("return_sequences", False) is not False:
        return ()
    length = next(filter(None, (_window(layer.config) for layer in layers)), None)
    window = "windows of one length" if length is None else f"windows of {length} symbols"
    return (
        f"It was trained on {window}, each from a state of zero, to predict the symbol after the "
        "window. ricorda carries the state on through a text, so that its prediction is that of "
        "Keras only at the end of the first window.",
    )


def _window(config: Mapping[str, Any]) -> int | None:
    """The number of symbols that a layer takes, where it says one."""
    shapes = (config.get(name) for name in ("batch_shape", "batch_input_shape"))
    lengths = [shape[1] for shape in shapes if isinstance(shape, list) and len(shape) > 1]
    for length in (*lengths, config.get("input_length")):
        if type(length) is int and 0 < length < LONGEST_WINDOW:
            return length
    return None
