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


class CommandInterrupt:
    """A handler of SIGINT that belongs to a command line.

    While a run is being saved, a second signal ends a command line at once. In a Python program,
    which may hold more than the run, it goes to the program's own handler.
    """

    def __init__(self, handler: Handler = signal.default_int_handler) -> None:
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Do what the handler does: raise KeyboardInterrupt."""
        self._handler(number, frame)


@contextlib.contextmanager
def as_a_command() -> Iterator[None]:
    """Handle SIGINT as a command, unless the process ignores it or has its own handler."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, CommandInterrupt())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Interruption:
    """Inside its `with`, a signal to stop is only recorded in `signal_number`.

    A second signal ends a command immediately, and goes to a Python program's own handler. The
    handlers are restored at the end. Only the main thread can receive signals; elsewhere nothing is
    changed.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # Keep SIG_IGN for nohup; a handler not set by Python (None) cannot be restored.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        for each, handler in self._before.items():
            of_a_command = isinstance(handler, CommandInterrupt)
            signal.signal(each, signal.SIG_DFL if of_a_command else handler)
