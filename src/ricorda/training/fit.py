"""Fit a run that was begun or is resumed: set up the loop, run it, conclude."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ricorda.engine import Model, load
from ricorda.errors import TrainingError
from ricorda.runs import RunFolder
from ricorda.shell import command_line
from ricorda.text.reading_settings import READING
from ricorda.text.sources import displayed
from ricorda.training.checkpoint.held_folder import HeldFolder
from ricorda.training.checkpoint.manager import CheckpointManager
from ricorda.training.checkpoint.record import RunRecord, fingerprint, read_record, write_record
from ricorda.training.checkpoint.snapshot import Progress
from ricorda.training.conclusion import conclude
from ricorda.training.data.dataset import Dataset
from ricorda.training.data.loader import make_loader
from ricorda.training.evaluation import QuickEvaluation
from ricorda.training.learner import make_learner
from ricorda.training.loop import Loop
from ricorda.training.plan.budget import BudgetClock, check_budget, planned_steps
from ricorda.training.plan.forecast import lacks_memory
from ricorda.training.process_group import ProcessGroup
from ricorda.training.report.progress import Reporter


@dataclass(frozen=True)
class Run:
    """A training that has ended: its folder, its figures, its model."""

    folder: Path
    metrics: dict[str, Any]
    """What `ricorda train --json` prints."""

    signal_number: int | None = None
    """The signal that interrupted it, if one did."""

    rank: int = 0
    """The rank of this process among those that trained; rank 0 writes."""

    @cached_property
    def model(self) -> Model:
        """The best model, loaded."""
        return load(self.folder)


def fit_run(
    folder: RunFolder,
    record: RunRecord,
    dataset: Dataset,
    report: Reporter,
    group: ProcessGroup,
    held: HeldFolder | None,
    *,
    resumed: bool = False,
) -> Run:
    """Train until the budget is spent or a signal comes, then evaluate and report.

    held: the run's folder; None in the processes that do not write. resumed: continue from the last
    checkpoint.
    """
    with _memory_errors_reported(folder):
        loop = _set_up(folder, record, dataset, report, group, held, resumed=resumed)
        try:
            reason, signal_number = loop.fit()
            loop.learner.release()
            loop.checkpoint_manager.release()
        finally:
            report.close()
    metrics = group.first_does(lambda: conclude(loop, record, dataset, reason, held))
    return Run(folder.path, metrics, signal_number, group.rank)


@contextlib.contextmanager
def _memory_errors_reported(folder: RunFolder) -> Iterator[None]:
    """Raise TrainingError for a lack of memory, PyTorch's included."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise TrainingError(
            "not enough memory: close other programs, then go on with "
            f"`{command_line(['ricorda', 'resume', folder.path])}`, or start a new run with "
            "a smaller --batch-size or --hidden-size"
        ) from error


def _set_up(
    folder: RunFolder,
    record: RunRecord,
    dataset: Dataset,
    report: Reporter,
    group: ProcessGroup,
    held: HeldFolder | None,
    *,
    resumed: bool,
) -> Loop:
    """Make the learner and its streams; bring them back to the last checkpoint of a resumed run."""
    configuration = record.training
    learner = make_learner(configuration, group)
    loader = make_loader(learner, dataset.training)
    checkpoint_manager = CheckpointManager(
        folder,
        held,
        keep=configuration.keep,
        fingerprint=fingerprint(configuration),
        reporter=report,
        group=group,
    )
    progress = Progress()
    if resumed:
        progress = checkpoint_manager.resume(learner)
        report.say(f"goes on after step {progress.step:,}: {folder.path}")
    clock = BudgetClock.of(
        configuration,
        loader.stream.windows_per_epoch,
        total_steps=planned_steps(progress, configuration),
        seconds_before=progress.seconds,
    )
    has_new_budget = progress.budget not in (None, configuration.budget)
    if has_new_budget:
        check_budget(progress, configuration, clock.total_steps)
    if resumed and group.is_first and record != read_record(folder):
        write_record(folder, record)
    evaluation = None
    if dataset.validation is not None:
        evaluation = QuickEvaluation(dataset.validation, group)
    return Loop(
        folder=folder,
        vocabulary=dataset.text.vocabulary,
        provenance=_provenance(record, dataset),
        symbols_per_character=dataset.symbols_per_character,
        evaluation=evaluation,
        learner=learner,
        clock=clock,
        progress=progress,
        reporter=report,
        checkpoint_manager=checkpoint_manager,
        loader=loader,
        saved_step=progress.step if resumed and not has_new_budget else -1,
    )


def _provenance(record: RunRecord, dataset: Dataset) -> dict[str, Any]:
    """The entries of the model file about where the model comes from."""
    return {
        "texts": [displayed(Path(name).name) for name in record.text.texts],
        "digest": record.text.digest,
        READING: record.text.reading.to_json(record.text.vocabulary),
        "training_characters": len(dataset.training),
        "validation_characters": 0 if dataset.validation is None else len(dataset.validation),
        "seed": record.training.seed,
        "made_with": record.made_with,
    }
