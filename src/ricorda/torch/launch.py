"""Starting several processes on this machine, by PyTorch's own elastic launcher.

It starts what torchrun would, watches the processes, and starts all of them again where one dies,
as often as it may; the run then goes on from its last checkpoint. What a process ended with on
purpose, figures or an error of ricorda's, comes back in a file, so that it counts as no failure.
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

from ricorda import errors
from ricorda.cores import usable_cores
from ricorda.errors import RicordaError, TrainingError
from ricorda.torch.worker import OUTCOME, REQUEST
from ricorda.training.interruption import SIGNALS

LAUNCHER = "torch.distributed.elastic"
WORKER = "ricorda.torch.worker"

# An interruption while all is being imported ends a process without a word, unless it is ignored.
START = f"""\
import runpy, signal
if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
runpy.run_module("{WORKER}", run_name="__main__")
"""


def launch(request: dict[str, Any], *, processes: int, max_restarts: int) -> dict[str, Any]:
    """Train or resume in several processes; hands back the outcome as `worker` writes it.

    request: a command (train or resume), its arguments and its options. Raises what the run
    raised, TrainingError where processes died more often than they may. A signal that comes
    before they learn ends them, and then does here what it does to one process.
    """
    outcome, signal_number = _launched(request, processes, max_restarts)
    if outcome is None:
        signal.raise_signal(signal_number)
        raise TrainingError(f"signal {signal_number} stopped the processes before they learned")
    return outcome


def _launched(
    request: dict[str, Any], processes: int, max_restarts: int
) -> tuple[dict[str, Any] | None, int]:
    """The outcome, and the signal that came; no outcome where it came before they learned."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        folder = Path(name)
        (folder / REQUEST).write_text(json.dumps(request))
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
        failure, signal_number = None, 0
        with _environment(processes), _quiet(), _own_handlers():
            try:
                elastic_launch(settings, sys.executable)("-c", START, name, str(os.getpid()))
            except SignalException as error:  # the processes have saved and told, if they learned
                signal_number = int(error.sigval)
            except ChildFailedError as error:
                failure = error
        if signal_number and not (folder / OUTCOME).exists():
            return None, signal_number
        return _outcome(folder, failure, max_restarts), signal_number


def _outcome(folder: Path, failure: Any, max_restarts: int) -> dict[str, Any]:
    """What the first process told; its error is raised here."""
    if failure is not None or not (folder / OUTCOME).exists():
        why = "all ended without a word"
        if failure is not None:
            rank, first = failure.get_first_failure()
            how = f"signal {-first.exitcode}" if first.exitcode < 0 else f"status {first.exitcode}"
            why = f"process {rank} ended first, with {how}"
        raise TrainingError(
            f"the processes of the run ended ({why}), and {_again(max_restarts)}: the last "
            "checkpoint stands; go on with `ricorda resume`"
        ) from failure
    outcome: dict[str, Any] = json.loads((folder / OUTCOME).read_text())
    if "error" in outcome:
        kind = getattr(errors, outcome["error"], RicordaError)
        raise kind(outcome["message"])
    return outcome


def _again(max_restarts: int) -> str:
    if max_restarts == 0:
        return "none was to be started again (--max-restarts)"
    return f"were started again {max_restarts} times in vain"


@contextlib.contextmanager
def _environment(processes: int) -> Iterator[None]:
    """For a while, what the processes are to find: their share of the cores, the inner network."""
    wanted = {"OMP_NUM_THREADS": str(max(1, usable_cores() // processes))}
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
    """Put back what signals did before; the launcher leaves its own handlers behind."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # one that Python did not set cannot be put back
                    signal.signal(number, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the launcher's own messages, which ricorda's take the place of."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(LAUNCHER)]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
