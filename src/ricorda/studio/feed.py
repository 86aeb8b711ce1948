"""New rows of a run: those after the place up to which a page has read.

A place counts the bytes read of metrics.jsonl and of samples.jsonl, and says which files those
were. If a file has been replaced, as after a resume from an earlier checkpoint, everything is sent
from the beginning. A page polls rather than holding a connection: a browser has six for all its
tabs.
"""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ricorda.durable import open_untrusting
from ricorda.runs import RunFolder, parse_row

MOST_AT_ONCE = 1 << 22  # bytes of rows in one answer, and of the longest row that is read
_NUMBER = re.compile("[0-9]{1,39}")  # an inode's has up to 128 bits


@dataclass(frozen=True)
class FeedPosition:
    """How far a reader has come."""

    metrics: int = 0
    samples: int = 0
    files: tuple[int, int] = (0, 0)
    """The inode numbers of both, 0 where there is none yet."""

    @classmethod
    def parse(cls, text: str | None) -> "FeedPosition":
        """Parse the output of `str`; anything else is the beginning."""
        parts = (text or "").split("-")
        if len(parts) != 4 or not all(_NUMBER.fullmatch(part) for part in parts):
            return cls()
        metrics, samples, first, second = map(int, parts)
        return cls(metrics, samples, (first, second))

    def __str__(self) -> str:
        return f"{self.metrics}-{self.samples}-{self.files[0]}-{self.files[1]}"


@dataclass(frozen=True)
class News:
    """What came after a position."""

    position: FeedPosition
    metrics: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    from_the_beginning: bool
    """Whether the files were replaced: what was read of them no longer holds."""

    more: bool
    """Whether there is more than was read at once."""


def read_news(run: RunFolder, position: FeedPosition) -> News:
    """Read the complete rows after a position, at most MOST_AT_ONCE bytes of them."""
    files, sizes = _look(run)
    again = any(
        before and (before != now or read > size)
        for before, now, read, size in zip(
            position.files, files, (position.metrics, position.samples), sizes, strict=True
        )
    )
    if again:
        position = FeedPosition()
    metrics = _read(run.metrics, position.metrics)
    samples = _read(run.samples, position.samples)
    return News(
        FeedPosition(position.metrics + metrics.bytes, position.samples + samples.bytes, files),
        metrics.rows,
        samples.rows,
        from_the_beginning=position == FeedPosition(),
        more=metrics.more or samples.more,
    )


def curve(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A run's validation loss as [seconds, nats, step], and where it branched from another run."""
    points, branch = [], None
    for row in rows:
        if row.get("event") == "evaluation":
            points.append([row.get("seconds"), row.get("nats_per_character"), row["step"]])
        elif row.get("event") == "branched":
            branch = {"run": str(row.get("run")), "step": row["step"]}
    return {"points": [point for point in points if None not in point], "branch": branch}


def _look(run: RunFolder) -> tuple[tuple[int, int], tuple[int, int]]:
    """Both files' inode numbers and sizes; 0 for one that is not there."""
    found = []
    for path in (run.metrics, run.samples):
        try:
            status = path.lstat()
            found.append((status.st_ino, status.st_size))
        except OSError:
            found.append((0, 0))
    return (found[0][0], found[1][0]), (found[0][1], found[1][1])


@dataclass(frozen=True)
class _Rows:
    """The complete rows of one stretch of a file."""

    rows: list[dict[str, Any]]
    bytes: int
    """How far the stretch reaches."""

    more: bool


def _read(path: Path, begin: int) -> _Rows:
    """The whole rows from a byte on; those damaged or longer than MOST_AT_ONCE are left out.

    A longer row is skipped one stretch at a time: a stretch that begins within a row, which the
    byte before it shows, skips the rest of that row.
    """
    try:
        with open_untrusting(path) as file:
            file.seek(max(0, begin - 1))
            within = begin > 0 and file.read(1) != b"\n"
            content = file.read(MOST_AT_ONCE)
    except OSError:
        return _Rows([], 0, more=False)
    is_full = len(content) == MOST_AT_ONCE
    whole = content.rfind(b"\n") + 1
    first = content.find(b"\n") + 1 if within else 0
    if not whole and (is_full or within):
        whole = len(content)  # nothing but a part of a row that is too long
        first = whole
    rows = []
    for line in content[first:whole].split(b"\n"):
        with contextlib.suppress(ValueError):
            rows.append(parse_row(line))
    return _Rows(rows, whole, more=is_full)
