"""Fixtures for all tests."""

import os

# Several workers share the cores: threads of NumPy and PyTorch would wait for each other. Read when
# they are imported. Tests of several threads name their number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import secrets
import signal
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from benchmarks.processes import ended_afterwards
from ricorda.training.plan import forecast

MEMORY = "/dev/shm"  # Linux' folder of files in memory
ROOM = 4 << 30  # bytes; all files of a run together take 1 GiB


def memory_has_room() -> bool:
    """Whether files may lie in memory, and programs that are compiled there may run."""
    try:
        status = os.statvfs(MEMORY)
    except (AttributeError, OSError):
        return False
    runs_programs = not status.f_flag & getattr(os, "ST_NOEXEC", 0)
    is_large = status.f_bavail * status.f_frsize >= ROOM
    return is_large and runs_programs and os.access(MEMORY, os.W_OK)


# A training of 0.1 s flushes its files for 0.2 s where they lie on a disk.
if "TMPDIR" not in os.environ and memory_has_room():
    os.environ["TMPDIR"] = MEMORY
    tempfile.tempdir = None  # read again

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
def speed_is_measured_briefly() -> None:
    """Plans measure the machine's speed for a moment instead of a second or more."""
    forecast.SIZE_SECONDS = 0.02
    forecast.measure_speed.__defaults__ = (None, 0.02)


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
