"""The processes that train one run together, seen from one of them.

Each process has a rank, from 0. Rank 0 writes the files and decides what depends on a clock or a
disk; the others receive its decisions, so that all take the same steps. `ProcessGroup` itself is
one process alone; `ricorda.torch.process_group` has the group of several, on torch.distributed.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import RicordaError
from ricorda.interrupts import SIGNALS

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""The variables that torchrun sets in each process."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Share:
    """The part of B streams that one process reads: neighbouring rows of the batch."""

    first: int
    """The number of the first stream."""

    count: int
    """How many streams it has."""

    of: int
    """B, the streams of all processes."""

    @property
    def rows(self) -> slice:
        """Its rows of the batch."""
        return slice(self.first, self.first + self.count)


class StepFlags(NamedTuple):
    """What the processes send each other in every step, inside its all-reduce."""

    signal_number: int | None = None
    """A signal to stop that a process received."""

    spent: bool = False
    """Whether the budget of minutes is spent by the clock of rank 0."""

    calibrate: bool = False
    """Whether the number of steps must be planned after this step."""

    save: bool = False
    """Whether a checkpoint is due after this step."""

    folder_is_lost: bool = False
    """Whether rank 0 found that the run's folder was moved, removed or replaced."""

    def to_array(self) -> NDArray[np.float32]:
        """Return (FLAGS,) numbers that can be added to those of other processes."""
        signals = [number == self.signal_number for number in SIGNALS]
        flags = (self.spent, self.calibrate, self.save, self.folder_is_lost)
        return np.array([*flags, *signals], np.float32)

    @classmethod
    def from_sum(cls, numbers: NDArray[np.float32]) -> "StepFlags":
        """Return the flags of all processes from the sum of their numbers."""
        spent, calibrate, save, is_lost, *signals = (numbers > 0).tolist()
        received = [number for number, is_set in zip(SIGNALS, signals, strict=True) if is_set]
        return cls(int(received[0]) if received else None, spent, calibrate, save, is_lost)


FLAGS = len(StepFlags().to_array())


class ProcessGroup:
    """One process alone.

    A group of several processes overrides `all_reduce`, `broadcast` and `gather`. Every process
    must call each method at the same point, except `share`, `set_flags` and `flags`. Methods raise
    ProcessLost if another process has ended or does not answer in time.
    """

    rank = 0
    size = 1
    is_first_of_machine = True
    """Whether this process reads a text before the others on its machine."""

    _sent = _received = StepFlags()

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes the run's files."""
        return self.rank == 0

    def share(self, streams: int) -> Share:
        """Return this process's part of B streams."""
        first = streams * self.rank // self.size
        return Share(first, streams * (self.rank + 1) // self.size - first, streams)

    def all_reduce(self, values: NDArray[Any]) -> None:
        """Sum values over all processes, in place."""

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value in every process; however long rank 0 takes to call it."""
        return value

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value by rank; however long one takes to call it."""
        return [value]

    def lost_processes(self) -> contextlib.AbstractContextManager[None]:
        """Within, raise PyTorch's errors about other processes as ProcessLost."""
        return contextlib.nullcontext()

    def set_flags(self, flags: StepFlags) -> None:
        """Send flags with the next step; of other ranks than 0 only the signal counts."""
        self._sent = flags if self.is_first else StepFlags(flags.signal_number)

    def flags(self, now: Callable[[], StepFlags]) -> StepFlags:
        """Return the flags of all processes with the last step; alone, the process's own of now."""
        return now() if self.size == 1 else self._received

    def reduce_step(self, values: NDArray[np.float32]) -> None:
        """Sum a step's values over all processes, in place, together with the flags.

        values: (N + FLAGS,) float32, of which the last FLAGS numbers are overwritten.
        """
        values[-FLAGS:] = self._sent.to_array()
        self.all_reduce(values)
        self._received = StepFlags.from_sum(values[-FLAGS:])

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        count = np.array([float(flag)])
        self.all_reduce(count)
        return bool(count[0] > 0)

    def all_gather(self, rows: NDArray[Any], share: Share) -> NDArray[Any]:
        """Return the rows (B, ...) of all processes from each one's (count, ...)."""
        whole = np.zeros((share.of, *rows.shape[1:]), rows.dtype)
        whole[share.rows] = rows
        self.all_reduce(whole.reshape(-1).view(np.uint8))  # exact for every type
        return whole

    def first_does(self, work: Callable[[], Result]) -> Result:
        """Return in every process what rank 0's work returns, however long it takes.

        An error of ricorda in the work is raised in all processes; its `reported_elsewhere` is true
        in those where it was not raised first.
        """
        result: Result = self.broadcast(self._in_turn(work, is_turn=self.is_first))
        return result

    def machine_by_machine(self, work: Callable[[], Result]) -> Result:
        """Work in every process, first in one process of each machine, then in the others.

        Returns each process's own result. Errors as in `first_does`.
        """
        ours = self._in_turn(work, is_turn=self.is_first_of_machine)
        theirs = self._in_turn(work, is_turn=not self.is_first_of_machine)
        result: Result = ours if self.is_first_of_machine else theirs
        return result

    def _in_turn(self, work: Callable[[], Any], *, is_turn: bool) -> Any:
        """Work if it is this process's turn; raise an error of one process in all."""
        result, error = None, None
        if is_turn:
            try:
                result = work()
            except RicordaError as raised:
                error = raised
        errors = [each for each in self.gather(error) if each is not None]
        if error is not None:
            raise error
        if errors:
            errors[0].reported_elsewhere = True
            raise errors[0]
        return result


ALONE = ProcessGroup()


def started_together() -> bool:
    """Return whether torchrun or the like started this process as one of several."""
    return all(name in os.environ for name in ENVIRONMENT) and int(os.environ["WORLD_SIZE"]) > 1


def local_processes(wanted: int = 1) -> int:
    """Return how many of the processes run on this machine: those wanted before they start."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if started_together() else wanted


@contextlib.contextmanager
def joined_group(timeout: float, device: str) -> Iterator[ProcessGroup]:
    """Within, be one of the processes that were started together, or a process alone.

    timeout: seconds that a step waits for another process. Raises ProcessLost if the processes do
    not come together.
    """
    if not started_together():
        yield ALONE
        return
    from ricorda.torch.process_group import joined

    with joined(timeout, device) as group:
        yield group
