"""Several processes that learn together, through torch.distributed under torchrun.

Processors talk through gloo, GPUs through NCCL. What a step needs of the others is one exchange:
the gradients, the loss and a few words go together. What is rare goes through the store that
torchrun offers: there the first may take its time, as long as it shows that it is alive.
"""

import contextlib
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from ricorda import errors
from ricorda.errors import ConfigurationError, ProcessLost, RicordaError
from ricorda.training.exchange import make_exchange
from ricorda.training.plan.machine import take_own_gpu
from ricorda.training.process_group import Exchange, ProcessGroup, Share, Word
from ricorda.training.started import local_processes

BEAT = 0.5  # seconds between signs of life while the first works
MEETING_SECONDS = 300.0  # in which all processes must have started
POLL = 0.005  # seconds between looks for what the first did

LOST = ("Connection", "connection", "gloo", "Gloo", "NCCL", "Timed out", "timed out", "Broken pipe")
"""Words of PyTorch's errors that tell of another process rather than of this one."""


@contextlib.contextmanager
def joined(timeout: float, device: str) -> Iterator[ProcessGroup]:
    """Within, be one of the processes that were started together.

    timeout is for how many seconds the others may keep silent. Raises ProcessLost if they do not
    come together.
    """
    seconds = timedelta(seconds=timeout)
    if device == "cuda":
        take_own_gpu()
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    with _told_as_lost(timeout):
        store, rank, size = next(rendezvous("env://", timeout=seconds))
        store.set_timeout(seconds)
        store = PrefixStore(f"ricorda/{_meet(store, rank, size)}", store)
        dist.init_process_group(
            backend,
            store=PrefixStore("group", store),
            rank=rank,
            world_size=size,
            timeout=seconds,
        )
    try:
        yield DistributedGroup(PrefixStore("work", store), rank, size, timeout)
    finally:
        with contextlib.suppress(RuntimeError):  # what is lost cannot be left in good order
            dist.destroy_process_group()


def _meet(store: Store, rank: int, size: int) -> str:
    """Agree on a new name with the processes that are there now.

    The store outlives processes that are started again, and holds what those before them left. So
    each says hello by a name of its own, and the first answers every hello, old ones too, with the
    name of the meeting; it is on once all have taken that very name.
    """
    store = PrefixStore("ricorda/meeting", store)
    own = uuid.uuid4().hex
    deadline = time.monotonic() + MEETING_SECONDS
    store.set(f"hello/{rank}", own)
    taken = ""
    while not (taken and store.check([f"on/{taken}"])):
        if rank == 0:
            taken = own
            _answer(store, own, size)
        elif store.check([f"answer/{own}"]):
            taken = store.get(f"answer/{own}").decode()
            store.set(f"taken/{taken}/{rank}", "")
        if time.monotonic() > deadline:
            raise ProcessLost(
                f"expected {size} processes to come together within {MEETING_SECONDS:g} s, but "
                "some did not: see that all were started, and that the machines reach each other"
            )
        time.sleep(POLL)
    return taken


def _answer(store: Store, meeting: str, size: int) -> None:
    """Answer every hello, and open the meeting once all have taken its name."""
    others = range(1, size)
    for rank in others:
        if store.check([f"hello/{rank}"]):
            store.set(f"answer/{store.get(f'hello/{rank}').decode()}", meeting)
    if all(store.check([f"taken/{meeting}/{rank}"]) for rank in others):
        store.set(f"on/{meeting}", "")


class DistributedGroup(ProcessGroup):
    """One of several processes."""

    def __init__(self, store: Store, rank: int, size: int, timeout: float) -> None:
        self.rank, self.size = rank, size
        self.timeout = timeout
        """For how many seconds another may keep silent."""
        self._store = store
        self._said = self._heard = Word()
        self._works = 0

    def share(self, streams: int) -> Share:
        """This process's part; raises ConfigurationError where some would have none."""
        if streams < self.size:
            raise ConfigurationError(
                f"expected at least a stream for each of {self.size} processes, got --batch-size "
                f"{streams}: raise it, or start fewer processes"
            )
        return super().share(streams)

    def say(self, word: Word) -> None:
        """Keep a word for the next step; of clocks, the first's alone counts."""
        self._said = word if self.is_first else Word(word.signal_number)

    def heard(self, now: Callable[[], Word]) -> Word:
        """What all said with the last step."""
        return self._heard

    def exchange(self, count: int) -> Exchange:
        """Shared memory where all run on this machine, else torch.distributed."""
        together = local_processes() == self.size
        return make_exchange(self, count, on_one_machine=together, timeout=self.timeout)

    def average(self, exchange: Exchange, nats: float) -> float:
        """The loss and the word go with the gradients."""
        with self.told_as_lost():
            mean, *word = exchange.add_up([nats, *self._said.numbers()])
        self._heard = Word.from_sum(word)
        return mean

    def sum(self, numbers: Tensor) -> Tensor:
        """Add them up by an all-reduce."""
        with self.told_as_lost():
            dist.all_reduce(numbers)
        return numbers

    def whole(self, rows: Tensor, share: Share) -> Tensor:
        """Gather every process's rows, as bytes, whatever their type."""
        most = -(-share.of // self.size)
        padded = rows.new_zeros(most, *rows.shape[1:])
        padded[: share.count] = rows
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        with self.told_as_lost():
            dist.all_gather([_bytes(part) for part in parts], _bytes(padded))
        counts = [
            share.of * (rank + 1) // self.size - share.of * rank // self.size
            for rank in range(self.size)
        ]
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def spread(self, tensors: dict[str, Tensor] | None) -> dict[str, Tensor]:
        """Broadcast names, types and shapes, then every tensor's bytes."""
        described = self.first_does(
            lambda: [
                (name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape))
                for name, tensor in (tensors or {}).items()
            ]
        )
        if tensors is None:
            tensors = {
                name: torch.empty(shape, dtype=getattr(torch, dtype))
                for name, dtype, shape in described
            }
        for tensor in tensors.values():
            if tensor.numel():
                with self.told_as_lost():
                    dist.broadcast(_bytes(tensor), 0)
        return tensors

    def told_as_lost(self) -> contextlib.AbstractContextManager[None]:
        """Within, PyTorch's errors about other processes are ProcessLost."""
        return _told_as_lost(self.timeout)

    def first_does(self, work: Callable[[], Any]) -> Any:
        """Have rank 0 work, and show that it is alive, while the others look for its result."""
        return self._have_done(work, "all", is_mine=self.is_first)

    def first_of_machine_does(self, work: Callable[[], Any]) -> Any:
        """The same for the processes of one machine."""
        machine, local_rank = os.environ.get("GROUP_RANK", "0"), os.environ.get("LOCAL_RANK")
        is_mine = self.is_first if local_rank is None else local_rank == "0"
        return self._have_done(work, machine, is_mine=is_mine)

    def _have_done(self, work: Callable[[], Any], whom: str, *, is_mine: bool) -> Any:
        """Have one work and the others wait."""
        self._works += 1
        key = f"{self._works}/{whom}"
        with self.told_as_lost():
            if not is_mine:
                return _result(self._await(key))
            with self._beating(key):
                try:
                    result = work()
                except RicordaError as error:
                    told = {"error": type(error).__name__, "message": str(error)}
                    self._store.set(key, json.dumps(told))
                    raise
            self._store.set(key, json.dumps({"result": result}))
            return result

    def _await(self, key: str) -> Any:
        """What the one who works put into the store, as long as it is alive."""
        beat, since = b"", time.monotonic()
        while not self._store.check([key]):
            time.sleep(POLL)
            if time.monotonic() - since < BEAT:
                continue
            now = self._store.get(f"{key}/beat") if self._store.check([f"{key}/beat"]) else b""
            if now != beat:
                beat, since = now, time.monotonic()
            elif time.monotonic() - since > self.timeout:
                raise ProcessLost(lost(self.timeout, "one that works for all keeps silent"))
        return json.loads(self._store.get(key))

    @contextlib.contextmanager
    def _beating(self, key: str) -> Iterator[None]:
        """Show every now and then that this process is alive."""
        done = threading.Event()

        def beat() -> None:
            number = 0
            with contextlib.suppress(RuntimeError):
                while not done.wait(BEAT):
                    number += 1
                    self._store.set(f"{key}/beat", str(number))

        thread = threading.Thread(target=beat, name="beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _result(told: dict[str, Any]) -> Any:
    """What rank 0 came to; its error is raised here too."""
    if "error" not in told:
        return told["result"]
    kind = getattr(errors, told["error"], RicordaError)
    error: RicordaError = kind(told["message"])
    error.told = True
    raise error


def _bytes(tensor: Tensor) -> Tensor:
    """The tensor's own memory as bytes, which every backend moves."""
    return tensor.view(-1).view(torch.uint8)


@contextlib.contextmanager
def _told_as_lost(timeout: float) -> Iterator[None]:
    """What PyTorch, and pipes between processes, tell of others as one error of ours."""
    try:
        yield
    except (RuntimeError, ConnectionError, TimeoutError) as error:
        if isinstance(error, RuntimeError) and not is_about_others(error):
            raise
        raise ProcessLost(lost(timeout, _in_brief(str(error)))) from error


def is_about_others(error: RuntimeError) -> bool:
    """Whether an error of PyTorch's tells that another process is gone or silent."""
    return isinstance(error, dist.DistError) or any(word in str(error) for word in LOST)


def _in_brief(message: str) -> str:
    """An error of gloo's or NCCL's without the places in its sources and its advice."""
    first = (message.splitlines() or [""])[0]
    return re.sub(r"\[\S*\.(cc|cpp|h):\d+\] ", "", first).split(". ")[0].strip()


def lost(timeout: float, why: str) -> str:
    """What is said where another process does not answer."""
    return (
        f"another process of this run ended, or did not answer for {timeout:g} s ({why}): the last "
        "checkpoint stands; start the processes again, or go on with `ricorda resume`"
    )
