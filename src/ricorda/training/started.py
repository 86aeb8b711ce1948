"""Whether this process was started as one of several that learn together."""

import contextlib
import os
from collections.abc import Iterator

from ricorda.training.process_group import ALONE, ProcessGroup

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each process."""


def started_together() -> bool:
    """Whether torchrun or the like started this process as one of several."""
    return all(name in os.environ for name in ENVIRONMENT) and int(os.environ["WORLD_SIZE"]) > 1


def local_processes(wanted: int = 1) -> int:
    """How many of the processes run on this machine: those wanted, if none were started yet."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if started_together() else wanted


@contextlib.contextmanager
def ranks(timeout: float, device: str) -> Iterator[ProcessGroup]:
    """Within, learn together with the processes that were started with this one, if any were.

    timeout is for how many seconds the others may keep silent. Raises ProcessLost if they do not
    come together.
    """
    if not started_together():
        yield ALONE
        return
    from ricorda.torch.process_group import joined

    with joined(timeout, device) as group:
        yield group
