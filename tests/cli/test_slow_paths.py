"""`ricorda doctor` explains what is slow, on machines that are described rather than present."""

import platform
from pathlib import Path
from typing import Any

import pytest

from ricorda.cli import slow_paths
from ricorda.cli.slow_paths import Facts, emulator

FAST: dict[str, Any] = {
    "processor": "x86_64",
    "instruction_sets": ("avx512", "avx512-base", "avx2", "portable"),
    "installed_cores": 8,
    "allowed_cores": 8,
}

SLOW: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"processor": "arm64", "instruction_sets": ("neon", "portable")}, []),
    ({"quota": 8.0, "environment": {"OMP_NUM_THREADS": "8"}}, []),
    ({"environment": {"RICORDA_KERNELS": "avx512"}}, []),
    ({"instruction_sets": None}, ["kernels are missing", "nothing can train", "C++ compiler"]),
    ({"instruction_sets": None, "has_torch": True}, ["kernels are missing", "PyTorch trains"]),
    ({"instruction_sets": ("portable",)}, ["no AVX2", "-cpu host"]),
    ({"processor": "AMD64", "instruction_sets": ("portable",)}, ["no AVX2"]),
    ({"processor": "aarch64", "instruction_sets": ("portable",)}, ["no kernels for NEON"]),
    ({"emulator": "Rosetta"}, ["Rosetta translates", "Python for arm64"]),
    ({"emulator": "QEMU"}, ["QEMU imitates"]),
    ({"environment": {"RICORDA_KERNELS": "portable"}}, ["RICORDA_KERNELS=portable", "Unset it"]),
    ({"allowed_cores": 2}, ["2 of 8 cores", "taskset"]),
    ({"quota": 1.5}, ["the time of 1.5 of 8 cores", "--cpus"]),
    ({"environment": {"OMP_NUM_THREADS": "1"}}, ["OMP_NUM_THREADS=1", "--threads"]),
    ({"environment": {"OMP_NUM_THREADS": "1,4"}}, ["OMP_NUM_THREADS=1"]),
    ({"gpu": "H200"}, ["GPU (H200)", "--device cpu"]),
    ({"has_apple_gpu": True}, ["--device mps", "--dry-run"]),
]


@pytest.mark.parametrize("changes, words", SLOW, ids=lambda part: str(part)[:40])
def test_what_is_slow_is_explained(changes: dict[str, Any], words: list[str]) -> None:
    lines = slow_paths.slow_paths(Facts(**{**FAST, **changes}))
    assert len(lines) == (1 if words else 0)
    for word in words:
        assert word in lines[0]


def test_several_things_can_be_slow_at_once() -> None:
    lines = slow_paths.slow_paths(
        Facts(
            "x86_64", ("portable",), emulator="QEMU", installed_cores=8, allowed_cores=4, quota=1.0
        )
    )
    assert [line.split()[0] for line in lines] == ["QEMU", "The", "This", "The"]


CPUINFO = [
    ("x86_64", "model name\t: AMD EPYC 7763\n", None),
    ("x86_64", "vendor_id\t: VirtualApple\nmodel name\t: VirtualApple @ 2.50GHz\n", "Rosetta"),
    ("x86_64", "model name\t: QEMU Virtual CPU version 2.5+\n", "QEMU"),
    ("x86_64", "CPU implementer\t: 0x41\n", "QEMU"),
    ("aarch64", "CPU implementer\t: 0x41\n", None),
]


@pytest.mark.parametrize("machine, described, found", CPUINFO)
def test_an_imitated_processor_is_found(
    machine: str,
    described: str,
    found: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert emulator(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(described)
    assert emulator(tmp_path) == found


@pytest.mark.parametrize("translated", [True, False])
def test_a_mac_says_whether_rosetta_runs(translated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(slow_paths, "_is_translated", lambda: translated)
    assert emulator() == ("Rosetta" if translated else None)
