"""Train a run that was started: set up the loop, run it, evaluate the best model, report."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from os import fspath
from pathlib import Path
from typing import Any

import numpy as np

from ricorda.arguments import checked
from ricorda.engine import Figures, Model, load, open_model
from ricorda.engine.adaptive import gather_gradient_sizes, segments_for
from ricorda.errors import RunError, TrainingError
from ricorda.frames import Library, frame
from ricorda.model import ModelFile, read_model_file, write_model_file
from ricorda.pages import plural
from ricorda.pages.numbers import clock
from ricorda.runs import RunFolder
from ricorda.shell import command_line
from ricorda.text import Part
from ricorda.text.baselines import baselines
from ricorda.text.document_index import write_document_index
from ricorda.text.file_names import displayed
from ricorda.text.reading_settings import READING
from ricorda.training.checkpoint.comparison import origins_of
from ricorda.training.checkpoint.held_folder import HeldFolder
from ricorda.training.checkpoint.manager import CheckpointManager
from ricorda.training.checkpoint.record import (
    RunRecord,
    fingerprint,
    read_record,
    settings_of,
    with_schedule,
    write_record,
)
from ricorda.training.checkpoint.snapshot import Progress
from ricorda.training.data.dataset import Dataset
from ricorda.training.data.loader import make_loader
from ricorda.training.evaluation import QuickEvaluation
from ricorda.training.fine_tuning import saved_start
from ricorda.training.learner import make_learner
from ricorda.training.loop import Loop, StoppedBecause
from ricorda.training.plan.budget import BudgetClock
from ricorda.training.plan.forecast import lacks_memory
from ricorda.training.process_group import ProcessGroup
from ricorda.training.report.card import run_card, run_words
from ricorda.training.report.charts import history_columns, read_history
from ricorda.training.report.dashboards import with_dashboards
from ricorda.training.report.metrics import MetricsLog
from ricorda.training.report.page import write_report
from ricorda.training.report.progress import Reporter
from ricorda.training.temperature import TEMPERATURE, at_temperature, fitted_temperature

EXACT_LIMIT = 1_000_000  # validation symbols that are read one by one for the final figure
COMPARED_FROM = 1_000  # validation symbols; the baselines' figures on fewer mean little
MOST_COUNTED = 1_000_000  # symbols before the validation part that the baselines count


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

    def __repr__(self) -> str:
        return f"<ricorda.Run {run_words(self.folder, self.metrics)}>"

    def _repr_html_(self) -> str:
        return run_card(self.folder, self.metrics)

    @checked
    def to_frame(self, library: Library = "pandas") -> Any:
        """Return the run's metrics as a table for pandas or polars.

        Its rows are those of metrics.jsonl from training and evaluations, by step. Its columns are
        their figures, and `bits_per_character`.

        Raises MissingExtra if the library is not installed, RunError if the metrics are damaged.
        """
        return frame(history_columns(read_history(RunFolder(self.folder))), library)


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
    checkpoint. Raises TrainingError if memory is short, FolderLost if the run's folder was moved.
    """
    if group.is_first:
        report = with_dashboards(report, record.training.log)
    try:
        with _memory_errors_reported(folder):
            loop = _set_up(folder, record, dataset, report, group, held, resumed=resumed)
            try:
                reason, signal_number = loop.fit()
                loop.learner.release()
                loop.checkpoint_manager.release()
            finally:
                report.close()
        metrics = group.first_does(lambda: _conclude(loop, record, dataset, reason, held))
    finally:
        report.finished()
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
            "not enough memory: close other programs, then continue with "
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
    weights = None
    if (start := record.start) is not None:
        weights = group.first_does(lambda: saved_start(folder, start).tensors)
    learner = make_learner(configuration, group, weights=weights)
    loader = make_loader(learner, dataset.training)
    checkpoint_manager = CheckpointManager(
        folder,
        held,
        keep=configuration.keep,
        fingerprint=fingerprint(configuration),
        reporter=report,
        group=group,
    )
    budget_clock = BudgetClock.of(configuration, loader.stream.windows_per_epoch)
    progress = Progress()
    if resumed:
        progress = checkpoint_manager.resume(learner, budget_clock.check)
        report.say(f"resuming after step {progress.step:,}: {folder.path}")
        budget_clock.continue_from(progress)
    has_new_budget = budget_clock.is_new_for(progress)
    if has_new_budget and progress.evaluations_without_better >= (
        configuration.patience or math.inf
    ):
        progress.evaluations_without_better = 0
    if resumed and group.is_first and record != read_record(folder):
        write_record(folder, record)
    report.began(folder.path, settings_of(record), progress.step)
    metrics = MetricsLog(
        checkpoint_manager.metrics.append,
        report,
        budget_clock,
        loader.stream.batch_size * loader.stream.window,
        dataset.symbols_per_character,
    )
    validation = dataset.validation
    return Loop(
        folder=folder,
        vocabulary=dataset.text.vocabulary,
        provenance=_provenance(record, dataset),
        evaluation=None if validation is None else QuickEvaluation(validation, group),
        learner=learner,
        clock=budget_clock,
        metrics=metrics,
        progress=progress,
        reporter=report,
        checkpoint_manager=checkpoint_manager,
        loader=loader,
        saved_step=progress.step if resumed and not has_new_budget else -1,
        starts_trained=start is not None,
    )


def _provenance(record: RunRecord, dataset: Dataset) -> dict[str, Any]:
    """The entries of the model file about where the model comes from."""
    return {
        "texts": [displayed(Path(name).name) for name in record.text.texts],
        "digest": record.text.digest,
        READING: record.text.reading.to_json(record.text.vocabulary),
        **_sizes(dataset),
        **_documents(dataset),
        "seed": record.training.seed,
        "made_with": record.made_with,
        **origins_of(record),
    }


def _sizes(dataset: Dataset) -> dict[str, int]:
    """The symbols of each part; those of a test only where there is one."""
    validation, test = dataset.validation, dataset.test
    sizes = {
        "training_characters": dataset.training.symbols,
        "validation_characters": 0 if validation is None else validation.symbols,
    }
    return sizes if test is None else sizes | {"test_characters": test.symbols}


def _documents(dataset: Dataset) -> dict[str, Any]:
    """How many documents train, and how many of them have each label."""
    training, vocabulary = dataset.training, dataset.text.vocabulary
    if training.boundary is None:
        return {}
    found: dict[str, Any] = {"training_documents": training.segments}
    if vocabulary.labels:
        numbers = training.label_numbers
        counts = np.zeros(len(vocabulary.labels) + 1, np.int64)
        if numbers is not None:
            counts = np.bincount(numbers, minlength=len(counts))
        found["label_counts"] = counts[1:].tolist()
    return found


def _conclude(
    loop: Loop, record: RunRecord, dataset: Dataset, reason: StoppedBecause, held: HeldFolder | None
) -> dict[str, Any]:
    """Evaluate the best model, write what ends the run, and return its figures.

    The row that ends the run is written last: a run that is killed before is resumed, and then
    makes its report. Raises FolderLost if the run's folder was moved, removed or replaced.
    """
    if held is not None:
        held.check()
    folder, report = loop.folder, loop.reporter
    if not folder.is_run:  # config.json was removed; a resume needs it
        write_record(folder, record)
    with contextlib.nullcontext() if reason == "interrupted" else report.concluding():
        metrics = _metrics(loop, dataset, reason)
    if reason != "interrupted":
        write_record(folder, with_schedule(record, loop.progress))
        _write_document_index(folder, dataset, report)
    rows = loop.checkpoint_manager.metrics
    rows.flush()
    try:
        write_report(folder, record, metrics)
    except (OSError, RunError) as error:
        report.warn(f"{folder.report} cannot be written ({error}): the run itself is saved")
    ended = {"step": loop.progress.step, "event": "ended", **metrics}
    rows.append(ended)
    rows.flush()
    report.logged(ended)
    for line in _result_lines(metrics, python=getattr(report, "speaks_python", False)):
        report.say(line)
    return metrics


def _write_document_index(folder: RunFolder, dataset: Dataset, report: Reporter) -> None:
    """Write the index of all documents of the text, by which `sample --novel` finds new ones."""
    if dataset.text.part.boundary is None:
        return
    decode = dataset.text.vocabulary.decode
    try:
        write_document_index(folder.documents, map(decode, dataset.text.part.documents()))
    except (OSError, RunError) as error:
        report.warn(f"{folder.documents} cannot be written ({error}): sample --novel needs it")


def _metrics(loop: Loop, dataset: Dataset, reason: StoppedBecause) -> dict[str, Any]:
    """The run's figures; the best model is evaluated on what was held back unless interrupted."""
    evaluated = {} if reason == "interrupted" else _conclude_model(loop, dataset)
    progress, model = loop.progress, loop.configuration.model
    return {
        "run": str(loop.folder.path),
        "model": str(loop.folder.model),
        "parameters": model.parameters,
        "vocabulary_size": model.vocabulary_size,
        **_sizes(dataset),
        "steps": progress.step,
        "characters_seen": loop.metrics.characters_seen(progress),
        "train_seconds": round(progress.seconds, 3),
        "validation": _shown(evaluated["validation"]) if "validation" in evaluated else None,
        **{
            name: _shown(evaluated[name])
            for name in ("test", "adaptive_validation")
            if name in evaluated
        },
        "validation_warning": dataset.warning(),
        "baselines": _baselines(dataset) if "validation" in evaluated else None,
        "best_step": progress.best_step,
        "stopped_because": reason,
    }


def _conclude_model(loop: Loop, dataset: Dataset) -> dict[str, Figures]:
    """Evaluate the best model on what was held back; write into its file what was measured.

    That is the temperature, the figures, and how large gradients are over the training part.
    """
    file = _at_best_temperature(read_model_file(loop.folder.model), dataset.validation)
    evaluated = {
        name: open_model(file).evaluate(part.beginning(EXACT_LIMIT))
        for name, part in (("validation", dataset.validation), ("test", dataset.test))
        if part is not None
    }
    figures = {name: each.as_json() for name, each in evaluated.items()}
    segments = segments_for(loop.metrics.characters_seen(loop.progress))
    sizes = gather_gradient_sizes(file.configuration, file.tensors, dataset.training, segments)
    file = replace(file, training=file.training | figures, gradient_sizes=sizes)
    write_model_file(loop.folder.model, file)
    if loop.configuration.adaptive_validation and dataset.validation is not None:
        evaluated["adaptive_validation"] = open_model(file).evaluate(
            dataset.validation.beginning(EXACT_LIMIT), adaptive=True
        )
    return evaluated


def _at_best_temperature(file: ModelFile, validation: Part | None) -> ModelFile:
    """Divide a model's logits by the temperature that fits the validation part best."""
    if validation is None:
        return file
    temperature = fitted_temperature(open_model(file), validation)
    if temperature == 1.0:
        return file
    before = file.training.get(TEMPERATURE, 1.0)  # of an earlier end of the run, the same model
    training = file.training | {TEMPERATURE: round(before * temperature, 3)}
    return replace(file, tensors=at_temperature(file.tensors, temperature), training=training)


def _baselines(dataset: Dataset) -> dict[str, Any] | None:
    """Evaluate simple methods on the validation part, in bits per character.

    None if the part is too short to compare by. Of a long text the last symbols are counted, so
    that this takes a few seconds at most.
    """
    if dataset.validation is None or len(dataset.validation) < COMPARED_FROM:
        return None
    return baselines(
        dataset.training, dataset.validation, dataset.text.vocabulary, most_counted=MOST_COUNTED
    ).as_json()


def _shown(figures: Figures) -> dict[str, Any]:
    """The figures that the command line promises, and how well labels are found, if there are."""
    json = figures.as_json()
    names = ["nats_per_character", "bits_per_character", "bits_per_byte", "perplexity"]
    return {name: json[name] for name in [*names, "classification"] if name in json}


def _result_lines(metrics: dict[str, Any], *, python: bool = False) -> list[str]:
    """The last lines of a run: its validation figures and the command or call to type next."""
    spent = f"{plural(metrics['steps'], 'step')} in {clock(metrics['train_seconds'])}"
    run = Path(metrics["run"])
    if metrics["stopped_because"] == "interrupted":
        return [f"interrupted after {spent}; continue with: {_resume(run, python=python)}"]
    lines = []
    for name in ("validation", "test", "adaptive_validation"):
        if (figures := metrics.get(name)) is None:
            continue
        compared = _compared(metrics["baselines"]) if name == "validation" else ""
        shown = name.replace("_", " ")
        lines.append(f"{shown}: {figures['bits_per_character']:.2f} bits per character{compared}")
        lines.append(
            f"in other units: {figures['nats_per_character']:.3f} nats per character, "
            f"{figures['bits_per_byte']:.2f} bits per byte, "
            f"perplexity {figures['perplexity']:.2f}"
        )
    validation = metrics["validation"]
    if validation is not None and _is_beaten(validation, metrics["baselines"]):
        minutes = max(3, math.ceil(2 * metrics["train_seconds"] / 60))
        command = _resume(run, minutes, python=python)
        lines.append(f"5-grams predict this text better: train longer with: {command}")
    command = command_line(["ricorda", "sample", run])
    if python:
        command = f'ricorda.load({fspath(run)!r}).generate("...")'
    return [*lines, f"{spent}; continue a text with: {command}"]


def _resume(run: Path, minutes: int | None = None, *, python: bool) -> str:
    """The command that continues a run, or the call."""
    if python:
        budget = "" if minutes is None else f", minutes={minutes}"
        return f"ricorda.resume({fspath(run)!r}{budget})"
    budget_options = [] if minutes is None else ["--minutes", str(minutes)]
    return command_line(["ricorda", "resume", run, *budget_options])


def _compared(simple: dict[str, Any] | None) -> str:
    """The two baselines that are hardest to beat, after a model's figure."""
    return "" if simple is None else f"; 5-grams {simple['five_grams']:.2f}, xz {simple['xz']:.2f}"


def _is_beaten(validation: dict[str, Any], simple: dict[str, Any] | None) -> bool:
    """Whether 5-grams predict the validation part better than the model does."""
    bits: float = validation["bits_per_character"]
    return simple is not None and bool(simple["five_grams"] < bits)
