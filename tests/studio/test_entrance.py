"""Tickets: valid once, and for a limited time."""

from types import SimpleNamespace

import pytest

from ricorda.studio import entrance
from ricorda.studio.entrance import Entrance


def test_a_ticket_is_valid_once_and_for_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(entrance, "time", SimpleNamespace(monotonic=lambda: now[0]))
    entered: list[float] = []
    door = Entrance(8000, lambda: entered.append(now[0]))
    late, in_time, printed = door.ticket(300.0), door.ticket(300.0), door.ticket()
    now[0] = 1300.0
    assert door.exchange(in_time)
    now[0] = 1300.5
    assert not door.exchange(late)
    now[0] = 1e9
    assert door.exchange(printed)
    assert not any(door.exchange(each) for each in (late, in_time, printed, "", "\ud800"))
    assert entered == [1300.0, 1e9]


def test_the_ticket_of_a_browser_is_valid_for_five_minutes() -> None:
    assert entrance.BROWSER_SECONDS == 300.0
