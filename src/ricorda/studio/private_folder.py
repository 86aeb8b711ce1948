"""What the studio keeps between two starts, in a folder that only its user can read or write.

It lies outside the folder of runs, which may be a stranger's or shared: nothing that is found in a
folder of runs starts a process, and the studio writes nothing into it.
"""

import hashlib
import os
import stat
from pathlib import Path

from ricorda.errors import ConfigurationError

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


def is_own_file(status: os.stat_result) -> bool:
    """Say whether a file is a regular one that only this user can have written."""
    return stat.S_ISREG(status.st_mode) and _is_own(status)


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
