"""What a program starts ends with it, even if it is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.studio.test_trainings import wait_for

PROGRAM = """
import subprocess, sys
from benchmarks.processes import ended_afterwards

SLEEP = "import time; time.sleep(1000)"
with ended_afterwards():
    other = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    print(other.pid, flush=True)
    if sys.stdin.readline():
        raise SystemExit
"""


def is_running(process: int) -> bool:
    """Whether a process is there that has not ended."""
    try:
        state = Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("ending", [None, signal.SIGKILL], ids=str)
def test_what_a_program_started_ends_with_it(ending: signal.Signals | None) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        other = int(program.stdout.readline())
        assert is_running(other)
        if ending is None:
            program.stdin.write("fail\n")
            program.stdin.flush()
        else:
            program.send_signal(ending)
    wait_for(lambda: not is_running(other))
