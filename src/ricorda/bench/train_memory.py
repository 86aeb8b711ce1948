"""The most memory that `ricorda train TEXT --minutes M` has resident at once."""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from ricorda.bench.result import Result
from ricorda.bench.timing import Ratio
from ricorda.errors import InputError, RicordaError

# The system counts a child's memory from its birth, when it still was a copy of its parent: a
# small process stands between, so that what the benchmark itself holds is not counted.
BETWEEN = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
sys.stderr.buffer.write(done.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
MEGABYTE = 1e6
WRONG_INPUT = 2  # the exit code of a command that was given what it cannot take


def measure(text: Path, minutes: float) -> Result:
    """Train in a process of its own, and read what the system counted."""
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        megabytes = peak_megabytes(
            [
                *(sys.executable, "-m", "ricorda", "train", str(text), "--quiet"),
                *("--minutes", f"{minutes:g}", "--out", str(Path(folder, "run"))),
            ]
        )
    return Result(
        f"ricorda train {text.name} --minutes {minutes:g}: peak memory, MB",
        "a limit",
        Ratio(megabytes, megabytes, megabytes),
        700,
        at_most=True,
        unit="megabytes",
    )


def peak_megabytes(command: list[str]) -> float:
    """Run a command of ours; its peak resident memory.

    Raises InputError with its last line if it was given what it cannot take, else RicordaError.
    """
    if importlib.util.find_spec("resource") is None:
        raise RicordaError("this system does not count the memory of a process: use Linux or macOS")
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN, *command], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("ricorda: ")
        if done.returncode == WRONG_INPUT:
            raise InputError(last)
        raise RicordaError(f"the training to be measured failed: {last}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of what the system counts in
    return int(done.stdout) * unit / MEGABYTE
