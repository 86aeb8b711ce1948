"""Branch a run: continue its last checkpoint with other settings, in a folder of its own.

The branch has a copy of all that it needs: the checkpoint, the model that the run started from and
texts that came through a pipe. The run itself is only read.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ricorda.durable import BUFFER, flush_folder, open_untrusting, remove_files, write_new
from ricorda.errors import RunError
from ricorda.model.tensor_file import TensorFileError
from ricorda.runs import PIPED_TEXT, RunFolder, ended, json_line, new_branch_folder
from ricorda.training.checkpoint.deletion import delete_run
from ricorda.training.checkpoint.folder import (
    BEST,
    METRICS,
    PROGRESS,
    SAMPLES,
    TENSORS,
    Broken,
    Checkpoint,
    CheckpointFolder,
    Content,
    broken_message,
)
from ricorda.training.checkpoint.moving import with_own_copies
from ricorda.training.checkpoint.record import (
    BranchRecord,
    TextRecord,
    read_record,
    write_record,
)
from ricorda.training.checkpoint.snapshot import (
    LONGEST_ROWS,
    Progress,
    largest_tensors,
    progress_content,
    read_progress,
    read_tensors,
    tensors_content,
)
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.learner import Tensors
from ricorda.training.options import check_cell_option, check_decay, check_input_dropout
from ricorda.training.report.progress import Reporter


class Branch(NamedTuple):
    """A run that begins where another one was."""

    folder: RunFolder
    step: int
    """The step after which it begins."""


def make_branch(
    run: RunFolder,
    changes: Mapping[str, Any],
    budget: Budget | None,
    out: Path | None,
    report: Reporter,
) -> Branch:
    """Copy a run's last checkpoint into a new folder, as that of a run with other settings.

    changes: fields of TrainingConfiguration in BRANCH_OPTIONS. budget: that of the branch, if it is
    another one. Raises ConfigurationError for settings that contradict, RunError for a run that has
    ended and no larger budget, or that has no checkpoint.
    """
    record = with_own_copies(read_record(run), run)
    training = changed(record.training, changes)
    _check_budget(run, record.training, budget)
    folder = new_branch_folder(out, run)
    try:
        step = _copy_checkpoint(run, folder, record.training, training, changes, report)
        text = _with_own_texts(run, folder, record.text)
        if record.start is not None:
            _copy(run.start, folder.start)
        branch = BranchRecord(run=str(run.path.absolute()), step=step)
        write_record(
            folder, replace(record, text=text, training=training, branch=branch, schedule=None)
        )
    except OSError as error:
        _remove(folder)
        raise RunError(f"cannot branch {run.path}: {error.strerror or error}") from error
    except BaseException:
        _remove(folder)
        raise
    report.say(f"branch of {run.path} at step {step:,}: {folder.path}")
    return Branch(folder, step)


def remove_unused(branch: Branch) -> None:
    """Remove a branch that could not go on, unless it has come further."""
    with contextlib.suppress(OSError, RunError):
        if [path.name for path in branch.folder.checkpoints.iterdir()] == [str(branch.step)]:
            delete_run(branch.folder)


def changed(before: TrainingConfiguration, changes: Mapping[str, Any]) -> TrainingConfiguration:
    """The settings with some others. Raises ConfigurationError for those that contradict."""
    after = replace(before, **changes)
    if after.softmax_candidates >= after.model.vocabulary_size:
        after = replace(after, softmax_candidates=0)
    check_decay(after.learning_rate, after.weight_decay)
    check_input_dropout(after.input_dropout, after.model.embedding_size)
    check_cell_option("recurrent_dropout", after.recurrent_dropout, after.model.cell)
    return after


def _check_budget(run: RunFolder, before: TrainingConfiguration, budget: Budget | None) -> None:
    """Raise RunError if the budget of the run is spent, and there is no other."""
    reason = ended(run)
    if reason not in (None, "patience") and budget in (None, before.budget):
        raise RunError(
            f"the run {run.path} has ended ({reason}): give its branch a larger budget, such as "
            "--minutes 10, which counts from the run's beginning"
        )


def _copy_checkpoint(
    run: RunFolder,
    folder: RunFolder,
    before: TrainingConfiguration,
    after: TrainingConfiguration,
    changes: Mapping[str, Any],
    report: Reporter,
) -> int:
    """Write the newest good checkpoint of a run into a branch; return its step."""
    for checkpoint in CheckpointFolder(run.checkpoints, keep=1).good(report.warn):
        try:
            progress, fingerprint = read_progress(checkpoint)
            rows, others = _unchanged(checkpoint, largest_tensors(before))
            tensors = read_tensors(checkpoint, largest_tensors(before))
        except (Broken, TensorFileError, OSError) as error:
            report.warn(broken_message(checkpoint.path, error))
            continue
        progress.evaluations_without_better = 0
        if "learning_rate" in changes:
            progress.returns = 0  # which had lowered the run's
        files: dict[str, Content] = {
            **others,
            METRICS: [rows, _first_row(run, progress, changes)],
            PROGRESS: [progress_content(asdict(progress), fingerprint)],
            TENSORS: tensors_content(_with_average(tensors, is_wanted=after.averaging > 0)),
        }
        branch = CheckpointFolder(folder.checkpoints, keep=1)
        branch.save(progress.step, files, anchor=checkpoint.is_anchor)
        return progress.step
    raise RunError(f"no checkpoint in {run.checkpoints} is intact: there is nothing to branch from")


def _unchanged(checkpoint: Checkpoint, largest_model: int) -> tuple[bytes, dict[str, Content]]:
    """The rows of metrics.jsonl, and the files of a checkpoint that stay as they are."""
    longest = LONGEST_ROWS + largest_model
    kept = [SAMPLES, *([BEST] if BEST in checkpoint else [])]
    others: dict[str, Content] = {name: [checkpoint.read(name, longest)] for name in kept}
    return checkpoint.read(METRICS, longest), others


def _first_row(run: RunFolder, progress: Progress, changes: Mapping[str, Any]) -> bytes:
    """The first row of metrics.jsonl that is the branch's own."""
    row = {"step": progress.step, "seconds": round(progress.seconds, 3), "event": "branched"}
    return json_line({**row, "run": run.path.resolve().name, "changes": dict(changes)})


def _with_average(tensors: Tensors, *, is_wanted: bool) -> Tensors:
    """The tensors with averages that begin as the weights, or without any."""
    has_average = "average.steps" in tensors
    if has_average == is_wanted:
        return tensors
    if not is_wanted:
        return {name: each for name, each in tensors.items() if not name.startswith("average.")}
    averages = {
        f"average.{name.removeprefix('model.')}": each
        for name, each in tensors.items()
        if name.startswith("model.")
    }
    return tensors | averages | {"average.steps": np.zeros((), np.int64)}


def _with_own_texts(run: RunFolder, folder: RunFolder, text: TextRecord) -> TextRecord:
    """Copy the texts that came through a pipe; the record names the copies."""
    here = run.path.absolute()

    def own(name: str) -> str:
        path = Path(name)
        if path.parent != here or not PIPED_TEXT.fullmatch(path.name):
            return name
        copy = folder.path.absolute() / path.name
        _copy(path, copy)
        return str(copy)

    return replace(text, texts=[own(name) for name in text.texts])


def _copy(source: Path, target: Path) -> None:
    """Copy a file, flushed. Raises OSError, also for a link."""
    with open_untrusting(source) as file:
        write_new(target, iter(lambda: file.read(BUFFER), b""))
    flush_folder(target.parent)


def _remove(folder: RunFolder) -> None:
    """Remove what was made for a branch that did not come about."""
    with contextlib.suppress(OSError, RunError):
        CheckpointFolder(folder.checkpoints, keep=0).remove_all()
        texts = [path.name for path in folder.path.iterdir() if PIPED_TEXT.fullmatch(path.name)]
        remove_files(folder.path, [folder.start.name, *texts])
        for made in reversed(folder.made):
            made.rmdir()
