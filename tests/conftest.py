"""What every test may ask for."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# No test may use, or fill, the cache of whoever runs it.
os.environ["RICORDA_CACHE"] = "off"

# No test may depend on the machine's speed.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real texts; a test that needs it is skipped where it is missing."""
    folder = Path(os.environ.get("RICORDA_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real texts not found in {folder}: set RICORDA_DATA to their folder")
    return folder


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
