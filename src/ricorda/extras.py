"""Optional dependencies: told in one line when they are missing."""

import importlib.util
import os
import sys

from ricorda.errors import MissingExtra


def require_torch(purpose: str = "training needs") -> None:
    """See that PyTorch is there, before it is imported, and make its threads good neighbours.

    `purpose` begins the message that says what it is for.

    Where another process wants a core, OpenMP's threads by default spin at their barriers until it
    is free, which slows training many times. A short spin before they sleep costs nothing on a
    quiet machine (docs/log.md). GNU's OpenMP reads the setting once, when PyTorch is imported.

    Raises MissingExtra if PyTorch is not installed.
    """
    if sys.modules.get("torch") is not None:
        return
    if "torch" in sys.modules or importlib.util.find_spec("torch") is None:
        raise MissingExtra(
            f"{purpose} PyTorch, which is not installed: pip install 'ricorda[train]'"
        )
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def require_serving() -> None:
    """See that the server's packages are there. Raises MissingExtra if one is not."""
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        known = sys.modules.get(name, ...)
        if known is None or (known is ... and importlib.util.find_spec(name) is None):
            raise MissingExtra(
                f"serving needs {name}, which is not installed: pip install 'ricorda[serve]'"
            )


def require_studio() -> None:
    """See that the page's packages are there. Raises MissingExtra if one is not."""
    for name in ("fastapi", "uvicorn"):
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            raise MissingExtra(
                f"the studio needs {name}, which is not installed: pip install 'ricorda[studio]'"
            )
