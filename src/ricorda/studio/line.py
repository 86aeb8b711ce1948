"""The line of trainings that wait for a core, kept from one sitting to the next."""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ricorda.durable import write_atomically
from ricorda.errors import RunError
from ricorda.runs import RunFolder
from ricorda.studio.workspace import HIDDEN, Workspace
from ricorda.training.lock import RunLock

LARGEST = 4 * 1024 * 1024  # bytes
BEGINNINGS = ("train", "resume")


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Waiting:
    """One training that waits: its run's name, what follows `ricorda`, its threads."""

    name: str
    arguments: list[str]
    threads: int


class Line:
    """The file of those who wait. Of several studios in a folder, the first one keeps it."""

    def __init__(self, workspace: Workspace) -> None:
        """Make nothing yet."""
        self._workspace = workspace
        self._held = contextlib.ExitStack()
        self._is_ours: bool | None = None

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._workspace.runs / HIDDEN / "line.json"

    def read(self) -> list[Waiting]:
        """Those who wait, the next one first; none if the file is damaged or another studio's."""
        if not self.path.is_file() or not self._hold():
            return []
        try:
            with self.path.open("rb") as file:
                kept = TypeAdapter(list[Waiting]).validate_json(file.read(LARGEST))
        except (OSError, ValidationError):
            return []
        return [each for each in kept if self._may_begin(each)]

    def write(self, waiting: list[Waiting]) -> None:
        """Keep those who wait; a disk that refuses loses the line, and no training."""
        if not self._hold():
            return
        with contextlib.suppress(OSError):
            write_atomically(self.path, json.dumps([asdict(each) for each in waiting]).encode())

    def close(self) -> None:
        """Let another studio keep it."""
        self._held.close()
        self._is_ours = False

    def _hold(self) -> bool:
        """Whether this studio keeps the line, which is settled once."""
        if self._is_ours is None:
            try:
                self._held.enter_context(RunLock(self._workspace.hidden))
                self._is_ours = True
            except (OSError, RunError):
                self._is_ours = False
        return self._is_ours

    def _may_begin(self, waiting: Waiting) -> bool:
        """Whether what is written can still be done: its run is new, or there to be resumed."""
        name, arguments = waiting.name, waiting.arguments
        if Path(name).name != name or not arguments or arguments[0] not in BEGINNINGS:
            return False
        is_there = RunFolder(self._workspace.runs / name).is_run
        return is_there == (arguments[0] == "resume")
