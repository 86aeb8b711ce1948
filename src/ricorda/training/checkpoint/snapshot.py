"""What a checkpoint holds: all that lets a run go on as if it had never stopped.

`tensors.safetensors` has every tensor of the learner, `progress.json` how far the run has come
and on what machine, `metrics.jsonl` and `samples.jsonl` the rows so far, `best.safetensors` the
best model so far. Nothing in it can run code: tensors, numbers and texts alone.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated_dataclass
from torch import Tensor

from ricorda.model.tensor_file import (
    SIZES,
    TensorFileError,
    read_entry,
    read_header,
    tensor_file,
)
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
from ricorda.training.configuration import Budget
from ricorda.training.learner_state import DTYPES, Learner, UnfitTensors
from ricorda.validation import explain, parse_json

LONGEST_PROGRESS = 64 * 1024  # bytes
LONGEST_ROWS = 1 << 30
SPARE = 1 << 20  # bytes that tensors may take beyond the learner's, for the header

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**53)]


@validated_dataclass(config=ConfigDict(extra="forbid"))
class Interval:
    """What is summed up between two rows of metrics.jsonl."""

    nats: Finite = 0.0
    gradient_norm: Finite = 0.0
    steps: Count = 0
    seconds: Finite = 0.0
    """Those of earlier sittings."""


@validated_dataclass(config=ConfigDict(extra="forbid"))
class Progress:
    """How far a run has come, besides its tensors."""

    step: Count = 0
    """Steps taken."""

    total_steps: Count | None = None
    """Steps planned; None until the calibration."""

    plans: list[tuple[Count, Count | None]] = field(default_factory=list)
    """Each plan, in order: the step it was made after, and the steps planned."""

    evaluated: list[Count] = field(default_factory=list)
    """The steps after which the model was evaluated."""

    budget: Budget | None = None
    """What they were planned for."""

    seconds: Finite = 0.0
    """Wall-clock seconds of all sittings."""

    evaluated_step: Count = 0
    """After which step the model was last evaluated."""

    best_step: Count = 0
    """After which step the best model was kept."""

    best_nats_per_symbol: Finite | None = None
    """The best figure of the quick evaluations; None before the first."""

    evaluations_without_better: Count = 0
    """How long ago that was."""

    returns: Count = 0
    """How many times the numbers went wrong and the run went back."""

    interval: Interval = field(default_factory=Interval)
    """What the next row of metrics.jsonl has gathered."""

    @property
    def learning_rate_factor(self) -> float:
        """By what the schedule's rate is multiplied: halved at each return."""
        return 0.5**self.returns


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment: a copy that the run no longer changes."""

    tensors: Mapping[str, Tensor]
    progress: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    metrics: bytes
    samples: bytes
    best: bytes | None
    """The best model's file."""

    anchor: bool
    """Whether the run returns here when its numbers go wrong."""

    @property
    def step(self) -> int:
        """Steps taken."""
        return int(self.progress["step"])

    def files(self) -> dict[str, Content]:
        """The checkpoint's files."""
        told = {"progress": self.progress, "fingerprint": self.fingerprint}
        tensors = {name: _raw(tensor) for name, tensor in self.tensors.items()}
        files: dict[str, Content] = {
            TENSORS: list(tensor_file(tensors, {})),
            PROGRESS: [(json.dumps(told, indent=1, allow_nan=False) + "\n").encode()],
            METRICS: [self.metrics],
            SAMPLES: [self.samples],
        }
        if self.best is not None:
            files[BEST] = [self.best]
        return files


@dataclass(frozen=True)
class Restored:
    """What a checkpoint tells besides the learner's tensors."""

    progress: Progress
    fingerprint: dict[str, Any]
    metrics: bytes
    samples: bytes
    best: bytes | None
    tensors: dict[str, Tensor]


def take_snapshot(
    learner: Learner,
    progress: Progress,
    *,
    fingerprint: Mapping[str, Any],
    metrics: bytes,
    samples: bytes,
    best: bytes | None,
) -> Snapshot:
    """Copy everything that a run goes on from."""
    return Snapshot(
        learner.tensors(),
        asdict(progress),
        fingerprint,
        metrics,
        samples,
        best,
        anchor=progress.evaluated_step == progress.step,
    )


def restore(checkpoint: Checkpoint, learner: Learner) -> Restored:
    """Bring a learner back to a checkpoint that was found whole.

    Raises Broken, before the learner is changed, where it does not fit.
    """
    progress, fingerprint = _progress(checkpoint.read(PROGRESS, LONGEST_PROGRESS))
    metrics = checkpoint.read(METRICS, LONGEST_ROWS)
    samples = checkpoint.read(SAMPLES, LONGEST_ROWS)
    best = None
    largest = _largest(learner)
    if BEST in checkpoint:
        best = checkpoint.read(BEST, largest + (1 << 26))
    try:
        tensors = _tensors(checkpoint, largest)
        learner.restore(tensors)
    except (TensorFileError, UnfitTensors) as error:
        raise Broken(str(error)) from None
    return Restored(progress, fingerprint, metrics, samples, best, tensors)


def _progress(content: bytes) -> tuple[Progress, dict[str, Any]]:
    """Parse progress.json, strictly."""
    try:
        told = parse_json(content, longest=LONGEST_PROGRESS)
        if not isinstance(told, dict) or told.keys() != {"progress", "fingerprint"}:
            raise Broken(f"{PROGRESS} should have a progress and a fingerprint")
        progress = TypeAdapter(Progress).validate_python(told["progress"])
    except ValidationError as error:
        raise Broken(f"{PROGRESS} is wrong: {explain(error, Progress)}") from None
    except ValueError as error:
        raise Broken(f"{PROGRESS} is not JSON: {error}") from None
    fingerprint = told["fingerprint"]
    return progress, fingerprint if isinstance(fingerprint, dict) else {}


def _largest(learner: Learner) -> int:
    """More bytes than this learner's tensors can have."""
    numbers = sum(parameter.numel() for parameter in learner.model.parameters())
    parts = 1 if learner.share is None else -(-learner.share.of // learner.share.count)
    numbers += parts * sum(part.numel() for layer in learner.state for part in layer)
    return 8 * 8 * numbers + SPARE


def _tensors(checkpoint: Checkpoint, largest: int) -> dict[str, Tensor]:
    """Read the tensors, none larger than the learner could have."""
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


def _tensor(name: str, content: bytearray, dtype: str, shape: tuple[int, ...]) -> Tensor:
    if dtype not in DTYPES:
        raise Broken(f"the tensor {name!r} has the type {dtype}, which no checkpoint has")
    if not content:
        return torch.empty(shape, dtype=DTYPES[dtype])
    return torch.frombuffer(content, dtype=DTYPES[dtype]).reshape(shape)


_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def _raw(tensor: Tensor) -> tuple[str, tuple[int, ...], memoryview]:
    """A tensor's type, shape and bytes, not copied."""
    name = _NAMES[tensor.dtype]
    content = tensor.reshape(-1).view(torch.uint8).numpy().data
    assert content.nbytes == math.prod(tensor.shape) * SIZES[name]
    return name, tuple(tensor.shape), content
