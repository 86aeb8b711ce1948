"""Checkpoints: all that lets a run go on as if it had never stopped.

checkpoints/STEP/ holds `tensors.safetensors` (weights, the optimizer's moments, the carried state,
the averaged weights, the dropout generator) and `progress.json` (steps, seconds, the best so far).
It is written beside its place and renamed, so that a folder with a number for a name is always
whole.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ricorda.errors import RunError
from ricorda.models.cells.base import State
from ricorda.models.language_model import RecurrentLanguageModel
from ricorda.training.average import WeightAverage
from ricorda.training.fused import FusedStep, Moments

KEPT = 2  # the newest checkpoints that stay


@dataclass
class Progress:
    """How far a run has come, besides its tensors."""

    step: int = 0
    """Steps taken."""

    total_steps: int | None = None
    """Steps planned; None until the calibration."""

    seconds: float = 0.0
    """Wall-clock seconds of all sittings."""

    evaluated_step: int = 0
    """After which step the model was last evaluated."""

    best_step: int = 0
    """After which step the best model was kept."""

    best_nats_per_symbol: float | None = None
    """The best figure of the quick evaluations; None before the first."""

    evaluations_without_better: int = 0
    """How long ago that was."""


@dataclass
class Learner:
    """What a step changes: the network, its optimizer, the streams' state, the average."""

    model: RecurrentLanguageModel
    optimizer: torch.optim.Optimizer | Moments
    state: list[State]
    average: WeightAverage | None = None
    fused: FusedStep | None = None
    """The kernels' step, once one was taken."""


def save_checkpoint(folder: Path, learner: Learner, progress: Progress) -> Path:
    """Write a checkpoint, then drop all but the newest."""
    place = folder / str(progress.step)
    temporary = folder / f".{progress.step}.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(_gather(learner), temporary / "tensors.safetensors")
    (temporary / "progress.json").write_text(json.dumps(asdict(progress), indent=1), "utf-8")
    shutil.rmtree(place, ignore_errors=True)
    temporary.rename(place)
    for old in _checkpoints(folder)[KEPT:]:
        shutil.rmtree(old)
    return place


def load_checkpoint(folder: Path, learner: Learner) -> Progress:
    """Bring a learner back to the newest checkpoint.

    Raises RunError if there is none or it is damaged.
    """
    places = _checkpoints(folder)
    if not places:
        raise RunError(
            f"no checkpoint in {folder}: the run stopped before its first; start it again"
        )
    try:
        progress = TypeAdapter(Progress).validate_json((places[0] / "progress.json").read_bytes())
        _scatter(load_file(places[0] / "tensors.safetensors"), learner)
    except (OSError, SafetensorError, ValidationError, KeyError, RuntimeError) as error:
        raise RunError(f"the checkpoint {places[0]} is damaged: {error}") from error
    return progress


def _checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints, the newest first."""
    if not folder.is_dir():
        return []
    return sorted(
        (path for path in folder.iterdir() if path.name.isdigit()),
        key=lambda path: -int(path.name),
    )


def _gather(learner: Learner) -> dict[str, Tensor]:
    """Every tensor of a learner under a name."""
    tensors = {f"model.{name}": value for name, value in learner.model.state_dict().items()}
    for name, parameter in learner.model.named_parameters():
        for key, value in learner.optimizer.state[parameter].items():
            tensors[f"optimizer.{name}.{key}"] = value
    for layer, parts in enumerate(learner.state):
        for part, value in enumerate(parts):
            tensors[f"state.{layer}.{part}"] = value
    if learner.average is not None:
        for name, value in learner.average.state().items():
            tensors[f"average.{name}"] = value
    if learner.model.generator is not None:
        tensors["generator"] = learner.model.generator.get_state()
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def _scatter(tensors: dict[str, Tensor], learner: Learner) -> None:
    """Put every tensor of a checkpoint back in its place."""
    model, device = learner.model, learner.model.output.weight.device
    model.load_state_dict({name: tensors[f"model.{name}"] for name in model.state_dict()})
    for name, parameter in model.named_parameters():
        prefix = f"optimizer.{name}."
        learner.optimizer.state[parameter] = {
            key.removeprefix(prefix): value.to(device)
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
    learner.state = [
        tuple(tensors[f"state.{layer}.{part}"].to(device) for part in range(len(parts)))
        for layer, parts in enumerate(learner.state)
    ]
    if learner.average is not None:
        average = {name: tensors[f"average.{name}"] for name in learner.average.state()}
        learner.average.load_state(average)
    if model.generator is not None:
        model.generator.set_state(tensors["generator"])
