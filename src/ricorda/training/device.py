"""What this machine offers to training."""

import torch

from ricorda.errors import ConfigurationError
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
