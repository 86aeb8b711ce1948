"""Signals that stop a command or a run: the first ends it cleanly, the second immediately."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Self

SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last two are not everywhere
    if hasattr(signal, name)
]

Handler = Callable[[int, FrameType | None], object]


class Interrupted(KeyboardInterrupt):
    """A signal asked a command to stop."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


class CommandInterrupt:
    """A handler of signals that belongs to a command line.

    While a run is being saved, a second signal ends a command line at once. In a Python program,
    which may hold more than the run, it goes to the program's own handler.
    """

    def __init__(self, handler: Handler | None = None) -> None:
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Do what the handler does; without one raise Interrupted."""
        if self._handler is None:
            raise Interrupted(number)
        self._handler(number, frame)


@contextlib.contextmanager
def as_a_command() -> Iterator[None]:
    """Let each signal to stop raise Interrupted, so that a command removes its unfinished files.

    Signals that the process ignores, or that have a handler of its own, are left alone.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, CommandInterrupt())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interruption:
    """Inside its `with`, a signal to stop is only recorded in `signal_number`.

    A second signal ends a command immediately, and goes to a Python program's own handler. The
    handlers are restored at the end. Only the main thread can receive signals; elsewhere nothing is
    changed.

    ignores_more: ignore a second signal to a command, also after the `with`. A launcher passes on
    those that it receives, and kills processes that do not end in time.
    """

    def __init__(self, *, ignores_more: bool = False) -> None:
        self.signal_number: int | None = None
        self._ignores_more = ignores_more
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # Keep SIG_IGN for nohup; a handler not set by Python (None) cannot be restored.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        ignores_more = self._ignores_more and self.signal_number is not None
        for number, handler in self._before.items():
            if not (ignores_more and isinstance(handler, CommandInterrupt)):
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        for each, handler in self._before.items():
            of_a_command = isinstance(handler, CommandInterrupt)
            then = signal.SIG_IGN if self._ignores_more else signal.SIG_DFL
            signal.signal(each, then if of_a_command else handler)
