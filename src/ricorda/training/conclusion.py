"""The end of a run: the final evaluation, the figures, the report page, the last messages."""

from typing import Any

from ricorda.engine import Figures, load
from ricorda.errors import RunError
from ricorda.model import ModelFile, read_model_file, write_model_file
from ricorda.runs import RunFolder
from ricorda.training.checkpoint.held_folder import HeldFolder
from ricorda.training.checkpoint.record import RunRecord, with_schedule, write_record
from ricorda.training.data.dataset import Dataset
from ricorda.training.loop import Loop, StoppedBecause
from ricorda.training.report.messages import result_lines
from ricorda.training.report.page import write_report

EXACT_LIMIT = 1_000_000  # validation symbols that are read one by one for the final figure


def conclude(
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
    metrics = _metrics(loop, dataset, reason)
    if reason != "interrupted":
        write_record(folder, with_schedule(record, loop.progress))
    rows = loop.checkpoint_manager.metrics
    rows.flush()
    try:
        write_report(folder, record, metrics)
    except (OSError, RunError) as error:
        report.warn(f"{folder.report} cannot be written ({error}): the run itself is saved")
    rows.append({"step": loop.progress.step, "event": "ended", **metrics})
    rows.flush()
    for line in result_lines(metrics):
        report.say(line)
    return metrics


def _metrics(loop: Loop, dataset: Dataset, reason: StoppedBecause) -> dict[str, Any]:
    """The run's figures; those of the best model on the validation text unless interrupted."""
    figures = None
    if reason != "interrupted" and dataset.validation is not None:
        figures = load(loop.folder.path).evaluate(dataset.validation[:EXACT_LIMIT])
        _write_into_model(loop.folder, figures)
    progress, model = loop.progress, loop.configuration.model
    return {
        "run": str(loop.folder.path),
        "model": str(loop.folder.model),
        "parameters": model.parameters,
        "vocabulary_size": model.vocabulary_size,
        "training_characters": len(dataset.training),
        "validation_characters": 0 if dataset.validation is None else len(dataset.validation),
        "steps": progress.step,
        "characters_seen": loop.characters_seen,
        "train_seconds": round(progress.seconds, 3),
        "validation": None if figures is None else _validation(figures),
        "validation_warning": dataset.warning(),
        "best_step": progress.best_step,
        "stopped_because": reason,
    }


def _validation(figures: Figures) -> dict[str, Any]:
    """The four figures that the command line promises."""
    json = figures.as_json()
    names = ("nats_per_character", "bits_per_character", "bits_per_byte", "perplexity")
    return {name: json[name] for name in names}


def _write_into_model(folder: RunFolder, figures: Figures) -> None:
    """Add the figures to the model file."""
    file = read_model_file(folder.model)
    training = {**file.training, "validation": figures.as_json()}
    write_model_file(
        folder.model, ModelFile(file.configuration, file.vocabulary, file.tensors, training)
    )
