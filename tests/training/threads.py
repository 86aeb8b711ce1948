"""Process groups whose ranks are threads of one process, for tests of what they exchange."""

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.training.process_group import ProcessGroup


class Table:
    """Where the threads put values for each other."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size, timeout=120)
        self._values: list[Any] = [None] * size

    def gather(self, rank: int, value: Any) -> list[Any]:
        """Return every thread's value."""
        self._values[rank] = value
        self._barrier.wait()
        found = list(self._values)
        self._barrier.wait()
        return found

    def abort(self) -> None:
        self._barrier.abort()


class ThreadGroup(ProcessGroup):
    def __init__(self, table: Table, rank: int) -> None:
        self.rank, self.size = rank, table.size
        self.is_first_of_machine = rank == 0
        self._table = table

    def all_reduce(self, values: NDArray[Any]) -> None:
        values[...] = np.sum(self._table.gather(self.rank, values.copy()), 0)

    def broadcast(self, value: Any) -> Any:
        found = self._table.gather(self.rank, value)[0]
        return found if self.is_first else copy.deepcopy(found)

    def gather(self, value: Any) -> list[Any]:
        return [copy.copy(each) for each in self._table.gather(self.rank, value)]


def in_threads(size: int, work: Callable[[ProcessGroup], Any]) -> list[Any]:
    """Do the same in several threads and return each one's result; raise the first error."""
    table = Table(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadGroup(table, rank))
        except BaseException as error:  # handed to the caller
            errors.append(error)
            table.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if errors:
        raise errors[0]
    return results
