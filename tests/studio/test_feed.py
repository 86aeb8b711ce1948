"""A run's rows as events: all of them, once, whatever happens to the connection or the files."""

from pathlib import Path

import pytest

from ricorda.runs import RunFolder
from ricorda.studio import feed
from ricorda.studio.cache import FromFile
from ricorda.studio.feed import FeedPosition, read_news
from tests.rows import append_row


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def steps(news: feed.News) -> list[int]:
    return [row["step"] for row in news.metrics]


def test_rows_are_sent_once(run: RunFolder) -> None:
    assert read_news(run, FeedPosition()).metrics == []
    append_row(run.metrics, {"step": 1})
    first = read_news(run, FeedPosition())
    assert steps(first) == [1]
    assert first.from_the_beginning
    append_row(run.metrics, {"step": 2})
    append_row(run.samples, {"step": 2, "text": "è\n"})
    second = read_news(run, first.position)
    assert steps(second) == [2]
    assert second.samples == [{"step": 2, "text": "è\n"}]
    assert not second.from_the_beginning
    third = read_news(run, second.position)
    assert (third.metrics, third.samples, third.position) == ([], [], second.position)
    assert not third.from_the_beginning


def test_a_row_that_is_not_whole_waits(run: RunFolder) -> None:
    run.metrics.write_bytes(b'{"step": 1}\n{"st')
    first = read_news(run, FeedPosition())
    assert steps(first) == [1]
    run.metrics.write_bytes(b'{"step": 1}\n{"step": 2}\n')
    assert steps(read_news(run, first.position)) == [2]


def test_damaged_rows_are_left_out(run: RunFolder) -> None:
    run.metrics.write_bytes(b'{"step": 1, "nats": NaN}\nnonsense\n[1]\n{"step": 2}\n')
    news = read_news(run, FeedPosition())
    assert news.metrics == [{"step": 1, "nats": None}, {"step": 2}]


@pytest.mark.parametrize("kept", [1, 3])
def test_another_file_is_read_from_the_beginning(run: RunFolder, kept: int) -> None:
    for step in (1, 2):
        append_row(run.metrics, {"step": step})
    first = read_news(run, FeedPosition())
    new = run.path / "new"
    new.write_bytes(b"".join(b'{"step": %d}\n' % step for step in range(1, kept + 1)))
    new.replace(run.metrics)  # as a run does that goes back to a checkpoint
    again = read_news(run, first.position)
    assert steps(again) == list(range(1, kept + 1))
    assert again.from_the_beginning


@pytest.mark.parametrize(
    "text", [None, "", "1-2-3", "a-b-c-d", "-1-2-3-4", "1-2-3-4-5", "9" * 99, "1-2-3-" + "9" * 5000]
)
def test_a_strange_id_is_the_beginning(text: str | None) -> None:
    assert FeedPosition.parse(text) == FeedPosition()


def test_an_id_says_the_place() -> None:
    for inode in (345, 2**64 - 1, 2**128 - 1):
        position = FeedPosition(12, 0, (inode, 0))
        assert FeedPosition.parse(str(position)) == position


LONG = feed.MOST_AT_ONCE + 100


@pytest.mark.parametrize("length", [LONG, 3 * feed.MOST_AT_ONCE, feed.MOST_AT_ONCE])
def test_a_row_that_is_too_long_is_passed_over(run: RunFolder, length: int) -> None:
    head = b'{"step": 2, "text": "'
    long = head + b"x" * (length - len(head) - 3) + b'"}\n'
    run.metrics.write_bytes(b'{"step": 1}\n' + long + b'{"step": 3}\n')
    position, found, more = FeedPosition(), [], True
    while more:
        news = read_news(run, position)
        assert news.position != position  # it never stays where it is
        position, more = news.position, news.more
        found += steps(news)
    assert found == [1, 3] if length > feed.MOST_AT_ONCE else [1, 2, 3]
    append_row(run.metrics, {"step": 4})
    assert steps(read_news(run, position)) == [4]


def test_the_end_of_a_long_row_that_is_still_written_is_no_row(run: RunFolder) -> None:
    run.metrics.write_bytes(b"x" * (feed.MOST_AT_ONCE + 10))
    position = read_news(run, FeedPosition()).position
    position = read_news(run, position).position
    with run.metrics.open("ab") as file:
        file.write(b'\n{"step": 1}\n')
    assert steps(read_news(run, position)) == [1]


def test_all_rows_are_read_again_only_when_there_are_others(run: RunFolder) -> None:
    read: list[int] = []

    def count(run: RunFolder) -> int:
        read.append(len(run.metrics.read_bytes()))
        return read[-1]

    sizes = FromFile(count)
    append_row(run.metrics, {"step": 1})
    assert [sizes.of(run) for _ in range(3)] == [12] * 3
    append_row(run.metrics, {"step": 2})
    assert [sizes.of(run) for _ in range(3)] == [24] * 3
    assert read == [12, 24]
