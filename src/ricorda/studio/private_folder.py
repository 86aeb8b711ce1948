"""What the studio keeps between two starts, in a folder that only its user can read or write.

It lies outside the folder of runs, which may be a stranger's or shared: nothing that is found in a
folder of runs starts a process. Into it the studio writes only what its user asks for: a run's name
and note, and the trash.
"""

import contextlib
import hashlib
import json
import os
import stat
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ricorda.durable import open_untrusting, write_atomically
from ricorda.errors import ConfigurationError, RunError
from ricorda.studio.settings import TrainingRequest
from ricorda.training.checkpoint.held_folder import RunLock

LARGEST_QUEUE = 4 * 1024 * 1024  # bytes

OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""The permission bits of everybody but the owner."""


def private_folder(runs: Path) -> Path:
    """Make, if it is missing, the folder for one folder of runs, and check who may use it.

    It is $XDG_STATE_HOME/ricorda/studio/DIGEST, by default under ~/.local/state. Raises
    ConfigurationError if it is a link, another user's, or open to others, or cannot be made.
    """
    digest = hashlib.sha256(os.fsencode(os.path.realpath(runs))).hexdigest()[:24]
    folder = _state_home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in ("ricorda", "studio", digest):
            folder /= part
            folder.mkdir(mode=0o700, exist_ok=True)
            _check(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(
            f"cannot use {folder}, where the studio keeps its queue and its logs: {reason}; "
            "set XDG_STATE_HOME to a folder of yours"
        ) from error
    return folder


class Waiting(BaseModel):
    """A training that waits for a core."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    """Its run's name."""

    request: TrainingRequest | None
    """What was asked for; None for a run that is to be resumed."""


class SavedQueue:
    """The trainings that wait, kept in a private folder. Of several studios the first keeps them.

    Requests are kept, never commands: a request is checked again like a new one, and its command is
    built again.
    """

    def __init__(self, folder: Path) -> None:
        """Lock the folder."""
        self._file = folder / "line.json"
        self._held = contextlib.ExitStack()
        self._is_ours = False
        with contextlib.suppress(OSError, RunError):
            self._held.enter_context(RunLock(folder))
            self._is_ours = True

    def read(self) -> list[Waiting]:
        """Waiting trainings, the next first; none if the file is damaged or not this user's."""
        if not self._is_ours:
            return []
        try:
            with open_untrusting(self._file) as file:
                if not _is_own(os.fstat(file.fileno())):
                    return []
                return TypeAdapter(list[Waiting]).validate_json(file.read(LARGEST_QUEUE))
        except (OSError, ValidationError):
            return []

    def write(self, waiting: list[Waiting]) -> None:
        """Keep those who wait; a disk that refuses loses the queue, and no training."""
        if self._is_ours:
            content = json.dumps([each.model_dump() for each in waiting]).encode()
            with contextlib.suppress(OSError, RunError):
                write_atomically(self._file, content)

    def close(self) -> None:
        """Let another studio keep it."""
        self._held.close()
        self._is_ours = False


def _state_home() -> Path:
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    if given.is_absolute():  # the XDG specification says to ignore relative paths
        return given
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise ConfigurationError(
            "cannot find your home folder: set XDG_STATE_HOME to a folder of yours"
        ) from error


def _check(folder: Path) -> None:
    """Raise ConfigurationError for what is not a folder of this user alone."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(f"expected a folder at {folder}, found something else: remove it")
    if not _is_own(status) or _is_open(status):
        raise ConfigurationError(
            f"expected a folder that only you can use at {folder}, found mode "
            f"{stat.S_IMODE(status.st_mode):o} of user {status.st_uid}: remove it, or set "
            "XDG_STATE_HOME to a folder of yours"
        )


def _is_own(status: os.stat_result) -> bool:
    """Whether this user owns it and nobody else may write to it."""
    if not hasattr(os, "geteuid"):  # Windows: a user's folder is closed to others already
        return True
    others_write = bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    return status.st_uid == os.geteuid() and not others_write


def _is_open(status: os.stat_result) -> bool:
    """Whether others may look inside."""
    return hasattr(os, "geteuid") and bool(status.st_mode & OTHERS)
