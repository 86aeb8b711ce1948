"""Starting several processes on this machine by PyTorch's elastic launcher, the one of torchrun.

It watches the processes and restarts all of them when one dies; the run then continues from its
last checkpoint. Results and errors of ricorda come back in a file, so that for the launcher they
are no failure.
"""

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ricorda import errors
from ricorda.cores import usable_cores
from ricorda.errors import RicordaError, TrainingError
from ricorda.interrupts import SIGNALS
from ricorda.torch.worker import OUTCOME, REQUEST

LAUNCHER = "torch.distributed.elastic"

START = """\
import runpy, signal
if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
runpy.run_module("ricorda.torch.worker", run_name="__main__")
"""
"""A worker's program: Ctrl-C during its imports ends it without a traceback."""


def launch(request: dict[str, Any], *, processes: int, max_restarts: int) -> dict[str, Any]:
    """Train or resume in several processes; return the outcome that `worker` writes.

    request: a command (train or resume), its arguments and its options. Raises the run's own error,
    or TrainingError if processes died more often than they may be restarted. A signal before the
    first step ends the processes, and is then raised here.
    """
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        folder = Path(name)
        (folder / REQUEST).write_text(json.dumps(request))
        signal_number, failure = _run_workers(name, processes, max_restarts)
        if not signal_number or (folder / OUTCOME).exists():
            return _outcome(folder, failure, max_restarts)
    signal.raise_signal(signal_number)
    raise TrainingError(f"signal {signal_number} stopped the processes before the first step")


def _run_workers(
    folder: str, processes: int, max_restarts: int
) -> tuple[int, ChildFailedError | None]:
    """Run the processes to their end; return the signal that came, and how one failed."""
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="127.0.0.1",
        max_restarts=max_restarts,
    )
    with _environment(processes), _quiet(), _own_handlers():
        try:
            elastic_launch(settings, sys.executable)("-c", START, folder, str(os.getpid()))
        except SignalException as error:  # if training had begun, the processes have saved it
            return int(error.sigval), None
        except ChildFailedError as error:
            return 0, error
    return 0, None


def _outcome(folder: Path, failure: ChildFailedError | None, max_restarts: int) -> dict[str, Any]:
    """Return the outcome that a process wrote; raise its error."""
    if failure is None and (folder / OUTCOME).exists():
        outcome: dict[str, Any] = json.loads((folder / OUTCOME).read_text())
        if "error" in outcome:
            raise getattr(errors, outcome["error"], RicordaError)(outcome["message"])
        return outcome
    reason = "without a result"
    if failure is not None:
        rank, first = failure.get_first_failure()
        how = f"signal {-first.exitcode}" if first.exitcode < 0 else f"status {first.exitcode}"
        reason = f"process {rank} first, with {how}"
    restarts = "--max-restarts 0 allows no restart"
    if max_restarts:
        restarts = f"{max_restarts} restarts did not help"
    raise TrainingError(
        f"the processes of the run ended ({reason}), and {restarts}: the last checkpoint remains; "
        "continue with `ricorda resume`"
    ) from failure


@contextlib.contextmanager
def _environment(processes: int) -> Iterator[None]:
    """Within, set the processes' threads, gloo's network and PyTorch's log, unless they are set.

    What PyTorch's C++ code logs of a process that is gone, ricorda reports itself.
    """
    wanted = {"OMP_NUM_THREADS": str(max(1, usable_cores() // processes))}
    wanted["TORCH_CPP_LOG_LEVEL"] = "FATAL"
    if sys.platform == "linux":
        wanted["GLOO_SOCKET_IFNAME"] = "lo"
    missing = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Restore the signal handlers at the end; the launcher leaves its own behind."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # a handler not set by Python cannot be restored
                    signal.signal(number, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within, suppress the launcher's log messages, which ricorda's own messages replace."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(LAUNCHER)]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
