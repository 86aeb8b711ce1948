"""Saving and restoring a run: its checkpoints, its best model, its rows."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ricorda.durable import write_atomically
from ricorda.errors import ModelFileError, RunError, TrainingError
from ricorda.model import read_model_file
from ricorda.runs import RunFolder, read_rows
from ricorda.shell import command_line
from ricorda.training.checkpoint.folder import Broken, CheckpointFolder, broken_message
from ricorda.training.checkpoint.held_folder import HeldFolder
from ricorda.training.checkpoint.record import difference
from ricorda.training.checkpoint.snapshot import Progress, Restored, Snapshot, restore
from ricorda.training.checkpoint.writer import CheckpointWriter, RowLog
from ricorda.training.learner import Learner, Tensors
from ricorda.training.process_group import ALONE, ProcessGroup
from ricorda.training.report.progress import Reporter

LARGEST_BESIDE = 64 << 20  # bytes of a copy beside which the next one may be made


class NoRows:
    """The rows of a process that does not write them."""

    content = b""

    def append(self, row: dict[str, Any]) -> None:
        """Ignore a row."""

    def restore(self, content: bytes) -> None:
        """Ignore the rows of a checkpoint."""

    def flush(self) -> None:
        """Do nothing."""


class CheckpointManager:
    """Saves a run and restores it.

    Rank 0 of the group reads and writes; every process must call each method and each property
    except `folder_is_lost`. held: the run's folder, into which nothing is written once it is lost;
    None in the other processes. fingerprint: what the run's bits depend on; a resume reports
    differences.
    """

    def __init__(
        self,
        folder: RunFolder,
        held: HeldFolder | None,
        *,
        keep: int,
        fingerprint: dict[str, Any],
        reporter: Reporter,
        group: ProcessGroup = ALONE,
    ) -> None:
        self._group = group
        self._folder = folder
        self._held = held = held or HeldFolder(folder.path)
        self._reporter = reporter
        self._fingerprint = fingerprint
        self._checkpoints = CheckpointFolder(folder.checkpoints, keep)
        self._writer = CheckpointWriter(held, self._checkpoints, folder.model)
        self._best: bytes | None = None
        self._copied = 0  # bytes of the last copy's tensors
        self.metrics: RowLog | NoRows = NoRows()
        self.samples: RowLog | NoRows = NoRows()
        if group.is_first:
            self.metrics = RowLog(held, folder.metrics, reporter.warn)
            self.samples = RowLog(held, folder.samples, reporter.warn)

    @property
    def is_empty(self) -> bool:
        """Whether there is no checkpoint yet."""
        return self._group.first_does(lambda: self._checkpoints.is_empty)

    @property
    def has_model(self) -> bool:
        """Whether a model was saved."""
        return self._group.first_does(lambda: self._best is not None or self._folder.model.exists())

    @property
    def has_failed(self) -> bool:
        """Whether the last save, for which it waits, failed."""
        self.wait()
        return self._group.first_does(lambda: self._writer.has_failed)

    @property
    def folder_is_lost(self) -> bool:
        """Whether a write found that the run's folder was moved, removed or replaced."""
        return self._held.is_lost

    def check_folder(self) -> None:
        """Raise FolderLost if the run's folder was moved, removed or replaced."""
        self._group.first_does(self._held.check)

    def save(self, learner: Learner, progress: Progress, better_model: bytes | None) -> None:
        """Copy the run as it is, and write the copy in the background."""
        self.finish_large()
        if not self._group.is_first:
            learner.tensors()  # rank 0 gathers the state from all processes
            return
        self._best = better_model or self._best
        snapshot = Snapshot(
            learner.tensors(),
            asdict(progress),
            self._fingerprint,
            self.metrics.content,
            self.samples.content,
            self._best,
            anchor=progress.evaluated_step == progress.step,
        )
        self._copied = sum(tensor.nbytes for tensor in snapshot.tensors.values())
        self._writer.save(snapshot, better_model)

    def report_failure(self) -> None:
        """Report a save that failed."""
        self._writer.report_failure(self._reporter.warn)

    def finish_large(self) -> None:
        """Wait for the last copy if it is large, so that memory never holds two of them."""
        if self._group.broadcast(self._copied) > LARGEST_BESIDE:
            self.wait()

    def wait(self) -> None:
        """Wait until nothing is being written."""
        self._group.first_does(self._writer.wait)

    def close(self) -> None:
        """Wait, and save no more."""
        self._writer.close()

    def release(self) -> None:
        """Free the best model's memory: it is on the disk, and no further step will be saved."""
        self._best = None

    def finish(self) -> None:
        """Wait for the last save. Raises TrainingError if it failed."""
        resume = command_line(["ricorda", "resume", self._folder.path])
        self._group.first_does(
            lambda: self._writer.finish(
                "the last checkpoint remains; free some space or give write permission, then "
                f"`{resume}`"
            )
        )

    def resume(self, learner: Learner, check: Callable[[Progress], None]) -> Progress:
        """Restore a learner and the run's files from the newest good checkpoint.

        check: called before any file is changed; what it raises ends the resume. A run that was
        stopped before its first checkpoint starts from the beginning. Raises RunError if it had one
        and none is good.
        """
        return self._restore_everywhere(learner, lambda: self._resume(learner, check))

    def go_back(self, learner: Learner) -> Progress:
        """Restore a learner and the rows from the last evaluation's checkpoint.

        Raises TrainingError if there is none.
        """
        return self._restore_everywhere(learner, lambda: self._go_back(learner))

    def _restore_everywhere(
        self, learner: Learner, read: Callable[[], tuple[Progress, Tensors | None]]
    ) -> Progress:
        """Have rank 0 read a checkpoint, and give its tensors to the other processes."""
        progress, tensors = self._group.first_does(read)
        if tensors is not None and not self._group.is_first:
            learner.restore(tensors)
        return progress

    def _resume(
        self, learner: Learner, check: Callable[[Progress], None]
    ) -> tuple[Progress, Tensors | None]:
        if self._checkpoints.is_empty and not self._has_steps():
            self._clear_rows()
            return Progress(), None
        restored = self._restored(learner, anchor=False)
        if restored is None:
            raise RunError(self._why_none())
        check(restored.progress)
        self._restore_rows(restored)
        if message := difference(restored.fingerprint, self._fingerprint):
            self._reporter.warn(message)
        self._held.saved_step = restored.progress.step
        self._restore_model(restored)
        return restored.progress, restored.tensors

    def _clear_rows(self) -> None:
        """Remove the rows of step 0, which come anew."""
        folder = self._folder
        for path, rows in ((folder.metrics, self.metrics), (folder.samples, self.samples)):
            if path.exists():
                rows.restore(b"")

    def _has_steps(self) -> bool:
        """Whether the rows have steps after step 0; damaged rows may have."""
        try:
            return any(row["step"] > 0 for row in read_rows(self._folder.metrics))
        except RunError:
            return True

    def _go_back(self, learner: Learner) -> tuple[Progress, Tensors | None]:
        self._writer.wait()
        restored = self._restored(learner, anchor=True) or self._restored(learner, anchor=False)
        if restored is None:
            raise TrainingError(
                f"a number is no longer finite, and there is no good checkpoint in "
                f"{self._folder.checkpoints} to return to: start a new run with a lower "
                "--learning-rate"
            )
        self._restore_rows(restored)
        return restored.progress, restored.tensors

    def _restored(self, learner: Learner, *, anchor: bool) -> Restored | None:
        """Restore a learner from the newest checkpoint that is whole and fits."""
        for checkpoint in self._checkpoints.good(self._reporter.warn, anchor=anchor):
            try:
                restored = restore(checkpoint, learner)
            except (Broken, OSError) as error:
                self._reporter.warn(broken_message(checkpoint.path, error))
                continue
            return restored
        return None

    def _restore_rows(self, restored: Restored) -> None:
        """Restore the rows and the best model of a checkpoint."""
        self._best = restored.best
        self.metrics.restore(restored.metrics)
        self.samples.restore(restored.samples)

    def _why_none(self) -> str:
        place = self._folder.checkpoints
        if self._checkpoints.is_empty:
            return f"no checkpoint in {place}, although the run has taken steps; start it again"
        return f"no checkpoint in {place} is intact: the run cannot continue; start it again"

    def _restore_model(self, restored: Restored) -> None:
        """Write the best model where it is missing, damaged or another step's."""
        if restored.best is None:
            return
        step = restored.progress.best_step
        if _step_of(self._folder.model) != step:
            write_atomically(self._folder.model, restored.best)


def _step_of(model: Path) -> int | None:
    """Return the step after which a model was saved; None if it cannot be read."""
    try:
        step = read_model_file(model).training.get("step")
    except ModelFileError:
        return None
    return step if isinstance(step, int) else None
