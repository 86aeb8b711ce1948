"""What a run's bits depend on besides its settings: a resume tells where it differs."""

import platform
from collections.abc import Mapping
from typing import Any

import torch

import ricorda
from ricorda.engine import kernels_are_built


def fingerprint(threads: int, device: str, processes: int = 1) -> dict[str, Any]:
    """Take this machine's and this installation's."""
    found = {
        "ricorda": ricorda.__version__,
        "torch": torch.__version__,
        "torch instructions": torch.backends.cpu.get_cpu_capability(),
        "kernels": "NumPy",
        "processor": str(torch.cpu.get_capabilities().get("cpu_name", platform.machine())),
        "threads": threads,
        "processes": processes,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
    }
    if kernels_are_built():
        from ricorda.engine.native import instruction_sets

        found["kernels"] = next(iter(dict(instruction_sets())), "none")
    return found


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say in one line what differs; empty where nothing does."""
    before = {"processes": 1, **before}
    changes = [
        f"{name} {before.get(name)} is now {value}"
        for name, value in now.items()
        if before.get(name) != value
    ]
    if not changes:
        return ""
    return (
        f"another machine or version than before ({'; '.join(changes)}): "
        "the run goes on, but not to the same bits"
    )
