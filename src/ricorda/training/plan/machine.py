"""What this machine offers to training."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from ricorda.cgroup import memory_limit
from ricorda.cores import usable_cores
from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELLS, CellName
from ricorda.torch.cells import LSTMCell
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.fused import learns_bfloat16
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.memory import MemoryNeed, memory_need
from ricorda.training.plan.planner import DEFAULT_CELL, Machine
from ricorda.training.started import local_processes, started_together


def this_machine(options: TrainingOptions) -> Machine:
    """Look at the machine, hold the options against it.

    Raises ConfigurationError for a GPU that is not there, for more processes than GPUs, and for
    bfloat16 where a cell has none.
    """
    has_gpu = torch.cuda.is_available()
    if options.device == "cuda" and not has_gpu:
        raise ConfigurationError(
            "--device cuda: PyTorch finds no CUDA GPU here; give --device cpu or leave it out"
        )
    device = "cuda" if has_gpu and options.device != "cpu" else "cpu"
    processes, here = _processes(options)
    if device == "cuda":
        check_gpus(here)
        take_own_gpu()
    bfloat16 = _fast_bfloat16(device, kernels=options.kernels == "auto")
    cell = options.cell or DEFAULT_CELL
    if device == "cpu" and options.precision == "bfloat16" and cell not in bfloat16:
        others = f", or take --cell {min(bfloat16)}" if bfloat16 else ""
        raise ConfigurationError(
            f"--precision bfloat16: {cell} is computed in float32 alone on this processor; "
            f"leave --precision out{others}"
        )
    if device == "cuda" and options.precision == "bfloat16" and not bfloat16:
        raise ConfigurationError(
            "--precision bfloat16: this GPU, or cuDNN's layers in this PyTorch, do not have it "
            "(cuDNN's have from PyTorch 2.10 and cuDNN 9.13 on); leave --precision out"
        )
    return Machine(
        device=device,
        threads=_threads(here),
        bfloat16=bfloat16,
        processes=processes,
    )


def _threads(here: int) -> int:
    """Return the number of threads of each process, for a number of processes on this machine.

    For one process it is at most PyTorch's number, which OMP_NUM_THREADS may have lowered.
    """
    if here == 1:
        return min(torch.get_num_threads(), usable_cores())
    return max(1, usable_cores() // here)


def _processes(options: TrainingOptions) -> tuple[int, int]:
    """How many processes learn together, and how many of them on this machine."""
    if not started_together():
        wanted = options.processes or 1
        return wanted, wanted
    size = int(os.environ["WORLD_SIZE"])
    if options.processes not in (None, size):
        raise ConfigurationError(
            f"--processes {options.processes}: {size} processes were started already, by torchrun "
            "or the like; leave it out"
        )
    return size, local_processes()


def _fast_bfloat16(device: str, *, kernels: bool) -> frozenset[CellName]:
    """The cells that are learned faster in bfloat16 than in float32."""
    if device == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return frozenset(CELLS) if has and _layers_learn_bfloat16() else frozenset()
    if kernels and learns_bfloat16():
        return frozenset(CELLS)
    capabilities = torch.cpu.get_capabilities()
    has = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return frozenset[CellName](["lstm"] if has else [])  # PyTorch has it for the LSTM alone


def _layers_learn_bfloat16() -> bool:
    """Whether cuDNN's layers do: a small one is tried, as older versions of either refuse it."""
    cell = LSTMCell(8, 8).to("cuda")
    inputs = torch.zeros(1, 2, 8, device="cuda")
    try:
        with torch.autocast("cuda", torch.bfloat16):
            outputs, _ = cell.over_window(inputs, cell.initial_state(1))
        outputs.float().sum().backward()
    except RuntimeError:
        return False
    return outputs.dtype == torch.bfloat16


def check_gpus(processes: int) -> None:
    """See that each of a machine's processes has a GPU. Raises ConfigurationError if not."""
    found = torch.cuda.device_count()
    if processes > found:
        raise ConfigurationError(
            f"expected a GPU for each of {processes} processes on this machine, got {found}: "
            f"give --processes {found}, or --device cpu"
        )


def take_own_gpu() -> None:
    """Let "cuda" mean, for one of several processes, the GPU of its number on this machine.

    A process alone keeps the one that it has. Threads begin with the first GPU: see `DataLoader`.
    """
    number = int(os.environ.get("LOCAL_RANK", "0"))
    if started_together() and number < torch.cuda.device_count():
        torch.cuda.set_device(number)


def lacks_memory(error: BaseException) -> bool:
    """Whether an error, PyTorch's or the system's, is for want of memory, on a GPU too."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    told = ("allocate memory", "ALLOC_FAILED")  # of a processor; of cuBLAS and cuDNN
    return isinstance(error, RuntimeError) and any(words in str(error) for words in told)


def check_memory(configuration: TrainingConfiguration, training_size: int) -> MemoryNeed:
    """Refuse a training that this machine cannot hold, before the system ends the process.

    Hands back what it needs. Raises ConfigurationError, naming the options to lower.
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
    """Return the bytes of a GPU's memory, or of the main memory that this process may use.

    That is the smaller of the machine's memory and the limit of the process's control groups; None
    if the system does not report it.
    """
    if device == "cuda":
        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
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


@contextlib.contextmanager
def computing_with(configuration: TrainingConfiguration) -> Iterator[None]:
    """Within, compute with a run's threads; then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(configuration.threads)
    try:
        with tf32(on=False):
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def tf32(*, on: bool) -> Iterator[None]:
    """Within, a GPU's products and cuDNN's layers round float32 to TF32, or do not, then as before.

    A run never does; PyTorch rounds cuDNN's by default. Who wants speed takes bfloat16, which is
    faster still.
    `allow_tf32` cannot even be read where a program has used the newer `fp32_precision`.
    """
    places: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    name: str = "allow_tf32"
    wanted: bool | str = on
    if hasattr(places[0], "fp32_precision"):  # since PyTorch 2.9
        places[1] = torch.backends.cudnn.rnn
        name, wanted = "fp32_precision", "tf32" if on else "ieee"
    before = [getattr(place, name) for place in places]
    try:
        for place in places:
            setattr(place, name, wanted)
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            setattr(place, name, value)
