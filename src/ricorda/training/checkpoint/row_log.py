"""metrics.jsonl and samples.jsonl: rows that are kept in memory too, so that no disk loses them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ricorda.durable import append, flush, open_untrusting, write_atomically
from ricorda.errors import RunError
from ricorda.runs import json_line
from ricorda.training.checkpoint.held_folder import HeldFolder


class RowLog:
    """The rows of one file.

    Each row is appended at once. A write error is reported once and the run goes on; the whole file
    is rewritten as soon as possible. Nothing is written if the run's folder (held) was moved,
    removed or replaced.
    """

    def __init__(self, held: HeldFolder, path: Path, say: Callable[[str], None]) -> None:
        self._held = held
        self._path = path
        self._say = say
        self._lines: list[bytes] = []
        self._behind = False
        self._told = False

    @property
    def content(self) -> bytes:
        """All rows."""
        return b"".join(self._lines)

    def restore(self, content: bytes) -> None:
        """Have these rows and no others, in the file too."""
        self._lines = content.splitlines(keepends=True)
        try:
            with open_untrusting(self._path) as file:
                self._behind = file.read(len(content) + 1) != content
        except OSError:
            self._behind = True
        self._catch_up()

    def append(self, row: dict[str, Any]) -> None:
        """Add one row."""
        line = json_line(row)
        self._lines.append(line)
        if self._behind:
            self._catch_up()
            return
        try:
            if self._held.is_in_place:
                append(self._path, line)
        except OSError as error:
            self._behind = True
            self._tell(error)

    def flush(self) -> None:
        """See that the rows are on the disk."""
        try:
            with open_untrusting(self._path) as file:
                flush(file)
        except OSError as error:
            self._tell(error)

    def _catch_up(self) -> None:
        """Write the whole file anew if it lacks something."""
        if not self._behind:
            return
        try:
            if self._held.is_in_place:
                write_atomically(self._path, self.content)
                self._behind = False
        except (OSError, RunError) as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            self._say(f"{self._path} cannot be written ({reason}): the run goes on without it")
