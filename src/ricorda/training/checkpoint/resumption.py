"""What may change when a run goes on: where its text lies, and how long it learns."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from ricorda.errors import ConfigurationError
from ricorda.training.checkpoint.record import RunRecord
from ricorda.training.checkpoint.snapshot import Progress
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.machine import check_gpus
from ricorda.training.plan.pace import USED
from ricorda.training.started import local_processes
from ricorda.validation import validated

MOVED = ("device", "threads", "processes")
"""Options of a training that a resume may change."""


def given_budget(minutes: float | None, epochs: float | None, steps: int | None) -> Budget | None:
    """Check a budget's options; None if none is given. Raises ConfigurationError."""
    if minutes is None and epochs is None and steps is None:
        return None
    options = validated(TrainingOptions, minutes=minutes, epochs=epochs, steps=steps)
    return Budget(minutes=options.minutes, epochs=options.epochs, steps=options.steps)


def with_text(
    record: RunRecord,
    text: str | Path | Sequence[str | Path] | None,
    validation: str | Path | None,
) -> RunRecord:
    """The record with the places where the text lies now."""
    found = record.text
    if text is not None:
        names = [text] if isinstance(text, str | Path) else text
        if not names:
            raise ConfigurationError("expected a text, got none: leave text out or name one")
        found = replace(found, texts=[str(Path(name).absolute()) for name in names])
    if validation is not None:
        if found.validation is None:
            raise ConfigurationError(
                "--validation: this run validates on the end of its own text: leave the option out"
            )
        found = replace(found, validation=str(Path(validation).absolute()))
    return replace(record, text=found)


def with_budget(record: RunRecord, budget: Budget | None) -> RunRecord:
    """The record with another budget, if there is one."""
    if budget is None:
        return record
    return replace(record, training=replace(record.training, budget=budget, schedule=None))


def on_this_machine(
    record: RunRecord,
    device: Literal["auto", "cpu", "cuda"],
    threads: int | None,
    processes: int,
) -> RunRecord:
    """The record with the processes that go on with the run, their threads and their device.

    Threads that are not given are the run's, divided anew. Raises ConfigurationError for a GPU that
    is not there, or more processes than streams or GPUs.
    """
    training = record.training
    if threads is None:
        threads = max(1, training.threads * training.processes // processes)
    if processes > training.batch_size:
        raise ConfigurationError(
            f"expected at least a stream for each of {processes} processes, but the run has "
            f"{training.batch_size}: start fewer processes"
        )
    if device == "auto":
        device = training.device
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(
            "the run goes on with --device cuda, but PyTorch finds no CUDA GPU here: "
            "give --device cpu"
        )
    if device == "cuda":
        check_gpus(local_processes(processes))
    training = replace(training, device=device, threads=threads, processes=processes)
    return replace(record, training=training)


def planned_steps(progress: Progress, configuration: TrainingConfiguration) -> int | None:
    """How many steps the run is to take in all; None where the pace finds out.

    Another budget of minutes is planned by what the steps so far have cost, all included.
    """
    if progress.budget in (None, configuration.budget):
        return progress.total_steps
    minutes = configuration.budget.minutes
    if minutes is None or progress.step < max(2, configuration.warmup_steps):
        return None
    left = USED * 60 * minutes - progress.seconds
    return progress.step + max(1, int(left * progress.step / progress.seconds))


def check_budget(
    progress: Progress, configuration: TrainingConfiguration, total_steps: int | None
) -> None:
    """See that another budget leaves something to do, and give patience anew.

    Raises ConfigurationError if it is spent already.
    """
    budget = configuration.budget
    spent = budget.minutes is not None and progress.seconds >= 60 * budget.minutes
    if spent or (total_steps is not None and total_steps <= progress.step):
        raise ConfigurationError(
            f"expected a budget beyond the {progress.step:,} steps and "
            f"{progress.seconds / 60:.2f} minutes that the run has taken, got {budget}: the budget "
            "counts from the run's beginning"
        )
    if progress.evaluations_without_better >= (configuration.patience or float("inf")):
        progress.evaluations_without_better = 0
