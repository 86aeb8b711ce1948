"""Everything of a run that lasts: its checkpoints, its best model, its rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from ricorda.durable import write_atomically
from ricorda.errors import ModelFileError, RunError, TrainingError
from ricorda.model import read_model_file
from ricorda.runs import RunFolder
from ricorda.shell import command_line
from ricorda.training.checkpoint.fingerprint import difference
from ricorda.training.checkpoint.folder import Broken, CheckpointFolder
from ricorda.training.checkpoint.held_folder import HeldFolder
from ricorda.training.checkpoint.row_log import RowLog
from ricorda.training.checkpoint.snapshot import Progress, Restored, restore, take_snapshot
from ricorda.training.checkpoint.writer import CheckpointWriter
from ricorda.training.learner_state import Learner
from ricorda.training.report.progress import Reporter

LARGEST_BESIDE = 64 << 20  # bytes of a copy beside which the next one may be made


class CheckpointManager:
    """Saves a run and brings it back.

    held: the run's folder, into which nothing is written once it is lost.
    fingerprint: what the run's bits depend on; a resume reports differences.
    """

    def __init__(
        self, held: HeldFolder, *, keep: int, fingerprint: dict[str, Any], reporter: Reporter
    ) -> None:
        self._held = held
        self._folder = folder = RunFolder(held.path)
        self._reporter = reporter
        self._fingerprint = fingerprint
        self._checkpoints = CheckpointFolder(folder.checkpoints, keep)
        self._saver = CheckpointWriter(held, self._checkpoints, folder.model)
        self._best: bytes | None = None
        self._copied = 0  # bytes of the last copy's tensors
        self.on_restored: Callable[[dict[str, Tensor]], None] | None = None
        """Is given a checkpoint's tensors when a learner was brought back to it."""
        self.metrics = RowLog(held, folder.metrics, reporter.say)
        self.samples = RowLog(held, folder.samples, reporter.say)

    @property
    def is_empty(self) -> bool:
        """Whether there is no checkpoint yet."""
        return self._checkpoints.is_empty

    @property
    def has_model(self) -> bool:
        """Whether a model was saved."""
        return self._best is not None or self._folder.model.exists()

    @property
    def folder_is_lost(self) -> bool:
        """Whether a write found that the run's folder was moved, removed or replaced."""
        return self._held.is_lost

    def check_folder(self) -> None:
        """Raise FolderLost if the run's folder was moved, removed or replaced."""
        self._held.check()

    def save(self, learner: Learner, progress: Progress, better_model: bytes | None) -> None:
        """Copy the run as it is, and write the copy in the background."""
        self._best = better_model or self._best
        self.finish_large()
        snapshot = take_snapshot(
            learner,
            progress,
            fingerprint=self._fingerprint,
            metrics=self.metrics.content,
            samples=self.samples.content,
            best=self._best,
        )
        self._copied = sum(tensor.nbytes for tensor in snapshot.tensors.values())
        self._saver.save(snapshot, better_model)

    def tell(self) -> None:
        """Tell of a save that failed."""
        self._saver.tell(self._reporter.say)

    def finish_large(self) -> None:
        """Wait for the last copy if it is large, so that memory never holds two of them."""
        if self._copied > LARGEST_BESIDE:
            self.wait()

    def wait(self) -> None:
        """Wait until nothing is being written."""
        self._saver.wait()

    def close(self) -> None:
        """Wait, and save no more."""
        self._saver.close()

    def release(self) -> None:
        """Free the best model's memory: it is on the disk, and no further step will be saved."""
        self._best = None

    @property
    def has_failed(self) -> bool:
        """Whether the last save, which is waited for, failed."""
        self._saver.wait()
        return self._saver.has_failed

    def finish(self) -> None:
        """Wait for the last save. Raises TrainingError if it failed."""
        self._saver.finish(
            "the last checkpoint stands; make room or give leave, then "
            f"`{command_line(['ricorda', 'resume', self._folder.path])}`"
        )

    def resume(self, learner: Learner) -> Progress:
        """Bring a learner and the files of the run back to the newest good checkpoint.

        A run that was stopped before its first begins. Raises RunError if there is none any more.
        """
        if self.is_empty and not self._folder.metrics.exists():
            return Progress()
        restored = self._restored(learner, anchor=False)
        if restored is None:
            raise RunError(self._why_none())
        if told := difference(restored.fingerprint, self._fingerprint):
            self._reporter.say(told)
        self._held.saved_step = restored.progress.step
        self._restore_model(restored)
        return restored.progress

    def go_back(self, learner: Learner) -> Progress:
        """Bring a learner and the rows back to the last evaluation's checkpoint.

        Raises TrainingError if there is none.
        """
        self.wait()
        restored = self._restored(learner, anchor=True) or self._restored(learner, anchor=False)
        if restored is None:
            raise TrainingError(
                f"the numbers went wrong, and there is no good checkpoint in "
                f"{self._folder.checkpoints} to go back to: begin anew with a lower --learning-rate"
            )
        return restored.progress

    def _restored(self, learner: Learner, *, anchor: bool) -> Restored | None:
        """The newest checkpoint that is whole and fits."""
        for checkpoint in self._checkpoints.good(self._reporter.say, anchor=anchor):
            try:
                restored = restore(checkpoint, learner)
            except (Broken, OSError) as error:
                self._reporter.say(
                    f"the checkpoint {checkpoint.place} is broken ({error}): an older one is taken"
                )
                continue
            self._best = restored.best
            if self.on_restored is not None:
                self.on_restored(restored.tensors)
            self.metrics.restore(restored.metrics)
            self.samples.restore(restored.samples)
            return restored
        return None

    def _why_none(self) -> str:
        place = self._folder.checkpoints
        if self._checkpoints.is_empty:
            return f"no checkpoint in {place}, although the run has taken steps; start it again"
        return f"no checkpoint in {place} is whole: the run cannot go on; start it again"

    def _restore_model(self, restored: Restored) -> None:
        """Put the best model back where it is missing, damaged or another step's."""
        if restored.best is None:
            return
        step = restored.progress.best_step
        if _step_of(self._folder.model) != step:
            write_atomically(self._folder.model, restored.best)


def _step_of(model: Path) -> int | None:
    """After which step a model was kept; None where it cannot be read."""
    try:
        step = read_model_file(model).training.get("step")
    except ModelFileError:
        return None
    return step if isinstance(step, int) else None
