"""Loading a trained model from its file."""

import os
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

from ricorda.arguments import checked
from ricorda.arguments import path as argument_path
from ricorda.engine.backend import Precision
from ricorda.engine.choice import BackendName, make_backend
from ricorda.engine.model import Model
from ricorda.model.model_file import ModelFile, model_file_path, read_model_file


@runtime_checkable
class InFolder(Protocol):
    """An object that has a folder with a model, such as a Run."""

    @property
    def folder(self) -> Path:
        """The folder."""


@checked
def load(
    path: str | bytes | os.PathLike[str] | Annotated[InFolder, "a run"],
    precision: Precision = "float32",
    backend: BackendName = "auto",
    *,
    threads: int | None = None,
) -> Model:
    """Load a trained model from its file, its run's folder or its Run; needs no PyTorch.

    float32 is the reference; `auto` is the fastest that loses less than 0.002 nats per symbol.
    threads: how many threads the kernels use, by default one for each core.

    Raises ModelFileError if the file is missing or damaged, ConfigurationError if the precision or
    the backend is not available.
    """
    return open_model(load_file(path), precision, backend, threads=threads)


@checked
def load_file(path: str | bytes | os.PathLike[str] | InFolder) -> ModelFile:
    """Read a model's file, or that of a run's folder, weights and all; `open_model` runs it.

    Raises ModelFileError if the file is missing or damaged.
    """
    location = argument_path("path", path.folder if isinstance(path, InFolder) else path)
    return read_model_file(model_file_path(location))


@checked
def open_model(
    file: ModelFile,
    precision: Precision = "float32",
    backend: BackendName = "auto",
    *,
    threads: int | None = None,
) -> Model:
    """Make what a model file holds ready to run; otherwise as `load`."""
    engine = make_backend(file.configuration, file.tensors, precision, backend, threads=threads)
    return Model(file.configuration, file.vocabulary, engine, file.training, file.gradient_sizes)
