"""Handle Ctrl-C on a command line: the second one ends it immediately."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

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
