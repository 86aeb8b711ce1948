"""config.json: which text a run learns and how, all that repeats it."""

import codecs
import json
import os
import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, FailFast, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

import ricorda
from ricorda.durable import open_untrusting, write_atomically
from ricorda.errors import RunError
from ricorda.runs import RunFolder
from ricorda.text.reading_settings import ReadingSettings
from ricorda.training.configuration import Schedule, TrainingConfiguration
from ricorda.validation import explain, parse_json

if TYPE_CHECKING:
    from ricorda.training.checkpoint.snapshot import Progress  # imports PyTorch

FORMAT = 1
LARGEST = 16 * 1024 * 1024  # bytes of a config.json, which may name many texts


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TextRecord:
    """Which text a run learns, and how it was read."""

    texts: Annotated[list[str], FailFast()]
    """Files, folders and patterns, as absolute paths.

    A byte of a name that is not UTF-8 is a lone surrogate (PEP 383), escaped in the file.
    """

    validation: str | None
    """The file that validates, if it is one of its own."""

    validation_fraction: float | None
    """The share of the text that validates, if it was given."""

    vocabulary: Literal["characters", "bytes"]
    """What a symbol is."""

    encoding: str | None
    """The text's encoding, if it was given."""

    newlines: Literal["auto", "normalise", "keep"]
    """What was done with line ends."""

    decompress: Literal["auto", "off"] = "auto"
    """Whether compressed files were decompressed."""

    max_decompressed: str | None = None
    """The most that each was allowed to come to, if that was given."""

    digest: str
    """SHA-256 of the text as it was encoded, to know it again."""

    bytes: int | None = None
    """Its length, to say how another differs."""

    validation_digest: str | None = None
    """SHA-256 of the file that validates."""

    validation_bytes: int | None = None
    """Its length."""

    @property
    def reading(self) -> ReadingSettings:
        """How the text is read."""
        return ReadingSettings.of(self)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class RunRecord:
    """The whole of config.json."""

    format: int
    text: TextRecord
    training: TrainingConfiguration
    made_with: dict[str, Any]
    """Versions and processor, told and never needed."""

    schedule: Schedule | None = None
    """The schedule, once the run has ended, unless it follows from the budget alone."""


def new_record(text: TextRecord, training: TrainingConfiguration) -> RunRecord:
    """The record of a run that begins now."""
    import torch  # not above: what only reads a record does without

    made_with = {
        "ricorda": ricorda.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": str(torch.cpu.get_capabilities().get("cpu_name", platform.machine())),
        "cores": os.cpu_count(),
    }
    return RunRecord(format=FORMAT, text=text, training=training, made_with=made_with)


def with_schedule(record: RunRecord, progress: "Progress") -> RunRecord:
    """Add the schedule of a run that has ended.

    It follows from steps and epochs alone, unless a resume changed the budget.
    """
    is_told = record.training.budget.minutes is None and len(progress.plans) == 1
    if is_told and record.training.schedule is None:
        return replace(record, schedule=None)
    schedule = Schedule(
        digest=record.text.digest,
        validation_digest=record.text.validation_digest,
        steps=progress.step,
        warmup_steps=record.training.warmup_steps,
        plans=progress.plans,
        evaluated=progress.evaluated,
    )
    return replace(record, schedule=schedule)


def record_as_json(record: RunRecord) -> dict[str, Any]:
    """A record in what JSON has."""
    return asdict(record)


def record_from_json(told: Any) -> RunRecord:
    """The record of `record_as_json`. Raises ValidationError."""
    return TypeAdapter(RunRecord).validate_python(told)


def write_record(folder: RunFolder, record: RunRecord) -> None:
    """Write config.json; from here on the folder is a run."""
    write_atomically(folder.config, (json.dumps(asdict(record), indent=2) + "\n").encode())


def read_record(folder: RunFolder) -> RunRecord:
    """Read config.json, strictly; a link or a pipe is refused. Raises RunError, saying what."""
    try:
        with open_untrusting(folder.config) as file:
            return _parsed(folder.config, file)
    except OSError as error:
        raise RunError(f"cannot read {folder.config}: {error.strerror}") from error


def read_record_file(config: Path) -> RunRecord:
    """Read a run's config.json, wherever it lies now. Raises RunError, naming what is wrong."""
    try:
        with config.open("rb") as file:
            return _parsed(config, file)
    except OSError as error:
        raise RunError(f"cannot read {config}: {error.strerror}") from error


def _parsed(config: Path, file: IO[bytes]) -> RunRecord:
    try:
        content = file.read(LARGEST + 1).removeprefix(codecs.BOM_UTF8)
        # pydantic's own parser refuses the lone surrogates of names that are not UTF-8
        told = parse_json(content, longest=LARGEST)
        _check_format(config, told)
        return record_from_json(told)
    except ValidationError as error:
        raise RunError(f"{config} is wrong: {explain(error, RunRecord)}") from error
    except ValueError as error:
        raise RunError(f"{config} is not JSON: {error}") from error


def _check_format(config: Path, told: Any) -> None:
    """Raise RunError for a newer format, before its additions are reported as wrong."""
    found = told.get("format") if isinstance(told, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise RunError(
            f"{config} has format {found}, newer than this ricorda reads ({FORMAT}): "
            "upgrade ricorda"
        )
