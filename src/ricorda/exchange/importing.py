"""The table of formats that can be imported, and how a file's format is found."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ricorda.errors import ModelFileError
from ricorda.exchange.network import ForeignNetwork
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
        "ricorda.exchange.tensorflowjs_import", "ml5's charRNN for TensorFlow.js", (".json",)
    ),
}


def import_model(path: Path, *, symbols: Path | None = None) -> ModelFile:
    """Read a model that another tool trained.

    symbols: a file with its symbols in the order of their ids, where the model's file has none.
    Raises ModelFileError, in one line, for a file that is missing, damaged or of no known format,
    and for a network that ricorda cannot represent; VocabularyError for symbols that do not fit.
    """
    if not path.exists():
        raise ModelFileError(f"no file at {path}: give a model that another tool saved")
    name = path.name.lower()
    # A folder is TensorFlow.js's: its manifest lies beside one file for each tensor.
    suffix = ".json" if path.is_dir() else path.suffix.lower()
    for row in READERS.values():
        if suffix in row.suffixes:
            read: Callable[[Path], ForeignNetwork] = importlib.import_module(row.module).read
            network = read(path)
            return network.model_file(None if symbols is None else read_symbols(symbols))
    known = ", ".join(suffix for row in READERS.values() for suffix in row.suffixes)
    raise ModelFileError(f"expected a file whose name ends in one of {known}, got {name!r}")
