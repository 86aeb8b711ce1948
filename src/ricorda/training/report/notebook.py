"""Progress of a run in a notebook: one display, which changes while the run trains.

With ipywidgets the display is a widget until the training ends; then, and without ipywidgets
always, it is an output of IPython, which a saved notebook keeps.
"""

import contextlib
import importlib.util
import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from ricorda.pages import (
    Axis,
    Chart,
    Series,
    drawing,
    escape,
    figures,
    fixed,
    fragment,
    head,
)
from ricorda.pages.numbers import clock
from ricorda.text.file_names import displayed
from ricorda.training.report.charts import FIRST_SHARE
from ricorda.training.report.progress import (
    ReadingProgress,
    Silent,
    printable,
    read_so_far,
)

EVERY = 0.3
"""Seconds between two states of the display, at least."""

MOST_POINTS = 300
"""Points of the training curve that are kept."""

CHART = 150  # pixels
SAMPLE = 160  # characters of a sample that are shown

Point = tuple[float, float]


class Display(Protocol):
    """A place in a notebook's output."""

    def show(self, card: str, words: str) -> None:
        """Put a card there, or the words where no HTML is shown."""

    def keep(self) -> None:
        """Make what comes now a part of the notebook."""


class Output:
    """An output of IPython that is replaced as a whole."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, card: str, words: str) -> None:
        """Show the first state, or replace the last one."""
        content = {"text/html": card, "text/plain": words}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(  # type: ignore[no-untyped-call, unused-ignore]
                content, raw=True, display_id=True
            )
        else:
            self._handle.update(content, raw=True)

    def keep(self) -> None:
        """Do nothing: it is kept as it is."""


class Widget(Output):
    """A widget of ipywidgets, and after `keep` an output."""

    def __init__(self) -> None:
        super().__init__()
        self._widget: Any = None
        self._is_kept = False

    def show(self, card: str, words: str) -> None:
        """Show the first state, or change it."""
        if self._is_kept:
            super().show(card, words)
        elif self._widget is None:
            import ipywidgets
            from IPython.display import display

            self._widget = ipywidgets.HTML(card)
            self._handle = display(  # type: ignore[no-untyped-call, unused-ignore]
                self._widget, display_id=True
            )
        else:
            self._widget.value = card

    def keep(self) -> None:
        """Put an output in the widget's place from the next state on."""
        self._is_kept = True
        if self._widget is not None:
            self._widget.close()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook: of Jupyter, Colab, VS Code and others."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def new_display() -> Display:
    """Return a widget where ipywidgets is installed, else an output."""
    return Output() if importlib.util.find_spec("ipywidgets") is None else Widget()


class Notebook(Silent):
    """Shows the run in a display: a bar, the figures, the loss curve, the last sample."""

    speaks_python = True
    """Whether advice names functions rather than commands."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._shown_at = -math.inf
        self._doing = ""
        self._setup: list[str] = []
        self._results: list[str] = []
        self._warnings: list[str] = []
        self._curve = _Curve()
        self._steps: tuple[int, int | None] = (0, None)
        self._share = 0.0
        self._speed = ""
        self._left = ""
        self._sample = ""
        self._is_closed = False

    def say(self, message: str) -> None:
        """Show the message: before the training among the settings, after it among the results."""
        (self._results if self._is_closed else self._setup).append(printable(message))
        self._show()

    def warn(self, message: str) -> None:
        """Show the warning."""
        self._warnings.append(printable(message))
        self._show()

    @contextlib.contextmanager
    def reading(self) -> Iterator[ReadingProgress]:
        """Show how much of the text is read."""
        began = time.monotonic()

        def show(done: int, total: int | None) -> None:
            self._doing = f"reading the text: {read_so_far(done, total, time.monotonic() - began)}"
            self._share = done / total if total else 0.0
            self._show_now_and_then()

        try:
            yield show
        finally:
            self._doing, self._share = "", 0.0

    def stepped(
        self,
        step: int,
        total_steps: int | None,
        share: float,
        nats_per_character: float,
        characters_a_second: float,
        seconds_left: float | None,
    ) -> None:
        """Move the bar and the curve."""
        self._steps, self._share = (step, total_steps), min(share, 1.0)
        self._speed = f"{characters_a_second:,.0f} characters/s"
        self._left = "" if seconds_left is None else f"{clock(seconds_left)} left"
        self._curve.add_step(step, nats_per_character / math.log(2))
        self._show_now_and_then()

    def evaluated(self, step: int, nats_per_character: float | None, sample: str) -> None:
        """Show the validation figure and the beginning of the sample."""
        if nats_per_character is not None:
            self._curve.add_evaluation(step, nats_per_character / math.log(2))
        self._sample = displayed(" ".join(sample.split()))[:SAMPLE]
        self._show()

    def close(self) -> None:
        """Show the last state, without what only moves."""
        self._is_closed = True
        self._speed = self._left = ""
        self._display.keep()
        self._show()

    @contextlib.contextmanager
    def concluding(self) -> Iterator[None]:
        """Say it where the figures of the steps stood."""
        self._doing = "evaluating the model"
        self._show()
        try:
            yield
        finally:
            self._doing = ""

    def _show_now_and_then(self) -> None:
        if time.monotonic() - self._shown_at >= EVERY:
            self._show()

    def _show(self) -> None:
        self._display.show(self._card(), self._words())
        self._shown_at = time.monotonic()

    def _words(self) -> str:
        """What is shown where no HTML is."""
        lines = [f"{self._facts()}{self._curve.words()}", *self._warnings, *self._results]
        return "\n".join(filter(None, lines))

    def _facts(self) -> str:
        """Where the run is, in a line."""
        if self._doing:
            return self._doing
        step, total = self._steps
        if not step:
            return ""
        of_all = "" if total is None else f" of {total:,}"
        return ", ".join(filter(None, [f"step {step:,}{of_all}", self._speed, self._left]))

    def _card(self) -> str:
        bar = (
            ""
            if self._is_closed
            else f'<div class="track"><div style="width: {100 * self._share:.1f}%"></div></div>'
        )
        sample = f'<div class="sample" dir="auto">{escape(self._sample)}</div>'
        return fragment(
            head("Training", escape(self._facts()))
            + bar
            + self._curve.tiles()
            + self._curve.drawn()
            + (sample if self._sample else "")
            + _lines("warned", self._warnings)
            + _lines("lines", self._results)
            + self._settings()
        )

    def _settings(self) -> str:
        if not self._setup:
            return ""
        lines = "<br>".join(escape(line) for each in self._setup for line in each.split("\n"))
        return f'<details class="setup"><summary>Settings</summary><div>{lines}</div></details>'


class _Curve:
    """The losses in bits per character, by step."""

    def __init__(self) -> None:
        self._training: list[Point] = []
        self._validation: list[Point] = []
        self._every = 1
        self._last: Point | None = None

    def add_step(self, step: int, bits: float) -> None:
        """Add a training loss; of many, every second one is forgotten now and then."""
        self._last = (step, bits)
        if step % self._every == 0:
            self._training.append(self._last)
        if len(self._training) > MOST_POINTS:
            self._training, self._every = self._training[1::2], 2 * self._every

    def add_evaluation(self, step: int, bits: float) -> None:
        """Add a validation loss."""
        self._validation.append((step, bits))

    def words(self) -> str:
        """The last losses in a line."""
        return "".join(f"; {name}: {bits}" for name, bits in self._figures())

    def _figures(self) -> list[tuple[str, str]]:
        figures = [] if self._last is None else [("bits, training", fixed(self._last[1], 3))]
        if self._validation:
            best = min(bits for _, bits in self._validation)
            figures += [
                ("bits, validation", fixed(self._validation[-1][1], 3)),
                ("bits, best validation", fixed(best, 3)),
            ]
        return figures

    def tiles(self) -> str:
        """The last losses as large figures."""
        return figures(self._figures()) if self._last else ""

    def drawn(self) -> str:
        """The curves; what the first steps lose would flatten the rest and is cut off."""
        last = self._last
        if last is None or len(self._training) < 2:
            return ""
        training = [*self._training, last]
        later = [y for x, y in training + self._validation if x >= FIRST_SHARE * last[0]]
        series = [Series("training", training)]
        if self._validation:
            series.append(Series("validation", self._validation, kind="dotted"))
        return drawing(
            Chart(
                unit="bits per character",
                series=series,
                axes=[Axis("steps", "count")],
                readings=[],
                top=max(filter(math.isfinite, later), default=None),
            ),
            CHART,
        )


def _lines(name: str, messages: Sequence[str]) -> str:
    """Messages below each other, if there are any."""
    rows = "".join(f"<div>{escape(message)}</div>" for message in messages)
    return f'<div class="{name}">{rows}</div>' if rows else ""
