"""What this machine offers to training. PyTorch is imported only where it may be used."""

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from ricorda.cores import memory_limit, usable_cores
from ricorda.errors import ConfigurationError
from ricorda.extras import require_torch
from ricorda.model.cells import CELLS, CellName
from ricorda.training.configuration import Backend, Device, TrainingConfiguration
from ricorda.training.kernel_learner import learns_bfloat16
from ricorda.training.options import DEFAULT_CELL, TrainingOptions
from ricorda.training.plan.memory import MemoryNeed, memory_need
from ricorda.training.plan.planner import Machine, choose_backend
from ricorda.training.process_group import local_processes, started_together

NO_BFLOAT16_ON_A_GPU = (
    "--precision bfloat16: this GPU, or cuDNN's layers in this PyTorch, do not have it "
    "(cuDNN's have from PyTorch 2.10 and cuDNN 9.13 on); leave --precision out"
)


def this_machine(options: TrainingOptions) -> Machine:
    """Examine the machine and check the options against it.

    Raises ConfigurationError for a device that is missing, for more processes than GPUs, and for
    bfloat16 where a cell has none; MissingExtra where PyTorch is needed and not installed.
    """
    device = _device(options)
    processes, here = _processes(options)
    if device == "cuda":
        from ricorda.torch.device import check_gpus, take_own_gpu

        check_gpus(here)
        take_own_gpu()
    bfloat16 = _bfloat16_cells(device, choose_backend(options.backend, device))
    if options.precision == "bfloat16":
        _check_bfloat16(options.cell or DEFAULT_CELL, device, bfloat16)
    return Machine(device=device, threads=_threads(here), bfloat16=bfloat16, processes=processes)


def _device(options: TrainingOptions) -> Device:
    """The device that was asked for; for "auto" a CUDA GPU if there is one, else the processor."""
    if options.device == "auto":
        may_have_gpu = (
            options.backend != "kernels"
            and importlib.util.find_spec("torch") is not None
            and _has_gpu_driver()
        )
        return "cuda" if may_have_gpu and _is_available("cuda") else "cpu"
    if options.device != "cpu" and not _is_available(options.device):
        name = {"cuda": "CUDA", "mps": "Apple"}[options.device]
        raise ConfigurationError(
            f"--device {options.device}: PyTorch finds no {name} GPU here; give --device cpu or "
            "leave it out"
        )
    return options.device


def _is_available(device: str) -> bool:
    require_torch(f"--device {device} needs")
    from ricorda.torch.device import is_available

    return is_available(device)


def _has_gpu_driver() -> bool:
    """Whether a driver for CUDA or ROCm is installed: without one, PyTorch finds no GPU."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()
    return True


def _threads(here: int) -> int:
    """The threads of each process, where `here` processes share this machine.

    A process alone has at most OMP_NUM_THREADS.
    """
    cores = usable_cores()
    if here > 1:
        return max(1, cores // here)
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) > 0 else cores


def _processes(options: TrainingOptions) -> tuple[int, int]:
    """How many processes train together, and how many of them on this machine."""
    if not started_together():
        wanted = options.processes or 1
        if wanted > 1:
            require_torch("several processes need")
        return wanted, wanted
    size = int(os.environ["WORLD_SIZE"])
    if options.processes not in (None, size):
        raise ConfigurationError(
            f"--processes {options.processes}: {size} processes were started already, by torchrun "
            "or the like; leave it out"
        )
    return size, local_processes()


def _bfloat16_cells(device: Device, backend: Backend) -> frozenset[CellName]:
    """The cells that are trained faster in bfloat16 than in float32."""
    if backend == "kernels":
        return frozenset(CELLS if learns_bfloat16() else [])
    from ricorda.torch.device import bfloat16_cells

    return bfloat16_cells(device)


def _check_bfloat16(cell: CellName, device: Device, bfloat16: frozenset[CellName]) -> None:
    """Raise ConfigurationError if a cell is not trained in bfloat16."""
    if cell in bfloat16:
        return
    if device == "cuda":
        raise ConfigurationError(NO_BFLOAT16_ON_A_GPU)
    others = f", or take --cell {min(bfloat16)}" if bfloat16 else ""
    place = "on this processor" if device == "cpu" else f"on {device}"
    raise ConfigurationError(
        f"--precision bfloat16: {cell} is computed in float32 alone {place}; "
        f"leave --precision out{others}"
    )


def check_memory(configuration: TrainingConfiguration, training_size: int) -> MemoryNeed:
    """Refuse a training that this machine cannot hold, before the system ends the process.

    Returns what it needs. Raises ConfigurationError, naming the options to lower.
    """
    need = memory_need(configuration, training_size)
    memory = memory_of(configuration.device)
    if memory is not None and need.total > memory:
        options = "--hidden-size, --num-layers or --embedding-size"
        if need.window > need.learner + need.saving:
            options = "--batch-size, --window or --hidden-size"
        raise ConfigurationError(
            f"expected a training that fits in {_gigabytes(memory)} of memory, got one that "
            f"needs about {_gigabytes(need.total)}: lower {options}"
        )
    return need


def memory_of(device: str) -> int | None:
    """Return the bytes of a CUDA GPU's memory, or of the main memory that this process may use.

    The latter is the smaller of the machine's memory and the limit of the process's control groups;
    None if the system does not report it.
    """
    if device == "cuda":
        from ricorda.torch.device import gpu_memory

        return gpu_memory()
    known = [size for size in (_physical_memory(), memory_limit()) if size is not None]
    return min(known, default=None)


def _physical_memory() -> int | None:
    """The bytes of the machine's memory; None if the system does not report it, as on Windows."""
    if not hasattr(os, "sysconf"):
        return None
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # a name that this system lacks
        return None
    return size if size > 0 else None


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
