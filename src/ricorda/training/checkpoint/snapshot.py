"""What a checkpoint holds: all that lets a run continue as if it had never stopped.

`tensors.safetensors` has every tensor of the learner, `progress.json` the run's progress and its
machine, `metrics.jsonl` and `samples.jsonl` the rows so far, `best.safetensors` the best model so
far. Nothing in it can run code: it has tensors, numbers and texts only.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated_dataclass

from ricorda.model.tensor_file import TensorFileError, read_entry, read_header, tensor_file
from ricorda.training.checkpoint.folder import (
    BEST,
    METRICS,
    PROGRESS,
    SAMPLES,
    TENSORS,
    Broken,
    Checkpoint,
    Content,
)
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.learner import Learner, Tensors, UnfitTensors
from ricorda.validation import explain, parse_json

LONGEST_PROGRESS = 64 * 1024  # bytes
LONGEST_ROWS = 1 << 30
SPARE = 1 << 20  # bytes that tensors may take beyond the learner's, for the header

TYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2"},
    **{"I8": "i1", "U8": "u1", "BOOL": "?"},
}
"""NumPy's types of the types in safetensors files; BF16, which NumPy lacks, is read as float32."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**53)]


@validated_dataclass(config=ConfigDict(extra="forbid"))
class Interval:
    """The sums over the steps since the last row of metrics.jsonl."""

    nats: Finite = 0.0
    gradient_norm: Finite = 0.0
    steps: Count = 0
    seconds: Finite = 0.0
    """Of earlier sessions."""


@validated_dataclass(config=ConfigDict(extra="forbid"))
class Progress:
    """A run's progress, besides its tensors."""

    step: Count = 0
    """Steps taken."""

    total_steps: Count | None = None
    """Steps planned; None until the calibration."""

    plans: list[tuple[Count, Count | None]] = field(default_factory=list)
    """Each plan, in order: the step it was made after, and the steps planned."""

    evaluated: list[Count] = field(default_factory=list)
    """The steps after which the model was evaluated."""

    budget: Budget | None = None
    """The budget that they were planned for."""

    seconds: Finite = 0.0
    """Wall-clock seconds of all sessions."""

    evaluated_step: Count = 0
    """After which step the model was last evaluated."""

    best_step: Count = 0
    """After which step the best model was kept."""

    best_nats_per_symbol: Finite | None = None
    """The best figure of the quick evaluations; None before the first."""

    evaluations_without_better: Count = 0
    """How many evaluations came after it."""

    returns: Count = 0
    """How many times the run returned to a checkpoint because of a number that is not finite."""

    interval: Interval = field(default_factory=Interval)
    """The sums for the next row of metrics.jsonl."""

    @property
    def learning_rate_factor(self) -> float:
        """The factor of the schedule's rate: halved at each return."""
        return 0.5**self.returns

    def note_plan(self, total_steps: int | None) -> None:
        """Record the number of planned steps if it has changed."""
        if total_steps != (self.plans[-1][1] if self.plans else None):
            self.plans.append((self.step, total_steps))

    def note_evaluation(self, nats_per_symbol: float | None) -> bool:
        """Record an evaluation; return whether no earlier one was better.

        Without a validation loss, the newest model is the best.
        """
        self.evaluated_step = self.step
        self.evaluated.append(self.step)
        best = self.best_nats_per_symbol
        if nats_per_symbol is not None and best is not None and nats_per_symbol >= best:
            self.evaluations_without_better += 1
            return False
        self.best_step, self.best_nats_per_symbol = self.step, nats_per_symbol
        self.evaluations_without_better = 0
        return True


@dataclass(frozen=True)
class Snapshot:
    """A copy of a run at one moment, which the run no longer changes."""

    tensors: Tensors
    progress: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    metrics: bytes
    samples: bytes
    best: bytes | None
    """The best model's file."""

    anchor: bool
    """Whether the run returns here after a number that is not finite."""

    @property
    def step(self) -> int:
        """Steps taken."""
        return int(self.progress["step"])

    def files(self) -> dict[str, Content]:
        """The checkpoint's files."""
        files: dict[str, Content] = {
            TENSORS: tensors_content(self.tensors),
            PROGRESS: [progress_content(self.progress, self.fingerprint)],
            METRICS: [self.metrics],
            SAMPLES: [self.samples],
        }
        if self.best is not None:
            files[BEST] = [self.best]
        return files


@dataclass(frozen=True)
class Restored:
    """What a checkpoint holds, beside what the learner has taken from it."""

    progress: Progress
    fingerprint: dict[str, Any]
    metrics: bytes
    samples: bytes
    best: bytes | None
    tensors: Tensors


def restore(checkpoint: Checkpoint, learner: Learner) -> Restored:
    """Restore a learner from a checkpoint that was found whole.

    Raises Broken, before the learner is changed, if it does not fit.
    """
    progress, fingerprint = read_progress(checkpoint)
    metrics = checkpoint.read(METRICS, LONGEST_ROWS)
    samples = checkpoint.read(SAMPLES, LONGEST_ROWS)
    best = None
    largest = largest_tensors(learner.configuration)
    if BEST in checkpoint:
        best = checkpoint.read(BEST, largest + (1 << 26))
    try:
        tensors = read_tensors(checkpoint, largest)
        learner.restore(tensors)
    except (TensorFileError, UnfitTensors) as error:
        raise Broken(str(error)) from None
    return Restored(progress, fingerprint, metrics, samples, best, tensors)


def read_progress(checkpoint: Checkpoint) -> tuple[Progress, dict[str, Any]]:
    """Read progress.json, strictly: the progress and the fingerprint. Raises Broken, OSError."""
    content = checkpoint.read(PROGRESS, LONGEST_PROGRESS)
    try:
        parsed = parse_json(content, longest=LONGEST_PROGRESS)
        if not isinstance(parsed, dict) or parsed.keys() != {"progress", "fingerprint"}:
            raise Broken(f"{PROGRESS} should have a progress and a fingerprint")
        progress = TypeAdapter(Progress).validate_python(parsed["progress"])
    except ValidationError as error:
        raise Broken(f"{PROGRESS} is wrong: {explain(error, Progress)}") from None
    except ValueError as error:
        raise Broken(f"{PROGRESS} is not JSON: {error}") from None
    fingerprint = parsed["fingerprint"]
    return progress, fingerprint if isinstance(fingerprint, dict) else {}


def largest_tensors(configuration: TrainingConfiguration) -> int:
    """Return more bytes than the tensors of a run can have."""
    network = configuration.model
    states = configuration.batch_size * network.num_layers * network.state_parts
    return 8 * 8 * (network.parameters + states * network.hidden_size) + SPARE


def progress_content(progress: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> bytes:
    """What progress.json holds."""
    described = {"progress": progress, "fingerprint": fingerprint}
    return (json.dumps(described, indent=1, allow_nan=False) + "\n").encode()


def tensors_content(tensors: Tensors) -> Content:
    """What tensors.safetensors holds."""
    return list(tensor_file({name: _raw(array) for name, array in tensors.items()}, {}))


def read_tensors(checkpoint: Checkpoint, largest: int) -> Tensors:
    """Read the tensors, none larger than the learner could have. Raises Broken."""
    if TENSORS not in checkpoint:
        raise Broken(f"it has no {TENSORS}")
    with checkpoint.open(TENSORS) as file:
        header = read_header(file, os.fstat(file.fileno()).st_size)
        if header.largest > largest:
            raise Broken(f"{TENSORS} has {header.largest} bytes, far more than this run's")
        return {
            name: _tensor(name, read_entry(file, entry), entry.dtype, entry.shape)
            for name, entry in header.entries.items()
        }


def _tensor(name: str, content: bytearray, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if dtype == "BF16":
        return (np.ndarray(shape, "<u2", content).astype("<u4") << 16).view("<f4")
    if dtype not in TYPES:
        raise Broken(f"the tensor {name!r} has the type {dtype}, which no checkpoint has")
    return np.ndarray(shape, TYPES[dtype], content)


_NAMES = {np.dtype(numpy_type): name for name, numpy_type in TYPES.items()}


def _raw(array: NDArray[Any]) -> tuple[str, tuple[int, ...], memoryview]:
    """Return an array's type, shape and bytes, not copied."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    return _NAMES[array.dtype], array.shape, content
