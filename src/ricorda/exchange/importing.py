"""The table of formats that can be imported, and how a file's format is found."""

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ricorda.errors import ModelFileError
from ricorda.exchange.network import ForeignNetwork, Symbols
from ricorda.exchange.symbols import read_symbols
from ricorda.model import ModelFile


class Reader(NamedTuple):
    """A row of the table of formats."""

    module: str
    """Its `read(path)` makes a ForeignNetwork; it is imported when it is called."""

    summary: str
    suffixes: tuple[str, ...]
    """How the names of such files end."""


READERS: dict[str, Reader] = {
    "torch": Reader(
        "ricorda.exchange.torch_import", "a PyTorch state dict", (".safetensors", ".pt", ".pth")
    ),
    "keras": Reader("ricorda.exchange.keras_import", "a Keras model", (".keras", ".h5", ".hdf5")),
    "onnx": Reader("ricorda.exchange.onnx_import", "an ONNX graph", (".onnx",)),
    "tensorflowjs": Reader(
        "ricorda.exchange.tensorflowjs_import",
        "ml5's charRNN or a layers model of TensorFlow.js, a folder or its manifest",
        (".json",),
    ),
}


CHECKPOINT = (
    "a TensorFlow 1 checkpoint, which only TensorFlow reads: write its variables as ml5's charRNN "
    "stores them, a manifest.json and a file of float32 numbers for each (docs/guides/importing.md)"
)

PICKLE = "a pickle, which could run any code: save the weights as .safetensors, the symbols as JSON"

REFUSED = {
    ".index": CHECKPOINT,
    ".meta": CHECKPOINT,
    ".ckpt": CHECKPOINT,
    ".data-00000-of-00001": CHECKPOINT,
    ".pb": "a TensorFlow graph: load it with Keras and save the model as .keras",
    ".tflite": "a model for TensorFlow Lite: convert the Keras model that it was made of",
    ".t7": "a model of Torch for Lua (char-rnn, torch-rnn), which no maintained library reads: "
    "save its tensors as .safetensors with the names of torch.nn",
    ".pkl": PICKLE,
    ".pickle": PICKLE,
    ".mlmodel": "a Core ML model: convert the model that it was made of",
    ".gguf": "a file for llama.cpp, whose networks are no LSTM, GRU or RNN",
    ".npz": "NumPy arrays, which do not say what network they are: save them as .safetensors with "
    "the names of torch.nn",
}
"""What the files of other tools are that cannot be read, and what to do, by the end of the name."""

FOLDERS = {
    "saved_model.pb": "a SavedModel of TensorFlow: load it with Keras and save it as .keras",
    "checkpoint": CHECKPOINT,
}
"""The same for folders, by a file in them."""


def import_model(path: Path, *, symbols: Path | None = None) -> ModelFile:
    """Read a model that another tool trained.

    symbols: a file with its symbols in the order of their ids, where the model's file has none.
    The model's `training` has an entry "imported": the format, the file's name, its SHA-256 and
    notes for the person who imports it.
    Raises ModelFileError, in one line, for a file that is missing, damaged or of no known format,
    and for a network that ricorda cannot represent; VocabularyError for symbols that do not fit.
    """
    name, row = _reader(path)
    read: Callable[[Path], ForeignNetwork] = importlib.import_module(row.module).read
    network = read(path)
    given = network.symbols if symbols is None else read_symbols(symbols)
    model = network.model_file(given if isinstance(given, Symbols) else None)
    imported: dict[str, Any] = {"format": name, "file": path.resolve().name}
    if path.is_file():
        imported["sha256"] = _digest(path)
    imported |= model.training.get("imported", {})
    notes = (*network.notes, *(given.notes if isinstance(given, Symbols) else ()))
    model.training["imported"] = imported | ({"notes": list(notes)} if notes else {})
    return model


def _reader(path: Path) -> tuple[str, Reader]:
    """Find the format of a file. Raises ModelFileError for one that cannot be imported."""
    if not path.exists():
        if path.with_name(f"{path.name}.index").exists():  # a checkpoint is named without an end
            raise ModelFileError(f"{path} is {CHECKPOINT}")
        raise ModelFileError(f"no file at {path}: give a model that another tool saved")
    if not path.is_file() and not path.is_dir():
        raise ModelFileError(f"expected a model's file or folder, found something else at {path}")
    name = path.name.lower()
    if path.is_dir():
        known = [what for end, what in FOLDERS.items() if (path / end).exists()]
    else:
        known = [what for end, what in REFUSED.items() if name.endswith(end)]
    if known or name == "checkpoint":
        raise ModelFileError(f"{path} is {(known or [CHECKPOINT])[0]}")
    # Another folder is TensorFlow.js's: its manifest lies beside one file for each tensor.
    suffix = ".json" if path.is_dir() else path.suffix.lower()
    for format, row in READERS.items():
        if suffix in row.suffixes:
            return format, row
    suffixes = ", ".join(suffix for row in READERS.values() for suffix in row.suffixes)
    raise ModelFileError(f"expected a file whose name ends in one of {suffixes}, got {name!r}")


def _digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
