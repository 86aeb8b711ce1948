"""The processes that take a run's steps together, seen from one of them.

Each has a rank, from 0. Rank 0 writes, and decides what depends on a clock or a disk; the others
do what it tells, so that all take the same steps. `ProcessGroup` itself is one process alone, for
which nothing is exchanged; `ricorda.torch.process_group` has that of several.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ricorda.training.interruption import SIGNALS


@dataclass(frozen=True)
class Share:
    """The part of B streams that one process reads: they lie side by side."""

    first: int
    """The number of the first."""

    count: int
    """How many they are."""

    of: int
    """B, the streams of all processes."""

    @property
    def rows(self) -> slice:
        """Where they lie among all."""
        return slice(self.first, self.first + self.count)

    @property
    def is_all(self) -> bool:
        """Whether there are no others."""
        return self.count == self.of


class Word(NamedTuple):
    """What processes tell each other with every step."""

    signal_number: int | None = None
    """A signal to stop that one of them got."""

    spent: bool = False
    """Whether the minutes are over by the first one's clock."""

    calibrate: bool = False
    """Whether by that clock the number of steps must be settled after this step."""

    save: bool = False
    """Whether by that clock a checkpoint is due after this step."""

    folder_is_lost: bool = False
    """Whether rank 0 found that the run's folder was moved, removed or replaced."""

    def numbers(self) -> list[float]:
        """It as numbers that can be added to those of others."""
        signals = [float(number == self.signal_number) for number in SIGNALS]
        asked = (self.spent, self.calibrate, self.save, self.folder_is_lost)
        return [*map(float, asked), *signals]

    @classmethod
    def from_sum(cls, numbers: list[float]) -> "Word":
        """What all said, from the sum of their numbers."""
        spent, calibrate, save, is_lost, *signals = (number > 0 for number in numbers)
        got = [number for number, heard in zip(SIGNALS, signals, strict=True) if heard]
        return cls(int(got[0]) if got else None, spent, calibrate, save, is_lost)


WORD_NUMBERS = len(Word().numbers())


class Exchange:
    """A place for one process's gradients, and a way to add them up with those of the others.

    This one is of a process alone, for which nothing is added.
    """

    def __init__(self, gradient: Tensor) -> None:
        self.gradient = gradient
        """(P,) float32: its own before adding up, the sum of all after."""

    def add_up(self, numbers: Sequence[float]) -> list[float]:
        """Replace the gradients by the sum of all; the sums of a few numbers that go along."""
        return list(numbers)


class ProcessGroup:
    """One process alone."""

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, streams: int) -> Share:
        """This process's part of B streams."""
        first = streams * self.rank // self.size
        return Share(first, streams * (self.rank + 1) // self.size - first, streams)

    def say(self, word: Word) -> None:
        """Have a word go with the next step's gradients."""

    def heard(self, now: Callable[[], Word]) -> Word:
        """What all said with the last step; a process alone hears what it would say now."""
        return now()

    def exchange(self, count: int) -> Exchange:
        """A way for P gradients, for `average`; every process must ask for it at the same time."""
        return Exchange(torch.zeros(count))

    def average(self, exchange: Exchange, nats: float) -> float:
        """Add the gradients of all up in place; what each adds to the mean nats -> the mean.

        Raises ProcessLost where one does not answer.
        """
        return exchange.add_up([nats])[0]

    def sum(self, numbers: Tensor) -> Tensor:
        """Add numbers of all up."""
        return numbers

    def any(self, is_so: bool) -> bool:
        """Whether it is so anywhere."""
        return bool(self.sum(torch.tensor([float(is_so)]))[0] > 0)

    def whole(self, rows: Tensor, share: Share) -> Tensor:
        """The rows (B, ...) of all, from those of each; every process must call it."""
        return rows

    def spread(self, tensors: dict[str, Tensor] | None) -> dict[str, Tensor]:
        """The first's tensors, copied to all; the others give None."""
        assert tensors is not None
        return tensors

    def told_as_lost(self) -> contextlib.AbstractContextManager[None]:
        """Within, PyTorch's errors about other processes are ProcessLost."""
        return contextlib.nullcontext()

    def first_does(self, work: Callable[[], Any]) -> Any:
        """Have the first do something, however long it takes, and tell all what came of it.

        The result is made of what JSON has. An error of ricorda's is raised in all; one that was
        raised elsewhere has an attribute `told`. Raises ProcessLost where the first is gone.
        """
        return work()

    def first_of_machine_does(self, work: Callable[[], Any]) -> Any:
        """The same for each machine: its first process works, and tells those beside it."""
        return work()


ALONE = ProcessGroup()
