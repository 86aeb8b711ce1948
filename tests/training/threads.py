"""Process groups whose ranks are threads of one process, for tests of what they exchange."""

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import RicordaError
from ricorda.training.process_group import FLAGS, ProcessGroup, Result, Share, StepFlags


class Table:
    """Where the threads put what the others read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size, timeout=20)
        self._places: list[Any] = [None] * size

    def exchange(self, rank: int, value: Any) -> list[Any]:
        """Return everybody's value."""
        self._places[rank] = value
        self._barrier.wait()
        found = list(self._places)
        self._barrier.wait()
        return found

    def abort(self) -> None:
        self._barrier.abort()


class ThreadGroup(ProcessGroup):
    def __init__(self, table: Table, rank: int) -> None:
        self.rank, self.size = rank, table.size
        self._table = table
        self._sent = self._received = StepFlags()

    def set_flags(self, flags: StepFlags) -> None:
        self._sent = flags if self.is_first else StepFlags(flags.signal_number)

    def flags(self, now: Callable[[], StepFlags]) -> StepFlags:
        return self._received

    def reduce_step(self, values: NDArray[np.float32]) -> None:
        values[-FLAGS:] = self._sent.to_array()
        self.all_reduce(values)
        self._received = StepFlags.from_sum(values[-FLAGS:])

    def all_reduce(self, values: NDArray[Any]) -> None:
        values[...] = np.sum(self._table.exchange(self.rank, values.copy()), axis=0)

    def all_gather(self, rows: NDArray[Any], share: Share) -> NDArray[Any]:
        return np.concatenate(self._table.exchange(self.rank, rows.copy()))

    def broadcast(self, value: Any) -> Any:
        return self._table.exchange(self.rank, value)[0]

    def gather(self, value: Any) -> list[Any]:
        return self._table.exchange(self.rank, value)

    def first_does(self, work: Callable[[], Result]) -> Result:
        result, error = None, None
        if self.is_first:
            try:
                result = json.loads(json.dumps(work()))
            except RicordaError as raised:
                error = raised
        (result, error), *_ = self._table.exchange(self.rank, (result, error))
        if error is not None:
            raise error
        return result

    def machine_by_machine(self, work: Callable[[], Result]) -> Result:
        return work()


def in_threads(size: int, work: Callable[[ProcessGroup], Any]) -> list[Any]:
    """Do the same in several threads; return every result. The first error is raised."""
    table = Table(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadGroup(table, rank))
        except BaseException as error:  # raised again in the caller's thread
            errors.append(error)
            table.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results
