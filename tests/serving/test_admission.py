"""Turns, queues and limits."""

import asyncio
from typing import Any

import pytest

from ricorda.serving.guard import Problem
from ricorda.serving.limits import Admission, Ticket, Turns
from ricorda.serving.settings import ServerSettings


class Line:
    """Clients whose texts tell when they begin."""

    def __init__(self, **limits: int) -> None:
        defaults = {"streams": 2, "streams_per_client": 2, "queue": 6, "queue_per_client": 4}
        settings: dict[str, Any] = {
            f"max_{name}": limit for name, limit in (defaults | limits).items()
        }
        self.admission = Admission(ServerSettings(**settings))
        self.begun: list[str] = []

    def enter(self, client: str, count: int = 1) -> list[Ticket]:
        tickets = [Ticket(client, lambda: self.begun.append(client)) for _ in range(count)]
        self.admission.enter(tickets)
        return tickets


def test_texts_begin_at_once_where_there_is_room() -> None:
    line = Line()
    line.enter("a", 2)
    assert line.begun == ["a", "a"]
    assert (line.admission.running, line.admission.waiting) == (2, 0)


def test_clients_take_turns() -> None:
    line = Line(streams=1)
    (running, *_) = line.enter("a", 4)
    line.enter("b", 2)
    line.enter("c", 1)
    everybody = [running]
    for _ in range(6):
        line.admission.leave(everybody[-1])
        waiting = line.begun[-1]
        assert waiting
        everybody.append(_running(line))
    assert line.begun == ["a", "a", "b", "c", "a", "b", "a"]


def _running(line: Line) -> Ticket:
    """The one text that runs."""
    (found,) = [ticket for ticket in TICKETS if ticket.running and not ticket.over]
    return found


TICKETS: list[Ticket] = []


@pytest.fixture(autouse=True)
def _keep_tickets(monkeypatch: pytest.MonkeyPatch) -> None:
    TICKETS.clear()
    original = Ticket.__init__

    def keep(self: Ticket, *arguments: object) -> None:
        original(self, *arguments)  # type: ignore[arg-type]
        TICKETS.append(self)

    monkeypatch.setattr(Ticket, "__init__", keep)


def test_a_client_has_no_more_than_its_share() -> None:
    line = Line(streams=3, streams_per_client=1)
    first = line.enter("a", 3)
    line.enter("b", 1)
    assert line.begun == ["a", "b"]
    line.admission.leave(first[0])
    assert line.begun == ["a", "b", "a"]


def test_too_many_texts_of_a_client_are_429_and_none_of_them_waits() -> None:
    line = Line()
    line.enter("a", 6)
    with pytest.raises(Problem) as refused:
        line.enter("a")
    assert refused.value.status == 429
    assert refused.value.headers["retry-after"]
    assert line.admission.waiting == 4


def test_too_many_texts_of_all_are_503() -> None:
    line = Line()
    line.enter("a", 6)
    line.enter("b", 2)
    with pytest.raises(Problem) as refused:
        line.enter("c")
    assert refused.value.status == 503
    assert refused.value.headers["retry-after"]
    assert line.admission.waiting == 6


def test_leaving_frees_the_place_waiting_or_running_once() -> None:
    line = Line(streams=1)
    first, second, third = line.enter("a", 3)
    line.admission.leave(second)
    line.admission.leave(second)
    assert (line.admission.running, line.admission.waiting) == (1, 1)
    line.admission.leave(first)
    assert third.running
    line.admission.leave(third)
    assert (line.admission.running, line.admission.waiting) == (0, 0)
    line.enter("a")
    assert len(line.begun) == 3


def test_no_texts_need_no_place() -> None:
    line = Line()
    line.admission.enter([])
    assert line.admission.running == 0


def test_work_is_spread_over_rounds_and_keys_take_turns() -> None:
    async def order() -> list[list[str]]:
        turns = Turns(2)
        done: list[list[str]] = [[]]

        async def work(key: str) -> None:
            await turns.wait(key)
            done[-1].append(key)

        tasks = [asyncio.ensure_future(work(key)) for key in ["a"] * 5 + ["b", "c"]]
        tasks[2].cancel()
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            done.append([])
        return [each for each in done if each]

    assert asyncio.run(order()) == [["a", "a"], ["a", "b"], ["c", "a"]]
