"""What a person sees while a text is read and encoded: how much of it, and how fast."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from ricorda.text.sizes import readable_size
from ricorda.training.report.progress import Bar, Lines, Reporter, unbroken_stderr

ReadingProgress = Callable[[int, int | None], None]
"""Is told the bytes read so far, and of how many where that is known."""

PATIENCE = 0.5  # seconds of reading without a bar
LINE_EVERY = 10.0  # seconds between lines where there is no terminal
_REFRESH = 0.1  # seconds
_NARROW = 60  # columns; fewer do not hold the bar and the speed too


@runtime_checkable
class ShowsReading(Protocol):
    """A reporter that shows the reading of a text in its own way."""

    def reading(self) -> AbstractContextManager[ReadingProgress]:
        """Show it for as long as the context lasts."""


def showing(report: Reporter) -> AbstractContextManager[ReadingProgress]:
    """Show the reading of a text as a reporter shows training: as a bar, lines, or not at all."""
    if isinstance(report, ShowsReading):
        return report.reading()
    if isinstance(report, Bar):
        return _bar()
    if isinstance(report, Lines):
        return _lines(report)
    return contextlib.nullcontext(lambda done, total: None)


@contextlib.contextmanager
def _lines(report: Reporter) -> Iterator[ReadingProgress]:
    began = last = time.monotonic()

    def tell(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_EVERY:
            last = now
            report.say(f"reading the text: {figures(done, total, now - began)}")

    yield tell


@contextlib.contextmanager
def _bar() -> Iterator[ReadingProgress]:
    began = last = time.monotonic()
    console = Console(file=unbroken_stderr(), markup=False, highlight=False)
    progress = Progress(
        TextColumn("reading the text"),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True)),
        console=console,
        transient=True,
        auto_refresh=False,
        expand=True,
    )
    task = progress.add_task("", total=None, figures="")

    def tell(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - began < PATIENCE or now - last < _REFRESH:
            return
        last = now
        progress.start()
        shown = figures(done, total, now - began)
        if console.width < _NARROW:
            shown = shown.rpartition(", ")[0]
        progress.update(task, completed=done, total=total, figures=shown, refresh=True)

    try:
        yield tell
    finally:
        if progress.live.is_started:
            progress.stop()


def figures(done: int, total: int | None, seconds: float) -> str:
    """What is read, of how much, and how fast: "120 MB of 1.2 GB, 80 MB/s"."""
    of_all = "" if total is None else f" of {readable_size(total)}"
    return f"{readable_size(done)}{of_all}, {readable_size(done / max(seconds, 1e-3))}/s"
