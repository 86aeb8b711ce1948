"""The devices that PyTorch computes on: which there are, their memory and what they are fast at."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELLS, CellName
from ricorda.training.process_group import started_together


def is_available(device: str) -> bool:
    """Whether PyTorch can compute on "cuda" or "mps" here."""
    if device == "mps":
        return torch.backends.mps.is_available()
    return torch.cuda.is_available()


def gpu_name() -> str | None:
    """The name of the current CUDA GPU; None without one."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def gpu_memory() -> int:
    """The bytes of the current CUDA GPU's memory."""
    return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)


def check_gpus(processes: int) -> None:
    """Check that each of a machine's processes has a GPU. Raises ConfigurationError if not."""
    found = torch.cuda.device_count()
    if processes > found:
        raise ConfigurationError(
            f"expected a GPU for each of {processes} processes on this machine, got {found}: "
            f"give --processes {found}, or --device cpu"
        )


def take_own_gpu() -> None:
    """Make the GPU of a process's local rank its current one; a process alone keeps its own."""
    number = int(os.environ.get("LOCAL_RANK", "0"))
    if started_together() and number < torch.cuda.device_count():
        torch.cuda.set_device(number)


def bfloat16_cells(device: str) -> frozenset[CellName]:
    """The cells that PyTorch trains faster in bfloat16 than in float32 on a device."""
    if device == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return frozenset(CELLS if has and _layers_learn_bfloat16() else [])
    if device == "mps":
        return frozenset()
    capabilities = torch.cpu.get_capabilities()
    has = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return frozenset[CellName](["lstm"] if has else [])


def _layers_learn_bfloat16() -> bool:
    """Whether cuDNN's layers do; older versions refuse, so a small layer is tried."""
    layer = torch.nn.LSTM(8, 8, device="cuda", dtype=torch.bfloat16)
    try:
        outputs, _ = layer(torch.zeros(2, 1, 8, device="cuda", dtype=torch.bfloat16))
        outputs.float().sum().backward()
    except RuntimeError:
        return False
    return True


def lacks_memory(error: BaseException) -> bool:
    """Whether an error of PyTorch is for lack of memory, on a GPU too."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    messages = ("allocate memory", "ALLOC_FAILED")  # on a processor; of cuBLAS and cuDNN
    return isinstance(error, RuntimeError) and any(words in str(error) for words in messages)


@contextlib.contextmanager
def tf32(*, on: bool) -> Iterator[None]:
    """Within, let a GPU's products and cuDNN's layers round float32 to TF32, or not.

    A run never does; PyTorch rounds cuDNN's by default. For speed there is bfloat16, which is
    faster still. `allow_tf32` cannot even be read where a program has used the newer
    `fp32_precision`.
    """
    switches: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    name: str = "allow_tf32"
    wanted: bool | str = on
    if hasattr(switches[0], "fp32_precision"):  # since PyTorch 2.9
        switches[1] = torch.backends.cudnn.rnn
        name, wanted = "fp32_precision", "tf32" if on else "ieee"
    before = [getattr(switch, name) for switch in switches]
    try:
        for switch in switches:
            setattr(switch, name, wanted)
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            setattr(switch, name, value)
