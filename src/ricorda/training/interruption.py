"""The first signal ends a run cleanly; a second one takes effect immediately."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from ricorda.interrupts import CommandInterrupt

SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last two are not everywhere
    if hasattr(signal, name)
]


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        for each, handler in self._before.items():
            of_a_command = isinstance(handler, CommandInterrupt)
            signal.signal(each, signal.SIG_DFL if of_a_command else handler)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
