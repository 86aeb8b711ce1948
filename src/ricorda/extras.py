"""Optional dependencies: told in one line when they are missing."""

import importlib.util
import os
import sys

from ricorda.errors import MissingExtra


def require_torch() -> None:
    """See that PyTorch is there, before it is imported, and make its threads good neighbours.

    Where another process wants a core, OpenMP's threads by default spin at their barriers and
    slow training 20 to 50 times. Passive waiting costs little on a quiet machine and nearly
    nothing then. OpenMP reads the setting once, when PyTorch is first imported.

    Raises MissingExtra if PyTorch is not installed.
    """
    if sys.modules.get("torch") is not None:
        return
    if "torch" in sys.modules or importlib.util.find_spec("torch") is None:
        raise MissingExtra(
            "training needs PyTorch, which is not installed: pip install 'ricorda[train]'"
        )
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
