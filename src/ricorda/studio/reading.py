"""How a run reads its text, as its config.json says, and how much of that the studio allows.

A config.json may be a stranger's. It may name files, and only those below folders that the user
opened to the studio; the limits are the studio's own.
"""

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass

from ricorda.durable import open_untrusting
from ricorda.errors import ConfigurationError, RunError, TextError
from ricorda.runs import RunFolder
from ricorda.studio.workspace import Workspace
from ricorda.text.compression import Decompression
from ricorda.text.encoding import VocabularyKind
from ricorda.text.file_names import displayed
from ricorda.text.kinds import wanted
from ricorda.text.sources import STANDARD_INPUT
from ricorda.text.splits import SplitName
from ricorda.validation import parse_json

LARGEST_CONFIG = 16 * 1024 * 1024  # bytes
MOST_FILES = 10_000  # of one text
_FORMS = (os.path.abspath, os.path.realpath)
"""A folder's path as it was given, and where it leads."""

Name = Annotated[str, Field(pattern=r"^[^\x00]+$")]
"""A text's name: a path, a pattern, or - for standard input."""


@dataclass(frozen=True)
class Reading:
    """How a text is read: from which files, and as what."""

    names: tuple[Name, ...]
    kind: VocabularyKind = "characters"
    encoding: Name | None = None
    newlines: Literal["auto", "normalise", "keep"] = "auto"
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] | None = None
    validation: Name | None = None
    documents: Name = "auto"
    field: Name | None = None
    label_field: Name | None = None
    label_from: Literal["folder", "file"] | None = None
    split: SplitName | None = None
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    decompress: Literal["auto", "off"] = "auto"
    max_decompressed: Name | None = None

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Changes when a file does; the same from whatever folder a name starts."""
        found: list[Any] = []
        for name in map(os.path.abspath, self.names):
            with contextlib.suppress(OSError):
                status = Path(name).stat()
                found.append((name, status.st_mtime_ns, status.st_size))
        return (replace(self, names=()), *found)

    @property
    def words(self) -> list[str]:
        """The same on a command line."""
        words = [f"./{name}" if name[0] == "-" != name else name for name in self.names]
        options = {
            "vocabulary": None if self.kind == "characters" else self.kind,
            "encoding": self.encoding,
            "newlines": None if self.newlines == "auto" else self.newlines,
            "documents": None if self.documents == "auto" else self.documents,
            "field": self.field,
            "label-field": self.label_field,
            "label-from": self.label_from,
            "split": self.split,
            "validation-fraction": self.validation_fraction,
            "test-fraction": self.test_fraction or None,
            "decompress": None if self.decompress == "auto" else self.decompress,
            "max-decompressed": self.max_decompressed,
        }
        for name, value in options.items():
            if value is not None:
                words += [f"--{name}", str(value)]
        return words


def reading_of(run: RunFolder) -> Reading:
    """How a run reads its text. Raises RunError if its config.json does not say."""
    record = read_config(run)
    try:
        text = record["text"]
        return Reading(
            names=text["texts"],
            kind=wanted(text["vocabulary"]).encoded_as,
            encoding=text["encoding"],
            newlines=text["newlines"],
            validation_fraction=text["validation_fraction"],
            validation=text["validation"],
            documents=text.get("documents", "auto"),
            field=text.get("field"),
            label_field=text.get("label_field"),
            label_from=text.get("label_from"),
            split=text.get("split"),
            test_fraction=text.get("test_fraction", 0.0),
            decompress=text.get("decompress", "auto"),
            max_decompressed=text.get("max_decompressed"),
        )
    except (KeyError, TypeError, AttributeError, ValidationError, ConfigurationError) as error:
        raise RunError(f"{run.config} does not say which text the run learns") from error


def read_config(run: RunFolder) -> dict[str, Any]:
    """A run's config.json as it stands. Raises RunError if it is not an object."""
    try:
        with open_untrusting(run.config) as file:
            found = parse_json(file.read(LARGEST_CONFIG), longest=LARGEST_CONFIG)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {run.config}: it is damaged or gone") from error
    if not isinstance(found, dict):
        raise RunError(f"cannot read {run.config}: it is damaged")
    return found


class ReadingLimits:
    """What of a run's text the studio reads."""

    def __init__(self, workspace: Workspace, largest: int) -> None:
        """Allow texts of up to `largest` bytes in the workspace's readable folders."""
        self._workspace = workspace
        self._largest = largest

    def permitted(self, reading: Reading) -> Reading:
        """The same with real paths and limits of this studio; nothing outside is accessed.

        Raises TextError, saying what may not be read and how to allow it.
        """
        if STANDARD_INPUT in reading.names:
            raise _gone()
        if len(reading.names) > MOST_FILES:
            raise TextError(f"expected a text of at most {MOST_FILES:,} files: it has more")
        allowed = (self._workspace.texts, *self._workspace.readable)
        roots = {Path(form(each)) for each in allowed for form in _FORMS}
        found = [_checked(name, roots) for name in dict.fromkeys(reading.names)]
        size = sum(status.st_size for _, status in found)
        if size > self._largest:
            raise TextError(
                f"the run's text has {size:,} bytes, more than the {self._largest:,} that the "
                "studio reads: start it with a larger --largest-text"
            )
        limit = f"{self._limit(reading, len(found))} B" if reading.decompress == "auto" else None
        return replace(reading, names=tuple(path for path, _ in found), max_decompressed=limit)

    def _limit(self, reading: Reading, files: int) -> int:
        """Bytes that each compressed file may hold, so that all together keep to the limit."""
        own = max(1, self._largest // max(1, files))
        given = Decompression.of(reading.decompress, reading.max_decompressed).limit
        return own if given is None else min(own, given)


def _checked(name: str, roots: Iterable[Path]) -> tuple[str, os.stat_result]:
    """A file's real path and status. Raises TextError if the studio may not read it."""
    try:
        # Check the name alone before asking the system, which some paths keep waiting.
        _check_place(name, Path(os.path.abspath(name)), roots)  # noqa: PTH100
        path = os.path.realpath(name, strict=True)
        _check_place(name, Path(path), roots)
        status = Path(path).lstat()
    except (OSError, ValueError):
        raise TextError(
            f"the run's text {displayed(name)} does not exist, or is a pattern: the "
            "studio reads files by their names"
        ) from None
    if stat.S_ISFIFO(status.st_mode):
        raise _gone()
    if not stat.S_ISREG(status.st_mode):
        raise TextError(f"the run's text {displayed(name)} is not a regular file: name files")
    return path, status


def _check_place(name: str, path: Path, roots: Iterable[Path]) -> None:
    """Raise TextError for a path outside the roots, or hidden below one."""
    for root in roots:
        below = path.relative_to(root).parts if path.is_relative_to(root) else (".",)
        if not any(part.startswith(".") for part in below):
            return
    raise TextError(
        f"the run's text {displayed(name)} is outside the folders that the studio may read: start "
        "it with `--read` and the file's name or its folder's"
    )


def _gone() -> TextError:
    return TextError(
        "the run learned its text from standard input or a pipe, which cannot be "
        "read again: add it as a file"
    )
