"""Progress of a run on standard error.

A terminal shows a bar and above it the evaluations, each with a line of what the model writes; a
notebook has a display of its own (notebook.py). Anything else gets a line now and then; --quiet
leaves warnings alone.
"""

import contextlib
import io
import math
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from ricorda.pages.numbers import clock
from ricorda.text.file_names import displayed
from ricorda.text.sizes import readable_size

LINE_EVERY = 10.0  # seconds between lines where there is no terminal
PATIENCE = 0.5  # seconds of reading without a bar
_REFRESH = 0.1  # seconds between two states of the reading's bar
_NARROW = 60  # columns; fewer have no space for the reading's speed
SHORTEST_BAR = 10  # columns, beside which the long figures must have room
RIGHT_MARGIN = 3  # columns in which a terminal echoes ^C without breaking the bar's line


ReadingProgress = Callable[[int, int | None], None]
"""Receives the bytes read so far, and how many there are if that is known."""


class Reporter(Protocol):
    """Receives what happens in a run.

    Extend `Silent`, which ignores everything, and override what is of interest.
    """

    def say(self, message: str) -> None:
        """Receive a message that stays."""
        return

    def warn(self, message: str) -> None:
        """Receive a warning, which is shown even if nothing else is."""

    def reading(self) -> AbstractContextManager[ReadingProgress]:
        """Show the reading of a text for as long as the context lasts."""

    def began(self, run: Path, settings: Mapping[str, Any], step: int) -> None:
        """Receive the run's folder, its settings, and after which step training goes on.

        What was received of later steps is received again: a killed run repeats them.
        """
        return

    def stepped(
        self,
        step: int,
        total_steps: int | None,
        share: float,
        nats_per_character: float,
        characters_a_second: float,
        seconds_left: float | None,
    ) -> None:
        """Receive a step's figures; share is how much of the budget is used, from 0 to 1."""
        return

    def evaluated(self, step: int, nats_per_character: float | None, sample: str) -> None:
        """Receive an evaluation, None without a validation text, and a sample."""
        return

    def logged(self, row: Mapping[str, Any]) -> None:
        """Receive a row of metrics.jsonl. The row with the event "ended" is the last one."""
        return

    def sampled(self, step: int, text: str) -> None:
        """Receive a row of samples.jsonl."""
        return

    def weighed(self, step: int, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Receive the weights at an evaluation; they may change with the next step."""
        return

    def close(self) -> None:
        """Show no more steps: training is over. Messages with the results may follow."""
        return

    def concluding(self) -> AbstractContextManager[object]:
        """Show that the trained model is evaluated for as long as the context lasts."""

    def finished(self) -> None:
        """Receive nothing more: the run has ended, was interrupted or has failed."""
        return


class Silent(Reporter):
    """Shows nothing. Its warnings are messages to the classes that extend it."""

    def warn(self, message: str) -> None:
        """Treat a warning as a message."""
        self.say(message)

    def reading(self) -> AbstractContextManager[ReadingProgress]:
        """Drop the progress of reading."""
        return contextlib.nullcontext(lambda done, total: None)

    def concluding(self) -> AbstractContextManager[object]:
        """Show nothing."""
        return contextlib.nullcontext()


class Quiet(Silent):
    """For --quiet: shows warnings alone."""

    def __init__(self) -> None:
        self._file = unbroken_stderr()

    def warn(self, message: str) -> None:
        """Print the warning."""
        print(printable(message), file=self._file, flush=True)


class Lines(Silent):
    """For a log or a pipe: one plain line for each evaluation, and one now and then."""

    def __init__(self) -> None:
        self._file = unbroken_stderr()
        self._last = time.monotonic()

    def say(self, message: str) -> None:
        """Print the message."""
        self._print(printable(message))

    @contextlib.contextmanager
    def reading(self) -> Iterator[ReadingProgress]:
        """Print a line now and then."""
        began = last = time.monotonic()

        def show(done: int, total: int | None) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= LINE_EVERY:
                last = now
                self.say(f"reading the text: {read_so_far(done, total, now - began)}")

        yield show

    def stepped(
        self,
        step: int,
        total_steps: int | None,
        share: float,
        nats_per_character: float,
        characters_a_second: float,
        seconds_left: float | None,
    ) -> None:
        """Print a line if the last one is some time ago."""
        if time.monotonic() - self._last < LINE_EVERY:
            return
        of_all = f" of {total_steps}" if total_steps else ""
        self._print(
            f"step {step}{of_all}: training {in_bits_and_nats(nats_per_character)}, "
            f"{characters_a_second:,.0f} characters/s"
        )

    def evaluated(self, step: int, nats_per_character: float | None, sample: str) -> None:
        """Print the figure."""
        if nats_per_character is not None:
            self._print(f"step {step}: validation {in_bits_and_nats(nats_per_character)}")

    def _print(self, message: str) -> None:
        self._last = time.monotonic()
        print(message, file=self._file, flush=True)


class Bar(Silent):
    """For a terminal: a bar that moves, and above it what the model writes as it improves."""

    def __init__(self) -> None:
        self._console = Console(file=unbroken_stderr(), markup=False, highlight=False)
        self._progress = _WithMargin(
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.percentage:3.0f}%"),
            _Figures(self._console),
            console=self._console,
        )
        self._task = self._progress.add_task("", total=1.0, figures=("",))
        self._evaluations = 0

    def say(self, message: str) -> None:
        """Print the message above the bar."""
        for line in in_lines(printable(message), self._console.width):
            self._console.print(line, overflow="ignore", crop=False)

    @contextlib.contextmanager
    def reading(self) -> Iterator[ReadingProgress]:
        """Show a bar, unless the reading is short."""
        began = last = time.monotonic()
        progress = Progress(
            TextColumn("reading the text"),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True)),
            console=self._console,
            transient=True,
            auto_refresh=False,
            expand=True,
        )
        task = progress.add_task("", total=None, figures="")

        def show(done: int, total: int | None) -> None:
            nonlocal last
            now = time.monotonic()
            if now - began < PATIENCE or now - last < _REFRESH:
                return
            last = now
            progress.start()
            figures = read_so_far(done, total, now - began)
            if self._console.width < _NARROW:
                figures = figures.rpartition(", ")[0]
            progress.update(task, completed=done, total=total, figures=figures, refresh=True)

        try:
            yield show
        finally:
            if progress.live.is_started:
                progress.stop()

    def stepped(
        self,
        step: int,
        total_steps: int | None,
        share: float,
        nats_per_character: float,
        characters_a_second: float,
        seconds_left: float | None,
    ) -> None:
        """Move the bar."""
        if not self._progress.live.is_started:
            self._progress.start()
        left = "" if seconds_left is None else f", {clock(seconds_left)} left"
        self._progress.update(
            self._task,
            completed=min(share, 1.0),
            figures=_forms(nats_per_character, f"{characters_a_second:,.0f} characters/s", left),
        )

    def evaluated(self, step: int, nats_per_character: float | None, sample: str) -> None:
        """Show the figure and one line of the sample above the bar."""
        figure = "" if nats_per_character is None else f"{_bits(nats_per_character):.3f} bits  "
        if self._evaluations == 0:
            heading = "validation  sample" if figure else "sample"
            self._console.print(shortened(heading, self._console.width), style="bold")
        self._evaluations += 1
        shown = displayed(" ".join(sample.split()))
        line = Text(shortened(f"{figure}{shown}", self._console.width))
        line.stylize("dim", len(figure))
        self._console.print(line, no_wrap=True, overflow="ellipsis")

    def close(self) -> None:
        """Remove the bar."""
        if self._progress.live.is_started:
            self._progress.stop()

    @contextlib.contextmanager
    def concluding(self) -> Iterator[None]:
        """Show a line with the seconds that it takes; of a large model these may be many."""
        columns = (SpinnerColumn("line"), TextColumn("evaluating the model"), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            progress.add_task("")
            yield


class _WithMargin(Progress):
    """A bar that leaves a terminal's last columns free and goes when it is stopped."""

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self._terminal = console
        super().__init__(*columns, console=console, transient=True)

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        """Make rich's table, a little narrower than the terminal."""
        table = super().make_tasks_table(tasks)
        table.width = max(1, self._terminal.width - RIGHT_MARGIN)
        return table


class _Figures(ProgressColumn):
    """The step's figures, a shorter form on a narrow terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> Text:
        """The longest form that leaves room for the bar; the shortest where none does."""
        room = self._console.width - RIGHT_MARGIN - SHORTEST_BAR - len(" 100% ")
        forms: tuple[str, ...] = task.fields["figures"]
        fitting = next((form for form in forms if len(form) <= room), forms[-1])
        return Text(fitting, no_wrap=True, overflow="ellipsis")


def _forms(nats_per_character: float, speed: str, left: str) -> tuple[str, ...]:
    """Write a step's figures, from the longest form to the shortest."""
    bits = f"{_bits(nats_per_character):.2f} bits"
    return (
        f"{bits} per character ({nats_per_character:.3f} nats), {speed}{left}",
        f"{bits} per character, {speed}{left}",
        f"{bits} per character{left}",
        f"{bits}{left}",
        bits,
    )


def in_lines(message: str, width: int) -> list[str]:
    """Break a message between words; a longer word, such as a path, stays whole for copying."""
    return [
        part
        for line in message.split("\n")
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
        or [""]
    ]


def shortened(text: str, width: int) -> str:
    """Cut a line that is wider than a terminal after a word, and mark the cut with an ellipsis."""
    if cell_len(text) <= width:
        return text
    cut = set_cell_size(text, max(1, width - 1))
    whole, space, _ = cut.rpartition(" ")
    if text[len(cut) : len(cut) + 1] == " " or not space:
        whole = cut
    return f"{whole.rstrip()}…"


class Unbroken(io.TextIOBase):
    """Standard error for a run that outlives its reader, be it a pipe or a terminal.

    What cannot be written is dropped, and all that comes after it.
    """

    def __init__(self) -> None:
        self._stream = sys.stderr  # as it is now: rich puts another one in its place

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of standard error."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether a terminal shows it."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Write what can be written."""
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        with self._dropping():
            self._stream.flush()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        """Ignore a reader that has gone, now and at the process's end."""
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError):  # a stream of the caller's own has no number
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def printable(message: str) -> str:
    """Return a message with its control characters escaped, whatever file names are in it."""
    return "\n".join(map(displayed, message.split("\n")))


def unbroken_stderr() -> IO[str]:
    """Standard error, typed as what it stands for."""
    return cast(IO[str], Unbroken())


def reporter_for(*, quiet: bool) -> Reporter:
    """The reporter that suits where standard error goes, or the notebook whose kernel this is."""
    if sys.stderr is None:
        return Silent()
    if quiet:
        return Quiet()
    from ricorda.training.report import notebook  # which extends what is here

    if notebook.in_notebook():
        return notebook.Notebook(notebook.new_display())
    return Bar() if Console(file=unbroken_stderr()).is_terminal else Lines()


def read_so_far(done: int, total: int | None, seconds: float) -> str:
    """What is read, of how much, and how fast: "120 MB of 1.2 GB, 80 MB/s"."""
    of_all = "" if total is None else f" of {readable_size(total)}"
    return f"{readable_size(done)}{of_all}, {readable_size(done / max(seconds, 1e-3))}/s"


def in_bits_and_nats(nats_per_character: float) -> str:
    """Both units: "2.22 bits per character (1.540 nats)"."""
    return f"{_bits(nats_per_character):.2f} bits per character ({nats_per_character:.3f} nats)"


def _bits(nats: float) -> float:
    return nats / math.log(2)
