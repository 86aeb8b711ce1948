"""Keras models as files, in each of Keras' layouts, written without Keras."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

SYMBOLS = ["z", "y", "x", "a", "b", "c", "d", "\n", " ", "è", "g"]
"""In an order of their own, as other tools have them."""

V, E, H = len(SYMBOLS), 5, 7
COLUMNS = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


@dataclass
class Layer:
    """A layer of a Keras model."""

    kind: str
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        return {"class_name": self.kind, "config": {"name": self.name, **self.config}}


def keras_layers(
    random: np.random.Generator,
    kind: str = "LSTM",
    *,
    count: int = 1,
    embedding: bool = True,
    sequences: bool = True,
) -> list[Layer]:
    """Return the layers of a text model with random weights."""

    def draw(*shape: int) -> NDArray[np.float32]:
        return (0.6 * random.standard_normal(shape)).astype(np.float32)

    entry = [None, None] if embedding else [None, None if sequences else 40, V]
    layers = [Layer("InputLayer", "input_1", {"batch_input_shape": entry})]
    if embedding:
        config: dict[str, Any] = {"input_dim": V, "output_dim": E, "mask_zero": False}
        layers.append(Layer("Embedding", "embedding", config, {"embeddings": draw(V, E)}))
    for number in range(count):
        read = H if number else E if embedding else V
        columns = COLUMNS[kind] * H
        bias = draw(2, columns) if kind == "GRU" else draw(columns)
        config = {
            "units": H,
            "activation": "tanh",
            "use_bias": True,
            "return_sequences": sequences or number < count - 1,
            "go_backwards": False,
            "stateful": False,
        }
        if kind != "SimpleRNN":
            config["recurrent_activation"] = "sigmoid"
        if kind == "GRU":
            config["reset_after"] = True
        recurrent = draw(H, columns) / np.float32(2)
        weights = {"kernel": draw(read, columns), "recurrent_kernel": recurrent}
        name = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple_rnn"}[kind]
        weights["bias"] = bias
        layers.append(Layer(kind, f"{name}_{number}", config, weights))
        layers.append(Layer("Dropout", f"dropout_{number}", {"rate": 0.2}))
    config = {"units": V, "activation": "softmax", "use_bias": True}
    layers.append(Layer("Dense", "dense", config, {"kernel": draw(H, V), "bias": draw(V)}))
    return layers


def sequential(layers: Sequence[Layer]) -> dict[str, Any]:
    """The configuration of a Sequential model."""
    described = [layer.described() for layer in layers]
    return {"class_name": "Sequential", "config": {"name": "model", "layers": described}}


def functional(layers: Sequence[Layer]) -> dict[str, Any]:
    """That of a functional model, as Keras 2 writes it."""
    described: list[dict[str, Any]] = []
    for before, layer in zip([None, *layers], layers, strict=False):
        node: list[Any] = [] if before is None else [[[before.name, 0, 0, {}]]]
        described.append(layer.described() | {"name": layer.name, "inbound_nodes": node})
    config: dict[str, Any] = {"name": "model", "layers": described}
    config["input_layers"] = [[layers[0].name, 0, 0]]
    config["output_layers"] = [[layers[-1].name, 0, 0]]
    return {"class_name": "Functional", "config": config}


Shape = Callable[[Sequence[Layer]], dict[str, Any]]


def write_h5(path: Path, layers: Sequence[Layer], shape: Shape = sequential) -> None:
    """Write a .h5 file as Keras 2 does: a group for each layer, the names of its weights."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(shape(layers)).encode()
        file.attrs["keras_version"] = b"2.15.0"
        file.attrs["backend"] = b"tensorflow"
        stored = file.create_group("model_weights")
        stored.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        stored.attrs["backend"] = b"tensorflow"
        stored.attrs["keras_version"] = b"2.15.0"
        for layer in layers:
            group = stored.create_group(layer.name)
            inside = f"{layer.name}/{layer.name}_cell" if layer.kind in COLUMNS else layer.name
            names = [f"{inside}/{name}:0" for name in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights.values(), strict=True):
                group.create_dataset(name, data=weight)


def weights_h5(layers: Sequence[Layer], base: str = "layers") -> bytes:
    """The weights of a .keras file: groups by class and number."""
    content = io.BytesIO()
    counts: dict[str, int] = {}
    with h5py.File(content, "w") as file:
        for layer in layers:
            name = {"SimpleRNN": "simple_rnn"}.get(layer.kind, layer.kind.lower())
            number = counts[name] = counts.get(name, -1) + 1
            place = f"{base}/{name}_{number}" if number else f"{base}/{name}"
            inside = f"{place}/cell/vars" if layer.kind in COLUMNS else f"{place}/vars"
            group = file.create_group(inside)
            for place_number, weight in enumerate(layer.weights.values()):
                group.create_dataset(str(place_number), data=weight)
    return content.getvalue()


def write_keras(
    path: Path,
    layers: Sequence[Layer],
    shape: Shape = sequential,
    *,
    base: str = "layers",
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Write a .keras file."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", json.dumps(shape(layers)))
        archive.writestr("model.weights.h5", weights_h5(layers, base))


def write_symbols(folder: Path) -> Path:
    """Write SYMBOLS into a file."""
    path = folder / "symbols.json"
    path.write_text(json.dumps(SYMBOLS), encoding="utf-8")
    return path
