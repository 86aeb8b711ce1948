"""Names of a package that are imported when first asked for: they need PyTorch, or time."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str], before: Callable[[str], None] = lambda home: None
) -> Callable[[str], Any]:
    """Make the module's `__getattr__` (PEP 562): each name is taken from the module it lives in.

    before is called with that module's name first.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        before(homes[name])
        return getattr(importlib.import_module(homes[name]), name)

    return get
