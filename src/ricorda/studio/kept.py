"""Results that take long and are kept: made once for each key, under a lock of its own."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

PATIENCE = 0.1  # seconds between two looks at whether waiting still has a purpose

Found = TypeVar("Found")

NEVER = threading.Event()
"""An event that is never set, so it cancels nothing."""


class Cancelled(Exception):
    """Nobody waits for the result any more."""


class Kept(Generic[Found]):
    """The results used last, by key; from any thread.

    Work for one key never waits for work for another.
    """

    def __init__(self, most: int) -> None:
        """Keep at most `most` results."""
        self._most = most
        self._found: OrderedDict[Hashable, Found] = OrderedDict()
        self._gates: weakref.WeakValueDictionary[Hashable, _Gate] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Found], cancelled: threading.Event) -> Found:
        """Return the result for a key, made if it is not kept. Raises Cancelled, and as `make`."""
        with self._lock:
            if key in self._found:
                return self._used(key)
            gate = self._gates.setdefault(key, _Gate())
        gate.enter(cancelled)
        try:
            with self._lock:
                if key in self._found:  # another thread made it meanwhile
                    return self._used(key)
            found = make()
            with self._lock:
                self._found[key] = found
                while len(self._found) > self._most:
                    self._found.popitem(last=False)
            return found
        finally:
            gate.leave()

    def _used(self, key: Hashable) -> Found:
        self._found.move_to_end(key)
        return self._found[key]


class _Gate:
    """Lets one thread at a time work for a key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def enter(self, cancelled: threading.Event) -> None:
        """Wait for the others. Raises Cancelled."""
        while not self._lock.acquire(timeout=PATIENCE):
            if cancelled.is_set():
                raise Cancelled

    def leave(self) -> None:
        """Let the next one in."""
        self._lock.release()
