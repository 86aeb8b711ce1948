"""Reporters that do something after a step."""

import signal
from collections.abc import Callable

from ricorda.training.report.progress import Silent


class DoAt(Silent):
    """Calls an action after each of some steps, and keeps the messages."""

    def __init__(self, action: Callable[[], object], *steps: int) -> None:
        self.action, self.steps = action, steps
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

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
