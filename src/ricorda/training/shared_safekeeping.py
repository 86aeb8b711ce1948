"""Checkpoints of several processes: rank 0 saves and broadcasts."""

from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from ricorda.training.checkpoint.manager import CheckpointManager
from ricorda.training.checkpoint.row_log import RowLog
from ricorda.training.checkpoint.snapshot import Progress
from ricorda.training.learner_state import Learner
from ricorda.training.process_group import ProcessGroup


class NoRows:
    """Rows of a process that does not write."""

    def append(self, row: dict[str, Any]) -> None:
        """Leave it to the first."""

    def flush(self) -> None:
        """Leave it to the first."""


class SharedCheckpointManager:
    """What `CheckpointManager` does, done by the first process alone.

    own: the first one's; None in the others. Every method must be called by all.
    """

    def __init__(self, own: CheckpointManager | None, ranks: ProcessGroup) -> None:
        self._own = own
        self._ranks = ranks
        self._restored: dict[str, Tensor] | None = None
        self.metrics: RowLog | NoRows = NoRows() if own is None else own.metrics
        self.samples: RowLog | NoRows = NoRows() if own is None else own.samples
        if own is not None:
            own.on_restored = self._keep_restored

    @property
    def is_empty(self) -> bool:
        """Whether there is no checkpoint yet."""
        return bool(self._ranks.first_does(lambda: self._first.is_empty))

    @property
    def has_model(self) -> bool:
        """Whether a model was saved."""
        return bool(self._ranks.first_does(lambda: self._first.has_model))

    @property
    def has_failed(self) -> bool:
        """Whether the last save, which is waited for, failed."""
        return bool(self._ranks.first_does(lambda: self._first.has_failed))

    @property
    def folder_is_lost(self) -> bool:
        """Whether rank 0 knows that the run's folder was moved, removed or replaced."""
        return self._own is not None and self._own.folder_is_lost

    def check_folder(self) -> None:
        """Raise FolderLost in all ranks if the run's folder was moved, removed or replaced."""
        self._ranks.first_does(lambda: self._first.check_folder())  # noqa: PLW0108

    def save(self, learner: Learner, progress: Progress, better_model: bytes | None) -> None:
        """Copy the run as it is; the first writes the copy in the background."""
        if self._own is None:
            learner.whole_state()  # which the first gathers
        else:
            self._own.save(learner, progress, better_model)

    def finish_large(self) -> None:
        """Wait for the last copy if it is large; the other ranks need not wait."""
        if self._own is not None:
            self._own.finish_large()

    def release(self) -> None:
        """Free the best model's memory."""
        if self._own is not None:
            self._own.release()

    def tell(self) -> None:
        """Tell of a save that failed."""
        if self._own is not None:
            self._own.tell()

    def wait(self) -> None:
        """Wait until nothing is being written."""
        self._ranks.first_does(lambda: self._first.wait())  # noqa: PLW0108 - the others have none

    def close(self) -> None:
        """Wait, and save no more; the others need not wait."""
        if self._own is not None:
            self._own.close()

    def finish(self) -> None:
        """Wait for the last save. Raises TrainingError in all if it failed."""
        self._ranks.first_does(lambda: self._first.finish())  # noqa: PLW0108

    def resume(self, learner: Learner) -> Progress:
        """Bring every process's learner back to the newest good checkpoint."""
        return self._bring_back(learner, lambda: self._first.resume(learner))

    def go_back(self, learner: Learner) -> Progress:
        """Bring every process's learner back to the last evaluation's checkpoint."""
        return self._bring_back(learner, lambda: self._first.go_back(learner))

    def _bring_back(self, learner: Learner, by_the_first: Any) -> Progress:
        """Have the first read a checkpoint, and give its tensors to the others."""
        adapter = TypeAdapter(Progress)

        def work() -> Any:
            progress = by_the_first()
            return adapter.dump_python(progress, mode="json"), self._restored is not None

        progress, has_tensors = self._ranks.first_does(work)
        if has_tensors:
            tensors = self._ranks.spread(self._restored)
            if self._own is None:
                learner.restore(tensors)
        self._restored = None
        return adapter.validate_python(progress)

    def _keep_restored(self, tensors: dict[str, Tensor]) -> None:
        self._restored = tensors

    @property
    def _first(self) -> CheckpointManager:
        """The first process's own, which only its work touches."""
        assert self._own is not None
        return self._own
