"""Each safeguard switched off in turn: the suite must notice."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.forge import REPOSITORY
from tests.faults.mutations import MUTATIONS

SLICE = {"tensors fill their file"}


def test_every_safeguard_is_where_its_mutation_expects_it() -> None:
    """In a process of its own, which has none of them afterwards."""
    apply = (
        "from tests.faults.mutations import MUTATIONS\nfor each in MUTATIONS.values(): each.apply()"
    )
    subprocess.run(
        [sys.executable, "-c", apply],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": _path()},
        check=True,
    )


@pytest.mark.parametrize("safeguard", MUTATIONS)
def test_without_a_safeguard_a_test_fails(
    shim: Path, every: bool, safeguard: str, tell: Callable[[str], None]
) -> None:
    if not every and safeguard not in SLICE:
        pytest.skip("`make faults` switches every safeguard off")
    test = MUTATIONS[safeguard].caught_by
    words = ["-x", "-q", "-p", "tests.faults.mutating", test]
    environment = {"FAULTS_MUTATION": safeguard, "FAULTS": "", "PYTHONPATH": _path()}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout
    tell(f"without '{safeguard}': {test.split('::')[1]} fails")


def _path() -> str:
    return os.pathsep.join(filter(None, sys.path))
