"""What makes ricorda slow on this machine, and what to do about each."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ricorda.cores import ROOT, allowed_cores, cpu_quota

X86 = {"x86_64", "amd64"}
ARM = {"arm64", "aarch64"}

EMULATORS = {"VirtualApple": "Rosetta", "QEMU Virtual CPU": "QEMU"}
"""What /proc/cpuinfo calls the processors that these programs imitate."""


@dataclass(frozen=True)
class Facts:
    """What decides how fast ricorda is here."""

    processor: str
    """As `platform.machine()` names it."""

    instruction_sets: tuple[str, ...] | None
    """Those of the kernels, the fastest first; None: the kernels are not built."""

    emulator: str | None = None
    """The program that imitates the processor, if one does."""

    installed_cores: int = 1
    allowed_cores: int = 1
    """Those that the system may schedule this process on."""

    quota: float | None = None
    """The processor time, in cores, that the control groups allow; None without a limit."""

    environment: Mapping[str, str] | None = None
    has_torch: bool = False
    gpu: str | None = None
    has_apple_gpu: bool = False


def facts_of_this_machine(
    instruction_sets: tuple[str, ...] | None, *, has_torch: bool, gpu: str | None
) -> Facts:
    """Examine the processor, the limits and the environment."""
    return Facts(
        processor=platform.machine(),
        instruction_sets=instruction_sets,
        emulator=emulator(),
        installed_cores=os.cpu_count() or 1,
        allowed_cores=allowed_cores(),
        quota=cpu_quota(),
        environment=os.environ,
        has_torch=has_torch,
        gpu=gpu,
        has_apple_gpu=has_torch and _has_apple_gpu(),
    )


def emulator(root: Path = ROOT) -> str | None:
    """Return the program that imitates this processor; None if none does, or it does not show.

    root: the folder that stands for / (another one in tests).
    """
    if sys.platform == "darwin":
        return "Rosetta" if _is_translated() else None
    try:
        described = (root / "proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return None
    if platform.machine().lower() in X86 and "CPU implementer" in described:
        return "QEMU"  # which shows the file of the Arm processor below it
    return next((name for words, name in EMULATORS.items() if words in described), None)


def _is_translated() -> bool:
    """Whether macOS translates this program's x86 instructions for an Apple processor."""
    value, size = ctypes.c_int(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    query = getattr(ctypes.CDLL(None), "sysctlbyname", None)
    if query is None:
        return False
    failed = query(b"sysctl.proc_translated", ctypes.byref(value), ctypes.byref(size), None, 0)
    return not failed and value.value == 1


def _has_apple_gpu() -> bool:
    """Whether PyTorch could compute on an Apple GPU. Only a Mac is asked: PyTorch loads slowly."""
    if sys.platform != "darwin":
        return False
    try:
        from ricorda.torch.device import is_available
    except (ImportError, OSError):
        return False
    return is_available("mps")


def slow_paths(facts: Facts) -> list[str]:
    """Return a sentence for each thing that makes ricorda slower than it could be."""
    return [*_of_the_processor(facts), *_of_limits(facts), *_of_devices(facts)]


def _of_the_processor(facts: Facts) -> Iterator[str]:
    sets, processor = facts.instruction_sets, facts.processor.lower()
    if sets is None:
        computes = "PyTorch trains" if facts.has_torch else "nothing can train"
        yield (
            f"The compiled kernels are missing: NumPy runs models, and {computes}. Install a C++ "
            "compiler and reinstall ricorda, or install a wheel for this system."
        )
    if facts.emulator == "Rosetta":
        yield (
            "Rosetta translates this Python's x86 instructions. Install Python for arm64, in a "
            "container an image for linux/arm64, and reinstall ricorda there."
        )
    elif facts.emulator is not None:
        yield (
            f"{facts.emulator} imitates this processor in software. Run a system for the "
            "processor that the machine has, or a virtual machine with its processor (-cpu host)."
        )
    if sets is None:
        return
    if processor in X86 and not any(name.startswith("avx") for name in sets):
        yield (
            "The processor offers no AVX2, so the portable kernels run, several times slower. A "
            "virtual machine may hide AVX2: give it the host's processor type (-cpu host)."
        )
    if processor in ARM and sets == ("portable",):
        yield (
            "This build has no kernels for NEON: the portable ones run, as the compiler made them. "
            "With the extra torch, compare with --backend torch for large networks."
        )
    forced = (facts.environment or {}).get("RICORDA_KERNELS")
    if forced and sets[0] != forced:
        yield f"RICORDA_KERNELS={forced} replaces the faster kernels, {sets[0]}. Unset it."


def _of_limits(facts: Facts) -> Iterator[str]:
    installed, allowed, quota = facts.installed_cores, facts.allowed_cores, facts.quota
    if allowed < installed:
        yield (
            f"This process may run on {allowed} of {installed} cores. Its affinity was set, by "
            "taskset, a container (--cpuset-cpus) or a job scheduler: ask for more cores there."
        )
    if quota is not None and quota < allowed:
        yield (
            f"The control group allows the time of {quota:g} of {allowed} cores. Raise the limit "
            "of the container (--cpus) or of the service (CPUQuota=)."
        )
    usable = min(allowed, quota or allowed)
    limit = (facts.environment or {}).get("OMP_NUM_THREADS", "").split(",")[0]
    if limit.isdecimal() and 0 < int(limit) < usable:
        yield (
            f"OMP_NUM_THREADS={limit} limits training to as many threads. Unset it, or give "
            "--threads."
        )


def _of_devices(facts: Facts) -> Iterator[str]:
    if facts.gpu is not None and facts.instruction_sets is not None:
        yield (
            f"Training runs on PyTorch and the GPU ({facts.gpu}) unless --device cpu is given. For "
            "small networks the kernels can be faster: compare both with --dry-run."
        )
    if facts.has_apple_gpu:
        yield (
            "PyTorch can use the Apple GPU (--device mps), which is not chosen by itself. For "
            "small networks the kernels can be faster: compare both with --dry-run."
        )
