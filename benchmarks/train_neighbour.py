"""How much slower a training step is while another process keeps a core busy.

Each side is measured in a process of its own, `python -m benchmarks.train_neighbour`: ours with
the settings of `ricorda train`, a PyTorch program's with OpenMP's as they come. Quiet and busy take
turns.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from benchmarks.nanogpt import untuned_environment
from benchmarks.result import Result
from benchmarks.timing import Ratio, ratio_of
from ricorda.errors import RicordaError
from ricorda.extras import require_torch

SPIN = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
print(flush=True)
while time.monotonic() < end:
    pass
"""
LONGEST = 60.0  # seconds after which the busy process ends by itself, whatever became of us
WARM_UP_STEPS = 3


@dataclass(frozen=True)
class Workload:
    """What is learned, and for how long it is measured."""

    hidden_size: int = 256
    batch_size: int = 32
    window: int = 64
    seconds: float = 3.0
    """Of each turn."""

    rounds: int = 1
    """Quiet turns, each followed by a busy one."""


def measure(workload: Workload) -> Iterator[Result]:
    """Our slowdown, and PyTorch's."""
    what = f"step of lstm {workload.hidden_size} beside a busy process, slowdown of"
    ours = _in_its_own_process(workload, "ricorda")
    yield Result(f"{what} ricorda", "itself when quiet", ours, 3, at_most=True)
    theirs = _in_its_own_process(workload, "torch")
    yield Result(f"{what} PyTorch", "itself when quiet", theirs)


def slowdown(step: Callable[[], object], seconds: float, rounds: int) -> Ratio:
    """How many times longer a step takes beside a busy process: medians of turns."""
    for _ in range(WARM_UP_STEPS):
        step()
    turns = []
    for _ in range(rounds):
        quiet = median_seconds(step, seconds)
        with busy_neighbour():
            turns.append((quiet, median_seconds(step, seconds)))
    ratio = ratio_of(turns)
    return Ratio(ratio.median, ratio.least, ratio.most, ours=ratio.peer, peer=ratio.ours)


def median_seconds(step: Callable[[], object], seconds: float) -> float:
    """The median of the steps that these seconds hold; of one at least."""
    end = time.perf_counter() + seconds
    taken: list[float] = []
    while not taken or time.perf_counter() < end:
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@contextlib.contextmanager
def busy_neighbour() -> Iterator[None]:
    """Within, another process keeps one core busy."""
    process = subprocess.Popen(
        [sys.executable, "-c", SPIN, str(LONGEST)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        yield
    finally:
        process.kill()
        process.communicate()


def _in_its_own_process(workload: Workload, by: Literal["ricorda", "torch"]) -> Ratio:
    """Measure one side; its environment decides how PyTorch's threads wait."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, by, json.dumps(asdict(workload))],
        env=untuned_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RicordaError(f"measuring beside a busy process failed: {last}")
    return Ratio(**json.loads(done.stdout))


def main(by: Literal["ricorda", "torch"], workload: Workload) -> None:
    """Measure one side in this process and print its figures as JSON."""
    if by == "ricorda":
        require_torch()
    from benchmarks.train_step import settings, stepper

    configuration = settings(workload.hidden_size, workload.batch_size, workload.window)
    step = stepper(configuration, by)
    print(json.dumps(asdict(slowdown(step, workload.seconds, workload.rounds))))


if __name__ == "__main__":
    main("torch" if sys.argv[1] == "torch" else "ricorda", Workload(**json.loads(sys.argv[2])))
