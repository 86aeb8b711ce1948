"""What this machine offers to training, and how much of its memory a training needs.

PyTorch is imported only where it may be used. Memory is counted from what a training allocates:

    P  parameters        H  hidden size     I  a layer's input size    G  gates of stacked weights
    V  output rows       W  gates' width    L  layers                  N  symbols of a window, B T

On a processor everything is counted: the learner (weights, moments, averages), the kernels' copies
and gradients, a window's activations, and what saving adds: the best model's file and a copy of
the learner, which is written while the next steps are taken. On a GPU it is the GPU's own memory.
"""

import ctypes
import importlib.util
import os
import sys
from pathlib import Path
from typing import NamedTuple

from ricorda.cores import memory_limit, usable_cores
from ricorda.errors import ConfigurationError
from ricorda.extras import require_torch
from ricorda.model.cells import CELLS, CellName
from ricorda.model.configuration import ModelConfiguration
from ricorda.training.configuration import Backend, Device, TrainingConfiguration
from ricorda.training.kernel_learner import learns_bfloat16, prefers_bfloat16
from ricorda.training.options import TrainingOptions, cell_of
from ricorda.training.plan.planner import Machine, choose_backend, output_rows
from ricorda.training.process_group import local_processes, started_together

NO_BFLOAT16_ON_A_GPU = (
    "--precision bfloat16: this GPU, or cuDNN's layers in this PyTorch, do not support it "
    "(cuDNN's have from PyTorch 2.10 and cuDNN 9.13 on); leave --precision out"
)

BASE = 70_000_000  # bytes of Python with NumPy and ricorda, and of a small text
TORCH = 260_000_000  # bytes of PyTorch and what it loads
FLOAT = 4  # bytes
SUMMED_TOGETHER = 512  # symbols whose gradients the kernels' layers sum at once
OUTPUT_TOGETHER = 256  # symbols whose logits the kernels have at once
ROWS_TOGETHER = 96  # rows of a product in the kernels
TORCH_LOGITS = 2**24  # that PyTorch's learner has at once (torch/output_loss.py)


class MemoryNeed(NamedTuple):
    """The bytes that a training needs on one machine, or on one of its GPUs."""

    base: int
    """Python and its libraries, of all processes; 0 on a GPU."""

    learner: int
    """The weights, their gradients and packed copies, AdamW's moments, the averaged weights."""

    window: int
    """For one window: logits, their gradients, and what layers keep for backpropagation."""

    saving: int
    """The best model's file, and the copy that a checkpoint is written from; 0 on a GPU."""

    @property
    def total(self) -> int:
        """All together."""
        return sum(self)


def this_machine(options: TrainingOptions) -> Machine:
    """Examine the machine and check the options against it.

    Raises ConfigurationError for a device that is missing, for more processes than GPUs, and for
    bfloat16 where a cell has none; MissingExtra where PyTorch is needed and not installed.
    """
    device = _device(options)
    processes, here = _processes(options)
    if device == "mps" and processes > 1:
        raise ConfigurationError(
            f"--device mps: {processes} processes cannot share a run on an Apple GPU; give "
            "--processes 1, or --device cpu"
        )
    if device == "cuda":
        from ricorda.torch.device import check_gpus, take_own_gpu

        check_gpus(here)
        take_own_gpu()
    backend = choose_backend(options.backend, device)
    possible = _bfloat16_cells(device, backend)
    if options.precision == "bfloat16":
        _check_bfloat16(cell_of(options, backend), device, possible)
    is_faster = backend != "kernels" or prefers_bfloat16()
    return Machine(
        device=device,
        threads=_threads(here),
        bfloat16=possible if is_faster else frozenset(),
        processes=processes,
    )


def expected_machine(options: TrainingOptions) -> Machine:
    """Describe the machine as far as it is known without using a GPU, to plan and not to train.

    bfloat16, which changes no other setting, is left out. Raises as `this_machine`.
    """
    processes, here = _processes(options)
    return Machine(
        device=_device(options),
        threads=_threads(here),
        bfloat16=frozenset(),
        processes=processes,
    )


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
    """The cells that can be trained in bfloat16; with PyTorch, those that are then faster."""
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
        f"--precision bfloat16: {cell} is computed in float32 only {place}; "
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


def memory_need(configuration: TrainingConfiguration, training_size: int) -> MemoryNeed:
    """Count what a training needs at its peak.

    training_size is the number of symbols of the training text, which no window is longer than.
    """
    here = 1 if configuration.device == "cuda" else local_processes(configuration.processes)
    by_kernels = configuration.backend == "kernels"
    streams = max(1, configuration.batch_size // configuration.processes)
    steps = min(configuration.window, training_size)
    counted = _by_kernels if by_kernels else _by_pytorch
    learner, window = counted(configuration, streams, steps)
    if configuration.device == "cuda":
        return MemoryNeed(0, learner, window, 0)
    base = BASE if by_kernels and configuration.processes == 1 else BASE + TORCH
    return MemoryNeed(here * base, here * learner, here * window, _saving(configuration))


def _by_kernels(configuration: TrainingConfiguration, streams: int, steps: int) -> tuple[int, int]:
    """The bytes of a process's learner and window where the kernels take the steps."""
    model, symbols = configuration.model, streams * steps
    groups = min(configuration.threads, streams)
    hidden, layers = model.hidden_size, model.num_layers
    factor = _bytes_of_a_factor(configuration)
    rows = output_rows(model.vocabulary_size, configuration.softmax_candidates, symbols)
    has_recurrent_weights = CELLS[model.cell].has_recurrent_weights
    recurrent = layers * model.gates * hidden**2 if has_recurrent_weights else 0
    products = recurrent + model.gates * hidden * sum(_input_sizes(model)) + rows * hidden
    numbers = (4 if configuration.averaging else 3) * model.parameters + groups * products
    numbers += recurrent if configuration.recurrent_dropout else 0
    with_table = model.embedding_size == "onehot" or model.vocabulary_size <= symbols
    numbers += (1 + groups) * model.vocabulary_size * _width(model) if with_table else 0
    numbers += (1 + groups) * min(model.num_labels, symbols) * _width(model)
    numbers += model.num_labels * model.gates * hidden  # the labels' gradient, of all groups

    kept = (1 + model.state_parts) * hidden + _width(model)
    kept += hidden if configuration.dropout else 0
    together = min(SUMMED_TOGETHER, symbols)
    sums = groups * sum(
        factor * (hidden + inputs) * together
        + 2 * FLOAT * ROWS_TOGETHER * together
        + factor * ROWS_TOGETHER * model.gates * hidden
        for inputs in _input_sizes(model)
    )
    output = min(OUTPUT_TOGETHER, symbols) * (2 * FLOAT + factor) * (hidden + rows)
    window = FLOAT * layers * symbols * kept + sums + groups * output
    if model.documents:  # states with zeros, for steps that reset some
        window += FLOAT * layers * hidden * ((1 + model.state_parts) * streams + groups * together)
    return FLOAT * numbers + 2 * factor * products, window


def _by_pytorch(configuration: TrainingConfiguration, streams: int, steps: int) -> tuple[int, int]:
    """The same where PyTorch takes the steps."""
    model, symbols = configuration.model, streams * steps
    copies = 5 if configuration.averaging else 4
    # the gates before and after their activation, and about six states and gradients; cuDNN less
    numbers = 2 * model.gates + 6
    if configuration.device == "cuda":
        numbers = model.gates + model.state_parts
    kept = model.num_layers * model.hidden_size * numbers
    candidates = configuration.softmax_candidates
    logits = 2 * symbols * output_rows(model.vocabulary_size, candidates, symbols)
    if not candidates:  # else PyTorch has them all at once
        logits = min(logits, 2 * TORCH_LOGITS)
    return FLOAT * copies * model.parameters, FLOAT * (symbols * kept + logits)


def _saving(configuration: TrainingConfiguration) -> int:
    """The bytes that an evaluation or a checkpoint adds, whichever adds more.

    An evaluation has the best model so far, a better one, and the engine that writes a sample. A
    checkpoint has the best model and a copy of weights, moments and averages.
    """
    model = FLOAT * configuration.model.parameters
    engine = configuration.model.parameters * _bytes_of_a_factor(configuration)
    copied = 4 if configuration.averaging else 3
    return max(2 * model + engine, (1 + copied) * model)


def _bytes_of_a_factor(configuration: TrainingConfiguration) -> int:
    return 2 if configuration.precision == "bfloat16" else FLOAT


def _width(model: ModelConfiguration) -> int:
    """W, the numbers of a row of gates in the kernels."""
    return model.hidden_size * CELLS[model.cell].blocks


def _input_sizes(model: ModelConfiguration) -> list[int]:
    """I of each layer."""
    embedding = model.embedding_size
    first = model.vocabulary_size if embedding == "onehot" else embedding
    return [first, *[model.hidden_size] * (model.num_layers - 1)]
