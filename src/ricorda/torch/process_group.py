"""A group of several processes, on torch.distributed under torchrun.

CPUs communicate through gloo, GPUs through NCCL. Steps have a timeout. What is rare and may take
long, such as reading a text, goes through a second group of gloo's with a timeout of a day: it
notices the end of a process at once, but not its silence.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.distributed.distributed_c10d import PrefixStore, Store

from ricorda.errors import ConfigurationError, ProcessLost
from ricorda.torch.device import take_own_gpu
from ricorda.training.process_group import ProcessGroup, Share

START = timedelta(minutes=5)  # in which all processes must have started
LONGEST = timedelta(days=1)  # that one process may work while the others wait

LOST = ("Connection", "connection", "gloo", "Gloo", "NCCL", "Timed out", "timed out", "Broken pipe")
"""Words in PyTorch's errors that are about another process rather than this one."""


@contextlib.contextmanager
def joined(timeout: float, device: str) -> Iterator[ProcessGroup]:
    """Within, be one of the processes that were started together.

    timeout: seconds that a step waits for another process. Raises ProcessLost if the processes do
    not come together.
    """
    if device == "cuda":
        take_own_gpu()
    with lost_processes(START.total_seconds()):
        store, rank, size = _store()
        _wait_for_all(store, size)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=timeout),
        )
        patient = dist.new_group(backend="gloo", timeout=LONGEST)
    try:
        yield DistributedGroup(rank, size, timeout, patient)
    finally:
        with contextlib.suppress(RuntimeError):  # a group that lost a process may refuse
            dist.destroy_process_group()


def _store() -> tuple[Store, int, int]:
    """Return the store that torchrun's variables name, this process's rank, and their number.

    torchrun keeps one store over all restarts, with the addresses of ended processes in it, unless
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 is set. So each attempt has a prefix of its own there.
    """
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    of_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store: Store = _connected(size, makes_it=rank == 0 and not of_torchrun)
    if of_torchrun:
        store = PrefixStore(f"attempt/{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    return store, rank, size


def _connected(size: int, *, makes_it: bool) -> Store:
    """Create the store or connect to it, in short attempts so that signals are handled."""
    last = time.monotonic() + START.total_seconds()
    while True:
        try:
            store: Store = dist.TCPStore(  # type: ignore[attr-defined]
                os.environ["MASTER_ADDR"],
                int(os.environ["MASTER_PORT"]),
                size,
                is_master=makes_it,
                timeout=timedelta(seconds=1),
                wait_for_workers=False,
                multi_tenant=makes_it,
            )
        except dist.DistError:
            if makes_it or time.monotonic() > last:
                raise
        else:
            store.set_timeout(START)
            return store


def _wait_for_all(store: Store, size: int) -> None:
    """Wait until all processes have started; in Python, so that a signal interrupts it."""
    last = time.monotonic() + START.total_seconds()
    arrived = store.add("ricorda/started", 1)
    while arrived < size:
        if time.monotonic() > last:
            raise ProcessLost(
                f"expected {size} processes to start within {START.total_seconds():g} s, got "
                f"{arrived}: check why the others did not start, or start fewer"
            )
        time.sleep(0.02)
        arrived = store.add("ricorda/started", 0)


class DistributedGroup(ProcessGroup):
    """One of several processes.

    timeout: seconds that a step waits for another process. patient: a group without that limit.
    """

    def __init__(
        self, rank: int, size: int, timeout: float, patient: dist.ProcessGroup | None
    ) -> None:
        self.rank, self.size = rank, size
        self.is_first_of_machine = os.environ.get("LOCAL_RANK", str(rank)) == "0"
        self._timeout = timeout
        self._patient = patient

    def share(self, streams: int) -> Share:
        """Return this process's part of B streams; raise ConfigurationError if one has none."""
        if streams < self.size:
            raise ConfigurationError(
                f"expected at least a stream for each of {self.size} processes, got --batch-size "
                f"{streams}: raise it, or start fewer processes"
            )
        return super().share(streams)

    def all_reduce(self, values: NDArray[Any]) -> None:
        """Sum values over all processes, in place."""
        with self.lost_processes():
            dist.all_reduce(torch.from_numpy(values))

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value in every process; however long rank 0 takes to call it."""
        values = [value]
        with self.lost_processes():
            dist.broadcast_object_list(values, src=0, group=self._patient)
        return values[0]

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value by rank; however long one takes to call it."""
        values = [None] * self.size
        with self.lost_processes():
            dist.all_gather_object(values, value, group=self._patient)
        return values

    def lost_processes(self) -> contextlib.AbstractContextManager[None]:
        """Within, raise PyTorch's errors about other processes as ProcessLost."""
        return lost_processes(self._timeout)


@contextlib.contextmanager
def lost_processes(timeout: float) -> Iterator[None]:
    """Within, raise PyTorch's errors about other processes as ProcessLost."""
    try:
        yield
    except RuntimeError as error:
        if not is_about_others(error):
            raise
        raise ProcessLost(
            f"another process of this run ended, or did not answer for {timeout:g} s "
            f"({_brief(str(error))}): the last checkpoint remains; start the processes again, or "
            "continue with `ricorda resume`"
        ) from error


def is_about_others(error: RuntimeError) -> bool:
    """Return whether an error of PyTorch's is about another process that is gone or silent."""
    return isinstance(error, dist.DistError) or any(word in str(error) for word in LOST)


def _brief(message: str) -> str:
    """Return an error of gloo's or NCCL's without its places in source code and its advice."""
    first = (message.splitlines() or [""])[0]
    return re.sub(r"\[\S*\.(cc|cpp|h):\d+\] ", "", first).split(". ")[0].strip()
