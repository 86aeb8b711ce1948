"""Measure the peak resident memory of `ricorda train`, and compare it with the forecast.

python -m benchmarks.train_memory                # every case below
python -m benchmarks.train_memory --most 2000    # those that need up to 2,000 MB
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.result import Result
from benchmarks.timing import Ratio
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
TEXT = "".join(chr(33 + (7 * i * i + i // 50) % 60) for i in range(60_000))
COMMON = [
    *("--batch-size", "16", "--window", "64", "--threads", "2"),
    *("--steps", "3", "--validation-fraction", "0.005"),
]
CASES: tuple[str, ...] = (
    "--hidden-size 64",
    "--hidden-size 512",
    "--hidden-size 1024",
    "--hidden-size 2048",
    "--hidden-size 256 --num-layers 8",
    "--hidden-size 512 --num-layers 4",
    "--hidden-size 1024 --num-layers 4",
    "--hidden-size 1024 --num-layers 8",
    "--hidden-size 1536 --num-layers 4 --cell rnn",
    "--hidden-size 1024 --num-layers 4 --cell gru",
    "--hidden-size 1024 --num-layers 4 --cell gru --precision bfloat16",
    "--hidden-size 1024 --num-layers 4 --precision bfloat16",
    "--hidden-size 1024 --num-layers 4 --averaging 0.99",
    "--hidden-size 1024 --num-layers 4 --dropout 0.2 --recurrent-dropout 0.2",
    "--hidden-size 1024 --num-layers 4 --threads 1",
    "--hidden-size 1024 --num-layers 4 --keep 5 --patience 1",
    "--hidden-size 512 --batch-size 64 --window 256",
    "--hidden-size 256 --num-layers 4 --batch-size 64 --window 256 --cell gru",
    "--hidden-size 1024 --embedding-size onehot",
    "--hidden-size 1024 --num-layers 2 --kernels off",
    "--hidden-size 512 --batch-size 64 --window 256 --kernels off",
)
"""Options of trainings: sizes, layers, cells, precisions, averaging, dropout, threads, windows."""
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


def forecast_megabytes(text: Path, options: list[str]) -> float:
    """What `ricorda train --dry-run` expects, from the settings alone: no step is measured."""
    program = [sys.executable, "-c", FORECAST, str(text), json.dumps(options)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode != 0:  # such as bfloat16 on a processor that lacks it
        return float("nan")
    return float(done.stdout) / MEGABYTE


FORECAST = """
import json, sys
from ricorda.training.plan import forecast
from ricorda.training.plan import speed
from ricorda.cli.main import main
forecast.measure_speed = lambda *_: 1.0
forecast._evaluation_seconds = lambda *_: 1.0
import contextlib, io
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    code = main(["train", sys.argv[1], *json.loads(sys.argv[2]), "--dry-run", "--json", "--quiet"])
print(json.loads(printed.getvalue())["memory_bytes"] if code == 0 else sys.exit(code))
"""


def main() -> None:
    """Print forecast beside measured for every case."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--most", type=float, default=5000, help="largest forecast of a case, MB")
    parser.add_argument("--dry-run", action="store_true", help="measure --dry-run instead")
    given = parser.parse_args()
    print(f"{'forecast':>9} {'measured':>9} {'ratio':>6}  MB")
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        text = Path(folder, "text.txt")
        text.write_text(TEXT)
        for number, case in enumerate(CASES):
            options = [*COMMON, *case.split()]
            expected = forecast_megabytes(text, options)
            if not expected <= given.most:
                print(f"{expected:9,.0f} {'-':>9} {'-':>6}  {case}", flush=True)
                continue
            end = ["--dry-run"] if given.dry_run else ["--out", str(Path(folder, f"run-{number}"))]
            command = [sys.executable, "-m", "ricorda", "train", str(text), "--quiet"]
            measured = peak_megabytes([*command, *options, *end])
            ratio = expected / measured
            print(f"{expected:9,.0f} {measured:9,.0f} {ratio:6.2f}  {case}", flush=True)


if __name__ == "__main__":
    main()
