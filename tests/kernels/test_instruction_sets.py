"""Choosing an instruction set, by option and by environment variable."""

import os
import subprocess
import sys

import pytest

from ricorda import _kernels
from ricorda.engine.native import instruction_sets


def choice_with(value: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if name != "RICORDA_KERNELS"}
    if value is not None:
        environment["RICORDA_KERNELS"] = value
    program = "from ricorda import _kernels; print(_kernels.choose_instruction_set())"
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_there_is_always_a_portable_one() -> None:
    sets = instruction_sets()
    assert list(sets)[-1] == "portable"
    assert all(sets.values())


def test_the_environment_variable_forces_one(kernels: str) -> None:
    assert choice_with(kernels).stdout.strip() == kernels


def test_without_it_the_best_is_taken() -> None:
    best = next(iter(instruction_sets()))
    assert choice_with(None).stdout.strip() == best
    assert choice_with("").stdout.strip() == best


def test_an_option_overrides_it(kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RICORDA_KERNELS", "portable")
    assert _kernels.choose_instruction_set(kernels) == kernels


def test_one_that_is_not_there_is_refused() -> None:
    failed = choice_with("avx1024")
    assert failed.returncode == 1
    assert "RICORDA_KERNELS must be one of what this processor has" in failed.stderr
    assert "portable), not 'avx1024'" in failed.stderr
    with pytest.raises(ValueError, match="kernels must be one of"):
        _kernels.choose_instruction_set("avx1024")
