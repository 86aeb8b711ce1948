"""What checkpoints cost at the defaults: `python -m tests.faults.cost TEXT [MINUTES]`.

Prints the time that training stood still for saves, and that the thread beside it took, as shares
of a run with that budget, three minutes unless another is given.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ricorda
from ricorda.training.checkpoint.writer import CheckpointWriter
from ricorda.training.loop import Loop


def timed(owner: type[Any], name: str) -> list[tuple[float, float]]:
    """Have a method note each call's (seconds, seconds of the processor in its thread)."""
    original: Callable[..., Any] = getattr(owner, name)
    calls: list[tuple[float, float]] = []

    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        began, busy = time.perf_counter(), time.thread_time()
        try:
            return original(*arguments, **keywords)
        finally:
            calls.append((time.perf_counter() - began, time.thread_time() - busy))

    setattr(owner, name, wrapper)
    return calls


def main() -> None:
    """Train once and print."""
    text, minutes = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 3.0
    stops, writes = timed(Loop, "_save"), timed(CheckpointWriter, "_written")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        run = ricorda.train(text, out=Path(folder, "run"), minutes=minutes, quiet=True)
    seconds = run.metrics["train_seconds"]
    for what, calls in (("training stood still", stops), ("the thread wrote", writes)):
        wall, busy = (sum(each) for each in zip(*calls, strict=True))
        print(
            f"{what}: {len(calls)} times, {wall:.3f} s ({busy:.3f} s of a processor), "
            f"{100 * wall / seconds:.2f} % of {seconds:.1f} s"
        )


if __name__ == "__main__":
    main()
