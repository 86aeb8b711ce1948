"""`ricorda doctor`: what this machine has, and what is missing."""

import importlib.metadata
import importlib.util
import os
import platform
from typing import Any

import click

import ricorda
from ricorda.cli.output import print_json

NEEDED = ("numpy", "safetensors", "pydantic", "click", "rich")
OPTIONAL = {"torch": "training: pip install 'ricorda[train]'"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Show versions, processor cores and instruction sets, and what is missing."""
    found = examine()
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        click.echo(f"{name:<16} {'missing' if value is None else value}")
    for name, purpose in OPTIONAL.items():
        if found[name] is None:
            click.echo(f"{name} is missing; it is needed for {purpose}")


def examine() -> dict[str, Any]:
    """Everything that a bug report needs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "ricorda": ricorda.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": cores,
        **{name: _version(name) for name in (*NEEDED, *OPTIONAL)},
        "gpu": _gpu(),
    }


def _version(package: str) -> str | None:
    """The installed version; None where it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """The CUDA device that training would take."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
