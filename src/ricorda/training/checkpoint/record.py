"""config.json: the text and the settings of a run, and what its bits depend on besides."""

import codecs
import contextlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, FailFast, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

import ricorda
from ricorda.durable import open_untrusting, write_atomically
from ricorda.engine import kernels_are_built
from ricorda.errors import ConfigurationError, RunError
from ricorda.runs import RunFolder
from ricorda.training.configuration import Schedule, TextSettings, TrainingConfiguration
from ricorda.validation import explain, parse_json

if TYPE_CHECKING:
    from ricorda.training.checkpoint.snapshot import Progress  # imports PyTorch

FORMAT = 1
LARGEST = 16 * 1024 * 1024  # bytes of a config.json, which may name many texts
MOST = 1_000_000  # elements in it


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TextRecord(TextSettings):
    """Which text a run learns, and how it was read."""

    texts: Annotated[list[str], FailFast()]
    """Files, folders and patterns, as absolute paths.

    A byte of a name that is not UTF-8 is a lone surrogate (PEP 383), escaped in the file.
    """

    validation: str | None
    """The file that validates, if it is one of its own."""

    digest: str
    """SHA-256 of the text as it was encoded, to know it again."""

    bytes: int | None = None
    """Its length, to say how another differs."""

    validation_digest: str | None = None
    """SHA-256 of the file that validates."""

    validation_bytes: int | None = None
    """Its length."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class StartRecord:
    """The model that a run started from."""

    model: str
    """Its absolute path then: a model file, or a run's folder."""

    digest: str
    """SHA-256 of its file."""

    nats_per_character: float | None
    """Its validation loss on its own text; None if its file has none."""

    own_digest: str
    """SHA-256 of `start.safetensors`, the model with the new symbols of the text."""

    new_symbols: int
    """How many those are."""

    @property
    def name(self) -> str:
        """The name of the model's file, or of the run."""
        return Path(self.model).name

    def as_provenance(self) -> dict[str, Any]:
        """What the model file contains about it; no path of this machine."""
        return {
            "name": self.name,
            "digest": self.digest,
            "nats_per_character": self.nats_per_character,
        }


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class BranchRecord:
    """The run of which this one is a branch."""

    run: str
    """Its folder's absolute path then."""

    step: int
    """The step after which the branch begins."""

    @property
    def name(self) -> str:
        """The name of the run."""
        return Path(self.run).name

    def as_provenance(self) -> dict[str, Any]:
        """What the model file contains about it."""
        return {"run": self.name, "step": self.step}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class RunRecord:
    """The whole of config.json."""

    format: int
    text: TextRecord
    training: TrainingConfiguration
    made_with: dict[str, Any]
    """Versions and processor, for information."""

    schedule: Schedule | None = None
    """The schedule, once the run has ended, unless it follows from the budget alone."""

    start: StartRecord | None = None
    """The model that the run started from; None: from random weights."""

    branch: BranchRecord | None = None
    """The run of which it is a branch, if it is one."""


def new_record(
    text: TextRecord, training: TrainingConfiguration, start: StartRecord | None = None
) -> RunRecord:
    """The record of a run that begins now."""
    made_with = {
        "ricorda": ricorda.__version__,
        **_versions(training),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
    }
    return RunRecord(format=FORMAT, text=text, training=training, made_with=made_with, start=start)


def settings_of(record: RunRecord) -> dict[str, Any]:
    """The settings of a run by their names, as a dashboard lists them; None where unset."""
    training = asdict(record.training)
    nested = training.pop("model") | training.pop("budget")
    del training["schedule"]
    texts = [Path(name).name for name in record.text.texts]
    text = {each.name: getattr(record.text, each.name) for each in fields(TextSettings)}
    return {"texts": texts, **nested, **training, **text}


def fingerprint(training: TrainingConfiguration) -> dict[str, Any]:
    """What a run's bits depend on besides its settings: the installation and the machine."""
    found: dict[str, Any] = {
        "ricorda": ricorda.__version__,
        "backend": training.backend,
        **_versions(training),
        "kernels": "NumPy",
        "processor": processor_name(),
        "threads": training.threads,
        "processes": training.processes,
        "device": training.device,
    }
    if training.device == "cuda":
        from ricorda.torch.device import gpu_name

        found["device"] = gpu_name()
    if kernels_are_built():
        from ricorda.engine.native import instruction_sets

        found["kernels"] = next(iter(dict(instruction_sets())), "none")
    return found


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say in one line how the fingerprint of a checkpoint differs; empty if it does not."""
    before = {"processes": 1, **before}
    changes = [
        f"{name} {before.get(name)} is now {value}"
        for name, value in now.items()
        if before.get(name) != value
    ]
    if not changes:
        return ""
    return (
        f"the machine or a version changed ({'; '.join(changes)}): "
        "the run continues, but not bit for bit"
    )


def processor_name() -> str:
    """The processor's name as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions(training: TrainingConfiguration) -> dict[str, str]:
    """The version of what computes besides the kernels."""
    name = "torch" if training.backend == "torch" else "numpy"
    return {name: version(name)}


def with_schedule(record: RunRecord, progress: "Progress") -> RunRecord:
    """Add the schedule of a run that has ended.

    It follows from steps and epochs alone, unless a resume changed the budget.
    """
    is_determined = record.training.budget.minutes is None and len(progress.plans) == 1
    if is_determined and record.training.schedule is None:
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


def record_from_json(saved: Any) -> RunRecord:
    """The record of a JSON object, also one of an earlier version. Raises ValidationError."""
    return TypeAdapter(RunRecord).validate_python(_with_backend(saved))


def _with_backend(saved: Any) -> Any:
    """Translate `kernels: auto|off` of an earlier version to the backend that it meant."""
    training = saved.get("training") if isinstance(saved, dict) else None
    if not isinstance(training, dict) or training.get("kernels") not in ("auto", "off"):
        return saved
    training = dict(training)
    on_kernels = training.pop("kernels") == "auto" and training.get("device") == "cpu"
    return saved | {"training": {"backend": "kernels" if on_kernels else "torch"} | training}


def write_record(folder: RunFolder, record: RunRecord) -> None:
    """Write config.json; from here on the folder is a run.

    Raises ConfigurationError if the names of the texts take more bytes than can be read again.
    """
    content = (json.dumps(asdict(record), indent=2) + "\n").encode()
    if len(content) > LARGEST:
        raise ConfigurationError(
            f"expected texts whose names take less than {LARGEST:,} bytes, got "
            f"{len(record.text.texts):,} names: give a folder or a pattern instead"
        )
    write_atomically(folder.config, content)


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
        parsed = parse_json(content, longest=LARGEST, most=MOST)
        _check_format(config, parsed)
        return record_from_json(parsed)
    except ValidationError as error:
        raise RunError(f"{config} is wrong: {explain(error, RunRecord)}") from error
    except ValueError as error:
        raise RunError(f"{config} is not JSON: {error}") from error


def _check_format(config: Path, parsed: Any) -> None:
    """Raise RunError for a newer format, before its additions are reported as wrong."""
    found = parsed.get("format") if isinstance(parsed, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise RunError(
            f"{config} has format {found}, newer than this ricorda reads ({FORMAT}): "
            "upgrade ricorda"
        )
