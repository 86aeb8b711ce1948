"""config.json: which text a run learns and how, all that repeats it."""

import json
import os
import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

import ricorda
from ricorda.durable import write_atomically
from ricorda.errors import RunError
from ricorda.runs import RunFolder
from ricorda.training.checkpoint import Progress
from ricorda.training.configuration import Schedule, TrainingConfiguration

FORMAT = 1
LARGEST = 16 * 1024 * 1024  # bytes of a config.json, which may name many texts


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TextRecord:
    """Which text a run learns, and how it was read."""

    texts: list[str]
    """Files, folders and patterns, as absolute paths."""

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


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class RunRecord:
    """The whole of config.json."""

    format: int
    text: TextRecord
    training: TrainingConfiguration
    made_with: dict[str, Any]
    """Versions and processor, told and never needed."""

    schedule: Schedule | None = None
    """How the run spent its budget, once it has ended, where the budget alone does not tell."""


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


def with_schedule(record: RunRecord, progress: Progress) -> RunRecord:
    """Add how a run that has ended spent its budget.

    Steps and epochs tell that themselves, unless the budget was changed by a resume.
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


def record_from_json(told: dict[str, Any]) -> RunRecord:
    """The record of `record_as_json`."""
    return TypeAdapter(RunRecord).validate_python(told)


def write_record(folder: RunFolder, record: RunRecord) -> None:
    """Write config.json; from here on the folder is a run."""
    write_atomically(folder.config, (json.dumps(asdict(record), indent=2) + "\n").encode())


def read_record(folder: RunFolder) -> RunRecord:
    """Read config.json, strictly. Raises RunError, naming what is wrong."""
    return read_record_file(folder.config)


def read_record_file(config: Path) -> RunRecord:
    """Read a run's config.json, wherever it lies now. Raises RunError, naming what is wrong."""
    try:
        with config.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise RunError(f"{config} is no run's: it has more than {LARGEST} bytes")
        record = TypeAdapter(RunRecord).validate_json(content)
    except OSError as error:
        raise RunError(f"cannot read {config}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its start"
        raise RunError(f"{config} is wrong at {where}: {first['msg']}") from error
    if record.format > FORMAT:
        raise RunError(
            f"{config} has format {record.format}, newer than this ricorda reads "
            f"({FORMAT}): upgrade ricorda"
        )
    return record
