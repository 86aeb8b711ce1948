"""What this machine offers to training."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from ricorda.errors import ConfigurationError
from ricorda.models.cells import window_kernel
from ricorda.models.configuration import GATES, CellName
from ricorda.models.output_loss import MOST_LOGITS
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.fused import learns_bfloat16
from ricorda.training.options import TrainingOptions
from ricorda.training.planner import Machine
from ricorda.training.started import local_processes, started_together


def this_machine(options: TrainingOptions) -> Machine:
    """Look at the machine, hold the options against it.

    Raises ConfigurationError for a GPU that is not there, and for bfloat16 where a cell has none.
    """
    has_gpu = torch.cuda.is_available()
    if options.device == "cuda" and not has_gpu:
        raise ConfigurationError(
            "--device cuda: PyTorch finds no CUDA GPU here; give --device cpu or leave it out"
        )
    device = "cuda" if has_gpu and options.device != "cpu" else "cpu"
    bfloat16 = _fast_bfloat16(device, kernels=options.kernels == "auto")
    if (
        device == "cpu"
        and options.precision == "bfloat16"
        and options.cell not in {None, *bfloat16}
    ):
        raise ConfigurationError(
            f"--precision bfloat16: {options.cell} is computed in float32 alone on this "
            "processor; leave --precision out, or take --cell lstm"
        )
    processes, here = _processes(options)
    return Machine(
        device=device,
        threads=torch.get_num_threads() if here == 1 else max(1, cores() // here),
        bfloat16=bfloat16,
        processes=processes,
    )


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


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _fast_bfloat16(device: str, *, kernels: bool) -> frozenset[CellName]:
    """The cells that are learned faster in bfloat16 than in float32."""
    if device == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return frozenset(GATES) if has else frozenset()
    if kernels and learns_bfloat16():
        return frozenset(GATES)
    capabilities = torch.cpu.get_capabilities()
    has = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return frozenset[CellName](["lstm"] if has else [])  # PyTorch has it for the LSTM alone


class MemoryNeed(NamedTuple):
    """The bytes that a training needs at least, float32, besides PyTorch itself."""

    learner: int
    """The weights, their gradients, AdamW's two moments, and the averaged weights."""

    window: int
    """Of one window the logits with their gradients, and what layers keep to go back in time."""

    @property
    def total(self) -> int:
        """Both together."""
        return self.learner + self.window


def memory_need(configuration: TrainingConfiguration, training_size: int) -> MemoryNeed:
    """Count, low, what a training needs on one machine.

    training_size is the number of symbols to learn from, which no window is longer than.
    """
    here = local_processes() if started_together() else configuration.processes
    model = configuration.model
    copies = 5 if configuration.averaging else 4
    places = configuration.batch_size * min(configuration.window, training_size)
    kept = model.num_layers * model.hidden_size * (model.gates + model.state_parts)
    logits = 2 * min(places * model.vocabulary_size, MOST_LOGITS * configuration.processes)
    return MemoryNeed(
        learner=4 * copies * model.parameters * here,
        window=4 * (places * kept + logits) * here // configuration.processes,
    )


def check_memory(configuration: TrainingConfiguration, training_size: int) -> MemoryNeed:
    """Refuse a training that this machine cannot hold, before the system ends the process.

    Hands back what it needs. Raises ConfigurationError, naming the options to lower.
    """
    need = memory_need(configuration, training_size)
    memory = memory_of(configuration.device)
    if need.total > memory:
        options = "--hidden-size, --num-layers or --embedding-size"
        if need.window > need.learner:
            options = "--batch-size, --window or --hidden-size"
        raise ConfigurationError(
            f"expected a training that fits in {_gigabytes(memory)} of memory, got one that "
            f"needs at least {_gigabytes(need.total)}: lower {options}"
        )
    return need


def memory_of(device: str) -> int:
    """The bytes of a GPU's memory, or of what this process may use beside the processor."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")  # of a container
    text = limit.read_text().strip() if limit.is_file() else ""
    return min(memory, int(text)) if text.isdigit() else memory


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.0f} GB"


@contextlib.contextmanager
def computing_with(configuration: TrainingConfiguration) -> Iterator[None]:
    """Within, compute with a run's threads, and with the kernels or without; then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(configuration.threads)
    try:
        with window_kernel.switched(on=configuration.kernels == "auto"), _without_tf32():
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """Within, float32 is float32 on a GPU too: products and cuDNN's layers are not rounded to TF32.

    PyTorch rounds cuDNN's by default. Who wants speed takes bfloat16, which is faster still.
    """
    products, layers = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, layers.allow_tf32
    products.allow_tf32 = layers.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, layers.allow_tf32 = before
