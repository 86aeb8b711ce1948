"""Where processes of one machine wait for each other, woken by the system itself.

Each has a pipe from every other. gloo could tell as well that all have come; but its own threads
stand between, and where a process learns on every core they wait milliseconds for one.
"""

import os
import select
import weakref
from collections.abc import Iterable, Mapping, Sequence

import torch

from ricorda.training.process_group import ProcessGroup


class Meeting:
    """A place that nobody leaves before all have come; as often as one likes.

    Its pipes are closed with it, which the others notice.
    """

    def __init__(
        self, incoming: Mapping[int, int], outgoing: Sequence[int], timeout: float
    ) -> None:
        self._incoming = {rank: (pipe, _watched(pipe)) for rank, pipe in incoming.items()}
        """By the other's rank."""
        self._outgoing = outgoing
        self._milliseconds = 1000 * timeout
        weakref.finalize(self, _close, (*incoming.values(), *outgoing))

    def wait(self) -> None:
        """Come, and wait for the others.

        Raises ConnectionError where one of them has ended, TimeoutError where one does not come.
        """
        for pipe in self._outgoing:
            os.write(pipe, b"!")
        for rank, (pipe, watched) in self._incoming.items():
            if not watched.poll(self._milliseconds):
                raise TimeoutError(f"process {rank} keeps silent")
            if not os.read(pipe, 1):
                raise ConnectionResetError(f"process {rank} has ended")


def _watched(pipe: int) -> "select.poll":
    """What waits until a pipe has something, or is closed at its other end."""
    watched = select.poll()
    watched.register(pipe, select.POLLIN)
    return watched


def arrange_meeting(ranks: ProcessGroup, timeout: float) -> Meeting | None:
    """Lay pipes between all; None where one process cannot open another's.

    All must call it together. timeout: seconds that one may keep the others waiting.
    """
    others = [rank for rank in range(ranks.size) if rank != ranks.rank]
    pipes = {rank: os.pipe() for rank in others}
    table = torch.zeros(ranks.size, ranks.size, 2, dtype=torch.int64)
    for rank, (_, end) in pipes.items():  # the end that this other one is to write to
        table[ranks.rank, rank] = torch.tensor([os.getpid(), end])
    table = ranks.sum(table)
    opened = [_opened(*table[rank, ranks.rank].tolist()) for rank in others]
    outgoing = [pipe for pipe in opened if pipe is not None]
    is_arranged = not ranks.any(len(outgoing) < len(others))
    _close(end for _, end in pipes.values())  # now the others alone keep them open
    meeting = Meeting({rank: end for rank, (end, _) in pipes.items()}, outgoing, timeout)
    return meeting if is_arranged else None


def _opened(process: int, descriptor: int) -> int | None:
    """The end of a pipe of another process, to write to; None where it cannot be had."""
    try:
        return os.open(f"/proc/{process}/fd/{descriptor}", os.O_WRONLY)
    except OSError:
        return None


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
