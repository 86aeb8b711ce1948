"""Reporters that keep messages or do something after a step."""

import signal
from collections.abc import Callable

from ricorda.training.report.progress import Silent


class Recorder(Silent):
    """Keeps the lines of all messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines += message.splitlines()


class DoAt(Recorder):
    """Calls an action after each of some steps."""

    def __init__(self, action: Callable[[], object], *steps: int) -> None:
        super().__init__()
        self.action, self.steps = action, steps

    def stepped(
        self,
        step: int,
        total_steps: int | None,
        share: float,
        nats_per_character: float,
        characters_a_second: float,
        seconds_left: float | None,
    ) -> None:
        if step in self.steps:
            self.action()


class InterruptAt(DoAt):
    """Sends a signal to its own process, so many times, after each of some steps."""

    def __init__(self, *steps: int, number: int = signal.SIGINT, times: int = 1) -> None:
        def interrupt() -> None:
            for _ in range(times):
                signal.raise_signal(number)

        super().__init__(interrupt, *steps)
