"""Fixtures for all tests."""

import os

# Several workers share the cores: threads of NumPy and PyTorch would wait for each other. Read when
# they are imported. Tests of several threads name their number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import secrets
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from benchmarks.processes import ended_afterwards

# No test may use, or fill, the cache of whoever runs it.
os.environ["RICORDA_CACHE"] = "off"

# Where the seed is given, every run draws the same input, Hypothesis' too.
GIVEN_SEED = os.environ.get("RICORDA_TEST_SEED")
# The worker processes of a run inherit the number that its first process has drawn.
SEED = int(
    GIVEN_SEED or os.environ.setdefault("RICORDA_TEST_SEED_DRAWN", str(secrets.randbits(64)))
)

# No test may depend on the machine's speed.
settings.register_profile("unhurried", deadline=None, derandomize=bool(GIVEN_SEED))
settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real texts; a test that needs it is skipped where it is missing."""
    folder = Path(os.environ.get("RICORDA_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real texts not found in {folder}: set RICORDA_DATA to their folder")
    return folder


def pytest_report_header() -> str:
    """Show how this run's input is drawn again."""
    return f"random input: RICORDA_TEST_SEED={SEED}"


@pytest.fixture
def random(request: pytest.FixtureRequest) -> np.random.Generator:
    """Input that is new in each test and each run; a test that fails shows the run's seed."""
    print(f"RICORDA_TEST_SEED={SEED}")
    return np.random.default_rng([SEED, zlib.crc32(request.node.nodeid.encode())])


@pytest.fixture(autouse=True, scope="session")
def nothing_is_left_behind() -> Iterator[None]:
    """What the tests start ends with them, even if they are killed."""
    with ended_afterwards():
        yield


@pytest.fixture(autouse=True, scope="session")
def signals_as_in_a_terminal() -> None:
    """Programs under test hear signals even where the tests were started to hear none."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        *(((signal.SIGHUP, signal.SIG_DFL),) if hasattr(signal, "SIGHUP") else ()),
    ):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)
