"""Optional dependencies, checked before they are imported."""

import importlib.util
import os
import sys
from collections.abc import Iterable

from ricorda.errors import MissingExtra


def require_torch(purpose: str = "training needs") -> None:
    """Check that PyTorch is installed, and prepare its threads for a shared machine.

    `purpose` begins the message.

    OpenMP's threads spin at their barriers until the last one arrives, which slows training many
    times where another process uses a core. A short spin before they sleep costs nothing on a quiet
    machine (docs/log.md). GNU's OpenMP reads the setting once, when PyTorch is imported.

    Raises MissingExtra if PyTorch is not installed.
    """
    _require("torch", f"{purpose} PyTorch", "torch")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def require_serving() -> None:
    """Check that the server's packages are installed. Raises MissingExtra if one is not."""
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        _require(name, f"serving needs {name}", "serve")


def require_studio() -> None:
    """Check that the studio's packages are installed. Raises MissingExtra if one is not."""
    for name in ("fastapi", "uvicorn"):
        _require(name, f"the studio needs {name}", "studio")


def require_onnx() -> None:
    """Check that the onnx package is installed. Raises MissingExtra if it is not."""
    _require("onnx", "an export for ONNX Runtime needs onnx", "onnx")


def require_frames(library: str) -> None:
    """Check that pandas or polars is installed. Raises MissingExtra if it is not."""
    _require(library, f"a table for {library} needs {library}", library)


def require_optuna() -> None:
    """Check that Optuna is installed. Raises MissingExtra if it is not."""
    _require("optuna", "a search for settings needs optuna", "tune")


def require_dashboards(names: Iterable[str]) -> None:
    """Check that dashboards' packages, of the same names, are installed. Raises MissingExtra."""
    for name in names:
        _require(name, f"--log {name} needs the package {name}", name)


def _require(module: str, need: str, extra: str) -> None:
    """Raise MissingExtra if a module is not there; `sys.modules` has None for a blocked one."""
    is_there = sys.modules.get(module) is not None
    if not is_there and (module in sys.modules or importlib.util.find_spec(module) is None):
        raise MissingExtra(f"{need}, which is not installed: pip install 'ricorda[{extra}]'")
