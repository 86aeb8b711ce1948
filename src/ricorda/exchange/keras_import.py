"""Read Keras models: .keras of Keras 2.12 and later, and .h5 (.hdf5) of Keras 2 and 3.

No code of a model is executed: its configuration is JSON, its weights are HDF5.
"""

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ricorda.errors import ModelFileError
from ricorda.exchange.hdf5 import Hdf5Error, Hdf5File, Hdf5Object
from ricorda.exchange.keras_model import (
    RECURRENT,
    WEIGHT_NAMES,
    KerasLayer,
    Weights,
    layers_of,
    network_of,
)
from ricorda.exchange.network import ForeignNetwork, Weight
from ricorda.validation import parse_json

LARGEST = 8 << 30  # bytes of a file
LARGEST_JSON = 16 << 20  # bytes
SMALL = 64 << 20
"""Bytes that an archive's member may have, however small its compressed form is."""

MOST_EXPANSION = 10
"""How many times larger than its compressed form any other member may be."""

DIRECTORY = 1 << 20  # bytes of an archive's list of members

GROUP_NAMES = {
    "LSTM": "lstm",
    "GRU": "gru",
    "SimpleRNN": "simple_rnn",
    "Embedding": "embedding",
    "Dense": "dense",
}
"""What a .keras file calls the groups of layers; a number follows from the second layer on."""


def read(path: Path) -> ForeignNetwork:
    """Read a whole model: its layers and weights, without symbols.

    Raises ModelFileError, in one line, for a file that is damaged or no Keras model, and for
    layers that ricorda has no equal of.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ModelFileError(f"{path} has more than {LARGEST >> 30} GiB")
        return _read_archive(path) if path.suffix.lower() == ".keras" else _read_hdf5(path)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except ValueError as error:  # Hdf5Error, of JSON, and of numbers that make no shape
        raise ModelFileError(
            f"{path} is no Keras model, or it is truncated or damaged ({error})"
        ) from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error


def _read_hdf5(path: Path) -> ForeignNetwork:
    """Read a .h5 file: the configuration is an attribute, the weights are named by layers."""
    root = Hdf5File(path.read_bytes()).root
    described = root.attributes.get("model_config")
    stored = root.get("model_weights")
    if not isinstance(described, str) or stored is None:
        raise ModelFileError(
            "expected a whole Keras model, got weights alone or no model: save it with model.save"
        )
    model = parse_json(described, longest=LARGEST_JSON, finite=False)
    network = network_of(layers_of(model), _weights_by_name(stored))
    return _with_version(network, root.attributes.get("keras_version"))


def _weights_by_name(stored: Hdf5Object) -> Weights:
    """Find a layer's weights in the group of its name."""

    def weights(layer: KerasLayer) -> dict[str, Weight]:
        group = stored.get(layer.name)
        if group is None:
            return {}
        names = group.attributes.get("weight_names", [])
        found = {}
        for name in names if isinstance(names, list) else []:
            plain = name.rpartition("/")[2].partition(":")[0]
            dataset = group.get(name) if plain in WEIGHT_NAMES[layer.kind] else None
            if dataset is not None:
                found[plain] = dataset.array()
        return found

    return weights


def _read_archive(path: Path) -> ForeignNetwork:
    """Read a .keras file, a zip archive."""
    _check_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            config, metadata, weights = (
                _member(archive, name, path.stat().st_size)
                for name in ("config.json", "metadata.json", "model.weights.h5")
            )
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, KeyError) as error:
        raise Hdf5Error(str(error).splitlines()[0]) from error
    model = parse_json(config, longest=LARGEST_JSON, finite=False)
    about = parse_json(metadata, longest=LARGEST_JSON, finite=False)
    layers = layers_of(model)
    network = network_of(layers, _weights_by_place(Hdf5File(weights).root, layers))
    return _with_version(network, about.get("keras_version") if isinstance(about, dict) else None)


def _check_directory(path: Path) -> None:
    """Refuse an archive whose list of members is long, before it is read.

    Keras writes archives without a comment, so that the end of the list is in the last 22 bytes.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 42))
        before, end = file.read(20), file.read(22)
    if len(end) < 22 or end[:4] != b"PK\5\6" or before[:4] == b"PK\6\7":
        raise Hdf5Error("it is no zip archive as Keras writes it")
    (length,) = struct.unpack("<I", end[12:16])
    if length > DIRECTORY:
        raise Hdf5Error(f"its list of files has {length} bytes")


def _member(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """Read one file of an archive of `size` bytes, no more than it may expand to."""
    info = archive.getinfo(name)
    if info.compress_size > size:
        raise Hdf5Error(f"its {name} would be larger than the file")
    largest = max(SMALL, MOST_EXPANSION * info.compress_size)
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise Hdf5Error(f"its {name} is compressed in an unknown way")
    if info.file_size > largest:
        raise Hdf5Error(f"its {name} would have {info.file_size:,} bytes, more than {largest:,}")
    try:
        with archive.open(info) as file:
            return file.read(info.file_size)
    except Exception as error:  # zlib.error, and what zipfile raises for damage of each kind
        raise Hdf5Error(f"its {name} is damaged") from error


def _weights_by_place(root: Hdf5Object, layers: list[KerasLayer]) -> Weights:
    """Find a layer's weights by its class and its number among those of the class."""
    base = "layers" if root.get("layers") is not None else "_layer_checkpoint_dependencies"
    groups: dict[str, str] = {}
    counts: dict[str, int] = {}
    for layer in layers:
        name = "time_distributed" if layer.is_distributed else GROUP_NAMES.get(layer.kind)
        if name is not None:
            number = counts[name] = counts.get(name, -1) + 1
            inside = "/layer" if layer.is_distributed else ""
            inside = "/cell" if layer.kind in RECURRENT else inside
            numbered = f"{name}_{number}" if number else name
            groups[layer.name] = f"{base}/{numbered}{inside}/vars"

    def weights(layer: KerasLayer) -> dict[str, Weight]:
        group = root.get(groups[layer.name])
        found = {}
        for number, name in enumerate(WEIGHT_NAMES[layer.kind]):
            dataset = None if group is None else group.get(str(number))
            if dataset is not None:
                found[name] = dataset.array()
        return found

    return weights


def _with_version(network: ForeignNetwork, version: object) -> ForeignNetwork:
    """Add the version of Keras to where the model came from."""
    known: Mapping[str, Any] = {"version": version[:40]} if isinstance(version, str) else {}
    return replace(network, training={"imported": known})
