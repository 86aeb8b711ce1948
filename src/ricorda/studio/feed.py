"""A run's rows as they grow, as server-sent events that go on where a lost connection ended.

An event's id says how far it came: the bytes read of metrics.jsonl and of samples.jsonl, and which
files those were. A browser that connects again hands the last id back. Where a file is another one
now, as after a resume from an earlier checkpoint, everything is told from the beginning.
"""

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ricorda.durable import open_untrusting
from ricorda.runs import RunFolder, parse_row

LOOK_SECONDS = 0.5
QUIET_SECONDS = 15.0  # after which a comment tells that the connection lives
MOST_AT_ONCE = 1 << 22  # bytes of rows in one event


@dataclass(frozen=True)
class Place:
    """How far a reader has come."""

    metrics: int = 0
    samples: int = 0
    files: tuple[int, int] = (0, 0)
    """The inode numbers of both, 0 where there is none yet."""

    @classmethod
    def parse(cls, text: str | None) -> "Place":
        """Read an event's id; what is none is the beginning."""
        parts = (text or "").split("-")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
            return cls()
        metrics, samples, first, second = (int(part[:18]) for part in parts)
        return cls(metrics, samples, (first, second))

    def __str__(self) -> str:
        return f"{self.metrics}-{self.samples}-{self.files[0]}-{self.files[1]}"


@dataclass(frozen=True)
class News:
    """What came after a place."""

    place: Place
    metrics: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    from_the_beginning: bool


def read_news(run: RunFolder, place: Place) -> News | None:
    """Read the whole rows that came after a place; None if there are none."""
    files, sizes = _look(run)
    again = any(
        before and (before != now or read > size)
        for before, now, read, size in zip(
            place.files, files, (place.metrics, place.samples), sizes, strict=True
        )
    )
    if again:
        place = Place()
    metrics, metrics_read = _rows(run.metrics, place.metrics)
    samples, samples_read = _rows(run.samples, place.samples)
    first = place == Place()
    if not metrics_read and not samples_read and not again:
        return None
    return News(
        Place(place.metrics + metrics_read, place.samples + samples_read, files),
        metrics,
        samples,
        from_the_beginning=first,
    )


async def events(
    run: RunFolder,
    last_id: str | None,
    status: Callable[[], dict[str, Any]],
    closing: threading.Event,
) -> AsyncIterator[bytes]:
    """Yield server-sent events until closing: `rows` as they come, `status` when it changes."""
    place, told, quiet = Place.parse(last_id), None, 0.0
    yield b"retry: 1000\n\n"
    while not closing.is_set():
        news = await asyncio.to_thread(read_news, run, place)
        if news is not None:
            place = news.place
            yield _event(
                "rows",
                {
                    "metrics": news.metrics,
                    "samples": news.samples,
                    "from_the_beginning": news.from_the_beginning,
                },
                str(place),
            )
        now = await asyncio.to_thread(status)
        if now != told:
            yield _event("status", now, None)
            told = now
        elif news is None:
            quiet += LOOK_SECONDS
            if quiet >= QUIET_SECONDS:
                quiet = 0.0
                yield b": here\n\n"
        await asyncio.sleep(LOOK_SECONDS)


def _event(name: str, data: dict[str, Any], id: str | None) -> bytes:
    line = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    number = f"id: {id}\n" if id is not None else ""
    return f"{number}event: {name}\ndata: {line}\n\n".encode()


def _look(run: RunFolder) -> tuple[tuple[int, int], tuple[int, int]]:
    """Both files' inode numbers and sizes; 0 for one that is not there."""
    found = []
    for path in (run.metrics, run.samples):
        try:
            status = path.stat()
            found.append((status.st_ino, status.st_size))
        except OSError:
            found.append((0, 0))
    return (found[0][0], found[1][0]), (found[0][1], found[1][1])


def _rows(path: Path, begin: int) -> tuple[list[dict[str, Any]], int]:
    """The whole rows from a byte on, and how many bytes they are; a damaged row is left out."""
    try:
        with open_untrusting(path) as file:
            file.seek(begin, os.SEEK_SET)
            content = file.read(MOST_AT_ONCE)
    except OSError:
        return [], 0
    whole = content.rfind(b"\n") + 1
    rows = []
    for line in content[:whole].splitlines():
        with contextlib.suppress(ValueError):
            rows.append(parse_row(line))
    return rows, whole
