"""A bar for a command that computes for a while, on a terminal alone."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
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
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda share: None
        return
    columns = [TextColumn(words)] if console.width >= NARROW else []
    progress = Progress(
        *columns,
        BarColumn(bar_width=BAR),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with progress:
        task = progress.add_task("", total=1.0)
        yield lambda share: progress.update(task, completed=share)


@contextlib.contextmanager
def code_progress(words: str) -> Iterator[Callable[[int, int, int], None]]:
    """Show the share of a file that is done, the ratio so far and the time left.

    The function receives the bytes that are done, all of them, and the bytes of their code. Where
    standard error is no terminal, nothing is shown.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, size, code: None
        return
    progress = Progress(
        *([TextColumn(words)] if console.width >= NARROW else []),
        BarColumn(bar_width=BAR),
        TextColumn("{task.percentage:3.0f}%  {task.fields[ratio]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with progress:
        task = progress.add_task("", total=1.0, ratio="")

        def update(done: int, size: int, code: int) -> None:
            ratio = f"{code / done:.1%} of its size" if done else ""
            progress.update(task, completed=done / size if size else 1.0, ratio=ratio)

        yield update
