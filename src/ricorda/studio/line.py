"""The queue of trainings that wait for a core, kept between two starts of the studio.

Requests are kept, never commands: a request is checked again as when it came, and its command is
made again.
"""

import contextlib
import json
import os

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ricorda.durable import open_untrusting, write_atomically
from ricorda.errors import RunError
from ricorda.studio.private_folder import is_own_file
from ricorda.studio.settings import TrainingRequest
from ricorda.studio.workspace import Workspace
from ricorda.training.checkpoint.held_folder import RunLock

LARGEST = 4 * 1024 * 1024  # bytes


class Waiting(BaseModel):
    """One training that waits."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    """Its run's name."""

    request: TrainingRequest | None
    """What was asked for; None for a run that is to be resumed."""


class Line:
    """The file of the queue. Of several studios for one folder, the first one keeps it."""

    def __init__(self, workspace: Workspace) -> None:
        """Make nothing yet."""
        self._workspace = workspace
        self._held = contextlib.ExitStack()
        self._is_ours: bool | None = None

    def read(self) -> list[Waiting]:
        """Waiting trainings, the next first; none if the file is damaged or not this user's."""
        if not self._hold():
            return []
        try:
            with open_untrusting(self._workspace.line) as file:
                if not is_own_file(os.fstat(file.fileno())):
                    return []
                return TypeAdapter(list[Waiting]).validate_json(file.read(LARGEST))
        except (OSError, ValidationError):
            return []

    def write(self, waiting: list[Waiting]) -> None:
        """Keep those who wait; a disk that refuses loses the line, and no training."""
        if not self._hold():
            return
        content = json.dumps([each.model_dump() for each in waiting]).encode()
        with contextlib.suppress(OSError, RunError):
            write_atomically(self._workspace.line, content)

    def close(self) -> None:
        """Let another studio keep it."""
        self._held.close()
        self._is_ours = False

    def _hold(self) -> bool:
        """Whether this studio keeps the line, which is settled once."""
        if self._is_ours is None:
            try:
                self._held.enter_context(RunLock(self._workspace.private))
                self._is_ours = True
            except (OSError, RunError):
                self._is_ours = False
        return self._is_ours
