"""What this machine offers to training."""

import os
from pathlib import Path

import torch

from ricorda.errors import ConfigurationError
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.options import TrainingOptions
from ricorda.training.planner import Machine


def this_machine(options: TrainingOptions) -> Machine:
    """Look at the machine, hold the options against it.

    Raises ConfigurationError for a GPU that is not there, and for bfloat16 where PyTorch has none.
    """
    has_gpu = torch.cuda.is_available()
    if options.device == "cuda" and not has_gpu:
        raise ConfigurationError(
            "--device cuda: PyTorch finds no CUDA GPU here; give --device cpu or leave it out"
        )
    device = "cuda" if has_gpu and options.device != "cpu" else "cpu"
    if device == "cpu" and options.precision == "bfloat16" and options.cell in ("rnn", "gru"):
        raise ConfigurationError(
            f"--precision bfloat16: PyTorch computes {options.cell} in float32 alone on a CPU; "
            "leave --precision out, or take --cell lstm"
        )
    return Machine(device=device, threads=torch.get_num_threads(), bfloat16=_fast_bfloat16(device))


def _fast_bfloat16(device: str) -> bool:
    """Whether the device has instructions for products of bfloat16."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def check_memory(configuration: TrainingConfiguration, training_size: int) -> None:
    """Refuse a training that this machine cannot hold, before the system ends the process.

    training_size is the number of symbols to learn from, which no window is longer than. Counted
    low: the weights, their gradients and AdamW's two moments; of one window the logits with their
    gradients, and what each layer keeps to go back through time. All are float32.
    Raises ConfigurationError, naming the options to lower.
    """
    model = configuration.model
    learner = 4 * 4 * model.parameters
    places = configuration.batch_size * min(configuration.window, training_size)
    kept = model.num_layers * model.hidden_size * (model.gates + model.state_parts)
    window = 4 * places * (2 * model.vocabulary_size + kept)
    memory = memory_of(configuration.device)
    if learner + window > memory:
        options = "--hidden-size, --num-layers or --embedding-size"
        if window > learner:
            options = "--batch-size, --window or --hidden-size"
        raise ConfigurationError(
            f"expected a training that fits in {_gigabytes(memory)} of memory, got one that "
            f"needs at least {_gigabytes(learner + window)}: lower {options}"
        )


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
