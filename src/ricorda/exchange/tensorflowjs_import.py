"""Read models for TensorFlow.js: the charRNN models of ml5, and layers models (model.json).

A charRNN model is a folder with `manifest.json` (the file and shape of each tensor), a file of
float32 numbers for each tensor, and `vocab.json` (characters and ids). Its tensors are those of a
`MultiRNNCell` of TensorFlow 1.
"""

import hashlib
import math
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from ricorda.errors import InputError, ModelFileError, VocabularyError
from ricorda.exchange.keras_model import WEIGHT_NAMES, KerasLayer, layers_of, network_of
from ricorda.exchange.network import ForeignLayer, ForeignNetwork, Symbols, Weight, reordered
from ricorda.exchange.symbols import symbols_of
from ricorda.validation import parse_json, shown

LARGEST_JSON = 16 << 20  # bytes
MOST_LAYERS = 64
FORGET_BIAS = 1.0
"""What TensorFlow 1 adds to a forget gate when the network runs, and ml5 too."""

_CELL = re.compile(
    r"(?:^|/)(?:cell|lstm)_(?P<layer>\d{1,2})/(?P<kind>\w+?)/(?P<part>kernel|weights|bias|biases)$"
)
_LSTM = frozenset({"basic_lstm_cell", "lstm_cell"})
_IGNORED = re.compile(r"(?:^|/)(?:Adam|RMSProp|Momentum)(?:_\d+)?$")
_QUANTIZED = "quantization"


def read(path: Path) -> ForeignNetwork:
    """Read the folder of a model, or its manifest.json or model.json.

    Raises ModelFileError, in one line, for files that are missing, damaged or of another form, and
    for a network that ricorda has no equal of.
    """
    manifest = _manifest_of(path) if path.is_dir() else path
    files = _Folder(manifest.parent)
    try:
        described = files.json(manifest.name)
        if not isinstance(described, dict):
            raise ModelFileError("expected an object of tensors, got something else")
        network = _layers_model(described, files) if _MANIFEST in described else None
        network = network or _char_rnn(described, files)
    except ModelFileError as error:
        raise ModelFileError(f"{manifest}: {error}") from error
    training = {"imported": {"sha256": files.digest}}
    return replace(network, training=training)


_MANIFEST = "weightsManifest"


def _manifest_of(folder: Path) -> Path:
    for name in ("manifest.json", "model.json"):
        if (folder / name).exists():
            return folder / name
    raise ModelFileError(
        f"expected a folder with the manifest.json of ml5's charRNN, or a model.json, found "
        f"neither in {folder}"
    )


class _Folder:
    """The files of one folder: a name never leads out of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._read: set[str] = set()

    @property
    def digest(self) -> str:
        """SHA-256 of the files that were read, in their order."""
        return self._hash.hexdigest()

    def has(self, name: str) -> bool:
        """Whether the folder has such a file."""
        return (self._path / name).exists()

    def json(self, name: str) -> Any:
        """Read a JSON file."""
        content = self._read_file(name, LARGEST_JSON)
        try:
            return parse_json(content.decode("utf-8"), longest=LARGEST_JSON, finite=False)
        except ValueError as error:
            raise ModelFileError(f"{shown(name)} is not JSON: {error}") from error

    def content(self, name: object, size: int | None = None) -> bytes:
        """Read a file, once, of `size` bytes if that is given."""
        if not isinstance(name, str) or Path(name).name != name or "\\" in name or ":" in name:
            raise ModelFileError(f"expected the name of a file in its folder, got {shown(name)}")
        if name in self._read:
            raise ModelFileError(f"the file {shown(name)} is named twice")
        self._read.add(name)
        return self._read_file(name, size, exact=size is not None)

    def _read_file(self, name: str, size: int | None, *, exact: bool = False) -> bytes:
        path = self._path / name
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise ModelFileError(f"expected {shown(name)} to be a file, no link or folder")
            found = status.st_size
            if size is not None and (found != size if exact else found > size):
                expected = f"{size:,}" if exact else f"at most {size:,}"
                raise ModelFileError(f"expected {expected} bytes in {shown(name)}, found {found:,}")
            with path.open("rb") as file:
                content = file.read(found)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            reason = getattr(error, "strerror", None) or "no file has such a name"
            raise ModelFileError(f"cannot read {shown(name)}: {reason}") from error
        self._hash.update(content)
        return content


class _Tensor(NamedTuple):
    """An entry of a manifest."""

    name: str
    filename: object
    shape: tuple[int, ...]

    def read(self, files: _Folder, dimensions: int) -> Weight:
        """Return its numbers."""
        if len(self.shape) != dimensions:
            raise ModelFileError(
                f"expected {shown(self.name)} with {dimensions} dimensions, got {self.shape}"
            )
        content = files.content(self.filename, 4 * math.prod(self.shape))
        return np.frombuffer(content, "<f4").reshape(self.shape)


def _char_rnn(described: dict[str, Any], files: _Folder) -> ForeignNetwork:
    """Read ml5's charRNN."""
    embedding: _Tensor | None = None
    output: dict[str, _Tensor] = {}
    cells: dict[int, dict[str, _Tensor]] = {}
    for name, entry in described.items():
        tensor = _entry(name, entry)
        if found := _CELL.search(name):
            if found["kind"] not in _LSTM:
                raise ModelFileError(
                    f"the tensor {shown(name)} is of a cell {shown(found['kind'])}: only those of "
                    "basic_lstm_cell can be imported"
                )
            part = "bias" if found["part"].startswith("bias") else "kernel"
            cells.setdefault(int(found["layer"]), {})[part] = tensor
        elif name.rpartition("/")[2] in {"softmax_w", "softmax_b"}:
            output[name[-1]] = tensor
        elif name.rpartition("/")[2] == "embedding":
            embedding = tensor
        elif tensor.shape and not _IGNORED.search(name):
            raise ModelFileError(f"the tensor {shown(name)} belongs to no part of a charRNN model")
    _check_parts(cells, output)
    network = ForeignNetwork(
        cell="lstm",
        layers=tuple(_lstm(cells[number], files) for number in range(len(cells))),
        output_weight=output["w"].read(files, 2).T,
        output_bias=output["b"].read(files, 1),
        embedding=None if embedding is None else embedding.read(files, 2),
    )
    if not files.has("vocab.json"):
        return network
    return replace(network, symbols=_symbols(files))


def _symbols(files: _Folder) -> Symbols | InputError:
    """Return the vocabulary, or what is wrong with it: --symbols may replace it."""
    try:
        return symbols_of(files.json("vocab.json"), where="vocab.json")
    except InputError as error:
        return VocabularyError(f"{error}; or give the right symbols with --symbols")


def _entry(name: str, entry: object) -> _Tensor:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not _is_shape(shape):
        raise ModelFileError(
            f"expected a file name and a shape for the tensor {shown(name)}, got {shown(entry)}: "
            "this is no manifest of ml5's charRNN"
        )
    return _Tensor(name, entry.get("filename"), tuple(shape))


def _is_shape(shape: object) -> TypeGuard[list[int]]:
    return (
        isinstance(shape, list)
        and len(shape) <= 8
        and all(type(length) is int and 0 <= length < 2**31 for length in shape)
    )


def _check_parts(cells: Mapping[int, Mapping[str, Any]], output: Mapping[str, Any]) -> None:
    """Layers from 0 without a gap, and the weights of the output."""
    if not cells or output.keys() != {"w", "b"}:
        raise ModelFileError(
            "expected the tensors softmax_w, softmax_b and those of cell_0/basic_lstm_cell, as "
            "ml5's charRNN has them"
        )
    if sorted(cells) != list(range(len(cells))) or len(cells) > MOST_LAYERS:
        raise ModelFileError(f"expected layers numbered from 0, got {shown(sorted(cells))}")
    for number, parts in cells.items():
        if parts.keys() != {"kernel", "bias"}:
            raise ModelFileError(f"expected a kernel and a bias for cell_{number}")


def _lstm(parts: Mapping[str, _Tensor], files: _Folder) -> ForeignLayer:
    """Turn TensorFlow's LSTM into torch.nn's.

    The kernel (I + H, 4H) has the gates i, g, f, o. TensorFlow adds FORGET_BIAS when the network
    runs: it becomes the second bias of the forget gate, so that no number is rounded.
    """
    kernel, bias = parts["kernel"].read(files, 2), parts["bias"].read(files, 1)
    rows, columns = kernel.shape
    hidden = columns // 4
    if columns != 4 * hidden or bias.shape != (columns,) or rows <= hidden:
        raise ModelFileError(
            f"expected a kernel of inputs and units by four times the units, got {kernel.shape} "
            f"with a bias of {bias.shape}"
        )
    forget = np.zeros((4, hidden), np.float32)
    forget[1] = FORGET_BIAS
    read, recurrent = kernel[: rows - hidden].T, kernel[rows - hidden :].T
    return ForeignLayer(
        weight_ih=reordered(read, "igfo", "ifgo"),
        weight_hh=reordered(recurrent, "igfo", "ifgo"),
        bias_ih=reordered(bias, "igfo", "ifgo"),
        bias_hh=forget.reshape(-1),
    )


def _layers_model(described: dict[str, Any], files: _Folder) -> ForeignNetwork:
    """Read a layers model: Keras' configuration, with weights in shards."""
    topology = described.get("modelTopology")
    if isinstance(topology, dict):
        topology = topology.get("model_config", topology)
    tensors: dict[str, Weight] = {}
    groups = described[_MANIFEST]
    for group in groups if isinstance(groups, list) else [groups]:
        tensors |= _read_group(group, files)

    def weights(layer: KerasLayer) -> dict[str, Weight]:
        return {
            plain: tensor
            for name, tensor in tensors.items()
            if name.split("/")[0] == layer.name
            and (plain := name.rpartition("/")[2]) in WEIGHT_NAMES[layer.kind]
        }

    return network_of(layers_of(topology), weights)


def _read_group(group: object, files: _Folder) -> dict[str, Weight]:
    """Read the tensors that the shards of one group hold, one after another."""
    paths, entries = (
        (group.get("paths"), group.get("weights")) if isinstance(group, dict) else (None, None)
    )
    if not isinstance(paths, list) or not isinstance(entries, list):
        raise ModelFileError("expected groups of paths and weights in the weightsManifest")
    content = b"".join(files.content(path) for path in paths)
    found, at = {}, 0
    for entry in entries:
        name, shape, of = (
            tuple(map(entry.get, ("name", "shape", "dtype")))
            if isinstance(entry, dict)
            else (None, None, None)
        )
        if not isinstance(name, str) or not _is_shape(shape):
            raise ModelFileError(f"expected a name and a shape of weights, got {shown(entry)}")
        if of != "float32" or _QUANTIZED in entry:
            raise ModelFileError(
                f"the weights {shown(name)} are not float32: convert the model without quantization"
            )
        end = at + 4 * math.prod(shape)
        if end > len(content):
            raise ModelFileError(f"the weights {shown(name)} are missing at the end of the shards")
        found[name] = np.frombuffer(content[at:end], "<f4").reshape(shape)
        at = end
    return found
