"""Process groups whose ranks are threads of one process, for tests of what they exchange."""

import json
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ricorda.errors import RicordaError
from ricorda.training.exchange import make_exchange
from ricorda.training.process_group import Exchange, ProcessGroup, Share, Word


class Table:
    """Where the threads lay down what the others pick up."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size, timeout=20)
        self._places: list[Any] = [None] * size

    def exchange(self, rank: int, value: Any) -> list[Any]:
        """Everybody's value."""
        self._places[rank] = value
        self._barrier.wait()
        found = list(self._places)
        self._barrier.wait()
        return found

    def abort(self) -> None:
        self._barrier.abort()


class ThreadRanks(ProcessGroup):
    shares_memory = True

    def __init__(self, table: Table, rank: int) -> None:
        self.rank, self.size = rank, table.size
        self._table = table
        self._said = self._heard = Word()

    def say(self, word: Word) -> None:
        self._said = word if self.is_first else Word(word.signal_number)

    def heard(self, now: Callable[[], Word]) -> Word:
        return self._heard

    def exchange(self, count: int) -> Exchange:
        return make_exchange(self, count, on_one_machine=self.shares_memory, timeout=20)

    def average(self, exchange: Exchange, nats: float) -> float:
        mean, *word = exchange.add_up([nats, *self._said.numbers()])
        self._heard = Word.from_sum(word)
        return mean

    def sum(self, numbers: Tensor) -> Tensor:
        found = self._table.exchange(self.rank, numbers.clone())
        return numbers.copy_(torch.stack(found).sum(0))

    def whole(self, rows: Tensor, share: Share) -> Tensor:
        return torch.cat(self._table.exchange(self.rank, rows.clone()))

    def spread(self, tensors: dict[str, Tensor] | None) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self._table.exchange(self.rank, tensors)[0]
        return {name: tensor.clone() for name, tensor in found.items()}

    def first_does(self, work: Callable[[], Any]) -> Any:
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

    def first_of_machine_does(self, work: Callable[[], Any]) -> Any:
        return self.first_does(work)


def in_threads(size: int, work: Callable[[ProcessGroup], Any]) -> list[Any]:
    """Do the same in several threads; what each came to. The first error is raised."""
    table = Table(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadRanks(table, rank))
        except BaseException as error:  # handed to the caller
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
