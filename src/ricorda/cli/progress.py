"""A bar for a command that computes for a while, on a terminal alone."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

NARROW = 60  # columns; fewer have no space for the words
BAR = 20  # columns


@contextlib.contextmanager
def progress_bar(words: str) -> Iterator[Callable[[float], None]]:
    """Show how much is done on standard error; the share, from 0 to 1, is handed to the function.

    Where standard error is no terminal, nothing is shown.
    """
    with _bar(words, TextColumn("{task.percentage:3.0f}%"), TimeElapsedColumn()) as update:
        yield lambda share: update(completed=share)


@contextlib.contextmanager
def code_progress(words: str) -> Iterator[Callable[[int, int, int], None]]:
    """Show the share of a file that is done, the ratio so far and the time left.

    The function receives the bytes that are done, all of them, and the bytes of their code. Where
    standard error is no terminal, nothing is shown.
    """
    share = TextColumn("{task.percentage:3.0f}%  {task.fields[ratio]}")
    with _bar(words, share, TimeRemainingColumn(), ratio="") as update:

        def show(done: int, size: int, code: int) -> None:
            ratio = f"{code / done:.1%} of its size" if done else ""
            update(completed=done / size if size else 1.0, ratio=ratio)

        yield show


@contextlib.contextmanager
def _bar(words: str, *columns: ProgressColumn, **fields: Any) -> Iterator[Callable[..., None]]:
    """Show a bar with columns after it; the function takes `completed` and fields of columns."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda **_: None
        return
    before = [TextColumn(words)] if console.width >= NARROW else []
    progress = Progress(
        *before, BarColumn(bar_width=BAR), *columns, console=console, transient=True
    )
    with progress:
        task = progress.add_task("", total=1.0, **fields)
        yield functools.partial(progress.update, task)
