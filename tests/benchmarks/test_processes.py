"""What a program starts ends with it, even if it is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import descendants, processor_seconds
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


TREE = """
import subprocess, sys
child = "import sys; sum(range(20_000_000)); print('done', flush=True); sys.stdin.read()"
with subprocess.Popen([sys.executable, "-c", child], stdin=sys.stdin) as process:
    print(process.pid, flush=True)
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_the_processor_time_of_what_a_process_started_is_its_own() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TREE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as outer:
        assert outer.stdout is not None
        inner = next(int(line) for line in outer.stdout if line.strip().isdigit())
        assert outer.stdout.readline() == "done\n"
        assert inner in descendants(outer.pid)
        assert outer.pid in descendants(os.getpid())
        assert descendants(inner) == []
        assert 0.05 < processor_seconds(inner) < 60
        assert processor_seconds(outer.pid) < processor_seconds(inner)
        outer.communicate()
    with pytest.raises(OSError, match=str(inner)):
        processor_seconds(inner)
