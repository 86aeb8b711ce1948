"""A run's rows as events: all of them, once, whatever happens to the connection or the files."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from ricorda.runs import RunFolder, append_row
from ricorda.studio import feed
from ricorda.studio.feed import Place, events, read_news
from ricorda.studio.rows import FromRows


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def steps(news: feed.News | None) -> list[int]:
    assert news is not None
    return [row["step"] for row in news.metrics]


def test_rows_are_told_once(run: RunFolder) -> None:
    assert read_news(run, Place()) is None
    append_row(run.metrics, {"step": 1})
    first = read_news(run, Place())
    assert first is not None
    assert steps(first) == [1]
    assert first.from_the_beginning
    append_row(run.metrics, {"step": 2})
    append_row(run.samples, {"step": 2, "text": "è\n"})
    second = read_news(run, first.place)
    assert second is not None
    assert steps(second) == [2]
    assert second.samples == [{"step": 2, "text": "è\n"}]
    assert not second.from_the_beginning
    assert read_news(run, second.place) is None


def test_a_row_that_is_not_whole_waits(run: RunFolder) -> None:
    run.metrics.write_bytes(b'{"step": 1}\n{"st')
    first = read_news(run, Place())
    assert first is not None
    assert steps(first) == [1]
    run.metrics.write_bytes(b'{"step": 1}\n{"step": 2}\n')
    assert steps(read_news(run, first.place)) == [2]


def test_damaged_rows_are_left_out(run: RunFolder) -> None:
    run.metrics.write_bytes(b'{"step": 1, "nats": NaN}\nnonsense\n[1]\n{"step": 2}\n')
    news = read_news(run, Place())
    assert news is not None
    assert news.metrics == [{"step": 1, "nats": None}, {"step": 2}]


@pytest.mark.parametrize("kept", [1, 3])
def test_another_file_is_told_from_the_beginning(run: RunFolder, kept: int) -> None:
    for step in (1, 2):
        append_row(run.metrics, {"step": step})
    first = read_news(run, Place())
    assert first is not None
    new = run.path / "new"
    new.write_bytes(b"".join(b'{"step": %d}\n' % step for step in range(1, kept + 1)))
    new.replace(run.metrics)  # as a run does that goes back to a checkpoint
    again = read_news(run, first.place)
    assert steps(again) == list(range(1, kept + 1))
    assert again is not None
    assert again.from_the_beginning


@pytest.mark.parametrize("text", [None, "", "1-2-3", "a-b-c-d", "-1-2-3-4", "1-2-3-4-5", "9" * 99])
def test_a_strange_id_is_the_beginning(text: str | None) -> None:
    assert Place.parse(text) == Place()


def test_an_id_says_the_place() -> None:
    place = Place(12, 0, (345, 0))
    assert Place.parse(str(place)) == place


def read_events(
    run: RunFolder, last_id: str | None, count: int, closing: threading.Event | None = None
) -> list[dict[str, Any]]:
    """The first events of a connection."""

    async def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async for block in events(
            run, last_id, lambda: {"state": "learning"}, closing or threading.Event()
        ):
            lines = dict(line.split(": ", 1) for line in block.decode().splitlines() if line)
            if "event" in lines:
                found.append({**lines, "data": json.loads(lines["data"])})
            if len(found) == count:
                break
        return found

    return asyncio.run(asyncio.wait_for(read(), 20))


def test_a_connection_goes_on_where_it_was_lost(run: RunFolder) -> None:
    append_row(run.metrics, {"step": 1, "text": "line\nend \u2028"})
    rows, status = read_events(run, None, 2)
    assert (rows["event"], status["event"]) == ("rows", "status")
    assert rows["data"]["metrics"] == [{"step": 1, "text": "line\nend \u2028"}]
    append_row(run.metrics, {"step": 2})
    (later,) = read_events(run, rows["id"], 1)
    assert [row["step"] for row in later["data"]["metrics"]] == [2]


def test_all_rows_are_read_again_only_when_there_are_others(run: RunFolder) -> None:
    read: list[int] = []

    def count(run: RunFolder) -> int:
        read.append(len(run.metrics.read_bytes()))
        return read[-1]

    sizes = FromRows(count)
    append_row(run.metrics, {"step": 1})
    assert [sizes.of(run) for _ in range(3)] == [12] * 3
    append_row(run.metrics, {"step": 2})
    assert [sizes.of(run) for _ in range(3)] == [24] * 3
    assert read == [12, 24]


def test_a_connection_ends_with_the_studio(run: RunFolder) -> None:
    append_row(run.metrics, {"step": 1})
    closing = threading.Event()
    closing.set()
    assert read_events(run, None, 1, closing) == []
