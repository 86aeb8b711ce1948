"""Choosing the engine that runs a network: the C++ kernels, or NumPy."""

import importlib
from collections.abc import Mapping
from typing import Literal

from ricorda.arguments import checked
from ricorda.engine.backend import Array, Backend, Precision
from ricorda.engine.reference import ReferenceBackend
from ricorda.errors import ConfigurationError
from ricorda.model.configuration import ModelConfiguration

BackendName = Literal["auto", "native", "numpy"]


@checked
def make_backend(
    configuration: ModelConfiguration,
    tensors: Mapping[str, Array],
    precision: Precision = "float32",
    backend: BackendName = "auto",
    *,
    threads: int | None = None,
) -> Backend:
    """Choose the engine for a network: the C++ kernels where they were built, else NumPy.

    Raises ConfigurationError if the precision or the backend is not available.
    """
    if backend != "numpy" and kernels_are_built():
        from ricorda.engine.native import NativeBackend

        return NativeBackend(configuration, tensors, precision, threads=threads)
    if backend == "native":
        raise ConfigurationError(
            "backend native needs the compiled kernels, which this installation lacks: "
            "install a C++ compiler and reinstall ricorda, or use backend numpy"
        )
    if precision in ("bfloat16", "int8"):
        raise ConfigurationError(
            f"precision {precision} needs the compiled kernels, got the NumPy engine: "
            "give precision float32 or auto"
        )
    return ReferenceBackend(configuration, tensors)


def kernels_are_built() -> bool:
    """Say whether this installation has the C++ kernels."""
    try:
        importlib.import_module("ricorda._kernels")
    except ImportError:
        return False
    return True
