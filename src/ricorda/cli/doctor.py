"""`ricorda doctor`: what this machine has, and what is missing."""

import importlib.metadata
import importlib.util
import platform
from typing import Any

import click

import ricorda
from ricorda.cli.output import print_json, say
from ricorda.cli.slow_paths import facts_of_this_machine, slow_paths
from ricorda.cli.tables import print_paragraph
from ricorda.cores import usable_cores
from ricorda.pages import plural
from ricorda.text import cache_for
from ricorda.text.file_names import displayed
from ricorda.text.sizes import readable_size

UNKNOWN = "unknown"
NEEDED = ("numpy", "pydantic", "click", "rich", "zstandard")
OPTIONAL = {
    "torch": "GPUs, several processes and --backend torch: pip install 'ricorda[torch]'",
    "fastapi": "serving and the studio: pip install 'ricorda[serve]'",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Check this machine: versions, CPU cores, instruction sets, missing packages.

    Lines that begin with "Slow:" explain what makes ricorda slow here, and what to do.
    """
    found = examine()
    slow = _slow_paths(found)
    if as_json:
        print_json(found | {"slow_paths": slow})
        return
    for name, value in found.items():
        print_paragraph(f"{name:<16} {'none' if value is None else value}", hanging=" " * 17)
    say()
    for line in [*(f"Slow: {line}" for line in slow), *_verdict(found)]:
        print_paragraph(line)


def _slow_paths(found: dict[str, Any]) -> list[str]:
    """Explain what makes ricorda slow on this machine."""
    kernels = found["kernels"]
    sets = None if kernels is None else tuple(kernels.split(", "))
    gpu = found["gpu"]
    if gpu is not None and gpu.startswith(UNKNOWN):
        gpu = None
    facts = facts_of_this_machine(sets, has_torch=found["torch"] is not None, gpu=gpu)
    return slow_paths(facts)


def _verdict(found: dict[str, Any]) -> list[str]:
    """Say whether this machine can train, and what to install for the rest."""
    missing = [
        f"{name} is missing; it is needed for {purpose}"
        for name, purpose in OPTIONAL.items()
        if found[name] is None
    ]
    if found["kernels"] is None:
        trains = "uses PyTorch" if found["torch"] is not None else "needs PyTorch"
        return [
            "Not complete: the compiled kernels are missing. Models run slowly, on NumPy, and "
            f"training {trains}.",
            *missing,
        ]
    cores = plural(found["cores"], "core")
    gpu = "no GPU" if found["gpu"] is None else f"GPU: {found['gpu']}"
    ready = f"Ready to train and sample with the compiled kernels on {cores}; {gpu}."
    return [ready, *(missing or ["Nothing is missing."])]


def examine() -> dict[str, Any]:
    """Everything that a bug report needs."""
    return {
        "ricorda": ricorda.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": usable_cores(),
        "kernels": _kernels(),
        **{name: _version(name) for name in (*NEEDED, *OPTIONAL)},
        "gpu": _gpu(),
        "cache": _cache(),
    }


def _kernels() -> str | None:
    """The instruction sets that the compiled kernels can use here, the fastest first."""
    from ricorda.engine import kernels_are_built

    if not kernels_are_built():
        return None
    from ricorda.engine.native import instruction_sets

    return ", ".join(instruction_sets())


def _version(package: str) -> str | None:
    """The installed version; None where it is missing."""
    if importlib.util.find_spec(package) is None:
        return None
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _cache() -> str | None:
    """Where encoded texts are kept, and what they take; None if none are."""
    cache = cache_for(None)
    if cache is None:
        return None
    try:
        refusal, usage, limit = cache.refusal(), cache.usage(), cache.limit
    except OSError as error:
        return f"{displayed(cache.folder)}: {error.strerror}"
    if refusal is not None:
        return f"{displayed(cache.folder)}: not used, because {refusal}"
    interrupted = f", {usage.interrupted} interrupted" if usage.interrupted else ""
    return (
        f"{displayed(cache.folder)}: {plural(usage.texts, 'text')}{interrupted}, "
        f"{readable_size(usage.bytes)} of at most {readable_size(limit)}"
    )


def _gpu() -> str | None:
    """The CUDA device that training would use."""
    if importlib.util.find_spec("torch") is None:
        return None
    try:
        from ricorda.torch.device import gpu_name
    except (ImportError, OSError) as error:  # such as a missing library of PyTorch's
        return f"{UNKNOWN}: PyTorch cannot be imported ({error})"
    return gpu_name()
