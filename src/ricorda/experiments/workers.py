"""Further processes of a search, started and ended by the command; each is `worker.py`."""

import os
import subprocess
import sys
from types import TracebackType
from typing import Self

from ricorda.experiments.folder import ExperimentFolder

SECONDS_TO_SAVE = 60.0  # of a process that was asked to end


class Workers:
    """Processes that train trials of the same folder for as long as the context lasts.

    Left by an exception, the processes are asked to save what they train and to end; otherwise they
    have ended by themselves, when no trial was left to take.
    """

    def __init__(
        self, folder: ExperimentFolder, count: int, *, threads: int, cache: str | None
    ) -> None:
        self._folder, self._count, self._threads, self._cache = folder, count, threads, cache
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        program = [sys.executable, "-m", "ricorda.experiments.worker", str(self._folder.path)]
        options = [str(self._threads), *([] if self._cache is None else [self._cache])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        for _ in range(self._count):
            process = subprocess.Popen(
                [*program, *options], env=environment, stdin=subprocess.DEVNULL
            )
            self._processes.append(process)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.end()
        for process in self._processes:
            process.wait()

    def end(self) -> None:
        """Ask the processes to save and to end, and wait for them; one that does not is killed."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(SECONDS_TO_SAVE)
            except subprocess.TimeoutExpired:
                process.kill()
