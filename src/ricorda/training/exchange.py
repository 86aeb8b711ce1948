"""What the gradients of one step pass through on their way from each process to all.

Between machines that is an all-reduce of torch.distributed. Processes of one machine lay their
gradients into rows of memory that they share, (N, P): once all have, each adds up its part of the
columns and writes the sums into every row; once all have, every row holds the whole sum. Sent
through gloo, the same gradients would be copied several times, by threads that have to wait for a
core where a process learns on every one.
"""

import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ricorda.training.meeting import Meeting, arrange_meeting
from ricorda.training.process_group import WORD_NUMBERS, Exchange, ProcessGroup

ROW_ALIGNMENT = 1024  # numbers: a page of memory, so that no two rows share one


class AllReduce(Exchange):
    """Gradients, loss and word as one message."""

    def __init__(self, ranks: ProcessGroup, count: int) -> None:
        self._ranks = ranks
        self._flat = torch.zeros(count + WORD_NUMBERS + 1)
        super().__init__(self._flat[:count])

    def add_up(self, numbers: Sequence[float]) -> list[float]:
        """Replace the gradients by the sum of all; the sums of the numbers."""
        tail = self._flat[self.gradient.numel() :]
        tail.copy_(torch.tensor(numbers))
        self._ranks.sum(self._flat)
        return tail.tolist()


class SharedRows(Exchange):
    """The same in memory that the processes of one machine share."""

    def __init__(self, ranks: ProcessGroup, rows: Tensor, meeting: Meeting) -> None:
        count = rows.shape[1] - WORD_NUMBERS - 1
        super().__init__(rows[ranks.rank, :count])
        self._meeting = meeting
        self._numbers = rows[:, count:]
        self._own_numbers = rows[ranks.rank, count:]
        own = ranks.share(count)
        self._first, *self._others = rows[:, own.rows]

    def add_up(self, numbers: Sequence[float]) -> list[float]:
        """Replace the gradients by the sum of all, in the order of ranks; sums of the numbers."""
        self._own_numbers.copy_(torch.tensor(numbers))
        self._meeting.wait()  # all have laid down what is theirs
        told: list[float] = self._numbers.sum(0).tolist()
        for other in self._others:
            self._first += other
        for other in self._others:
            other.copy_(self._first)
        self._meeting.wait()  # all have added up their part
        return told


def make_exchange(
    ranks: ProcessGroup, count: int, *, on_one_machine: bool, timeout: float
) -> Exchange:
    """The way for P gradients a step; all processes must ask for it together.

    timeout: seconds for which one may keep the others waiting.
    """
    if on_one_machine and count and sys.platform == "linux":
        rows = _shared_rows(ranks, count + WORD_NUMBERS + 1)
        meeting = arrange_meeting(ranks, timeout)
        if rows is not None and meeting is not None:
            return SharedRows(ranks, rows, meeting)
    return AllReduce(ranks, count)


def _shared_rows(ranks: ProcessGroup, count: int) -> Tensor | None:
    """Memory (N, P) that all processes have; None where one of them cannot have it.

    It has no name in any folder, and is gone with the last process that has it.
    """
    stride = -(-count // ROW_ALIGNMENT) * ROW_ALIGNMENT
    length = ranks.size * stride * 4
    own = _anonymous_file(length) if ranks.is_first else None
    place = ranks.first_does(lambda: None if own is None else f"/proc/{os.getpid()}/fd/{own}")
    memory = None if place is None else _mapped(Path(place), length)
    is_shared = not ranks.any(memory is None)
    if own is not None:
        os.close(own)
    if memory is None or not is_shared:
        return None
    return torch.frombuffer(memory, dtype=torch.float32).view(ranks.size, stride)[:, :count]


def _anonymous_file(length: int) -> int | None:
    """A file of zeros that lies in memory alone; None where the system has none to give."""
    if not hasattr(os, "memfd_create"):  # an old C library
        return None
    try:
        descriptor = os.memfd_create("ricorda-gradients")
        os.truncate(descriptor, length)
    except OSError:
        return None
    return descriptor


def _mapped(place: Path, length: int) -> mmap.mmap | None:
    """A file's memory; None where it cannot be had, as in another container."""
    try:
        with place.open("r+b") as file:
            return mmap.mmap(file.fileno(), length)
    except OSError:
        return None
