"""The shim, compiled once, and a server of faults."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.forge import REPOSITORY, Done, Forge

SHIM = Path(__file__).parent / "shim.c"


@pytest.fixture(scope="session")
def every() -> bool:
    """Whether the whole suite runs (`make faults`) rather than the slice that `make test` takes."""
    return os.environ.get("FAULTS") == "all"


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim as a library."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("faults of system calls need Linux and a C compiler named cc")
    built = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", built, SHIM, "-ldl"], check=True)
    return built


@pytest.fixture(scope="session")
def forge(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """A server that runs command lines with faults."""
    with Forge(shim, tmp_path_factory.mktemp("faults")) as forge:
        yield forge


@pytest.fixture(scope="session")
def undisturbed(forge: Forge) -> Done:
    """The run that nothing happened to."""
    done = forge.train(forge.place())
    assert done.status == 0, done.output
    return done


@pytest.fixture
def tell(record_property: object, capsys: pytest.CaptureFixture[str]) -> object:
    """Print a count that docs/explanations/reliability.md quotes, even where output is captured."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}", end="")

    return say


__all__ = ["REPOSITORY"]
