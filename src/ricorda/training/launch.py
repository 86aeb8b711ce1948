"""Starting several processes on this machine, by PyTorch's own elastic launcher.

It starts what torchrun would, watches the processes, and starts all of them again where one dies,
as often as it may; the run then goes on from its last checkpoint. What a process ended with on
purpose, figures or an error of ricorda's, comes back in a file, so that it counts as no failure.
"""

import contextlib
import json
import logging
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ricorda import errors
from ricorda.errors import RicordaError, TrainingError
from ricorda.training.device import cores
from ricorda.training.worker import OUTCOME, REQUEST

LAUNCHER = "torch.distributed.elastic"
WORKER = "ricorda.training.worker"


def launch(request: dict[str, Any], *, processes: int, max_restarts: int) -> dict[str, Any]:
    """Train or resume in several processes; hands back the outcome as `worker` writes it.

    request: a command (train or resume), its arguments and its options. Raises what the run
    raised, TrainingError where processes died more often than they may.
    """
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
        failure = None
        with _environment(processes), _quiet():
            try:
                elastic_launch(settings, sys.executable)("-m", WORKER, name)
            except SignalException:  # the processes have saved and told
                pass
            except ChildFailedError as error:
                failure = error
        return _outcome(folder, failure, max_restarts)


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
    wanted = {"OMP_NUM_THREADS": str(max(1, cores() // processes))}
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
