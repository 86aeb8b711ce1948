"""Each safeguard switched off: with any of these applied, the named test must fail.

Applied in the processes of tests alone: by the server of faults, and by `-p tests.faults.mutating`.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DISK = "tests/faults/test_disk.py::"
KILLS = "tests/faults/test_kills.py::"
NAMED = "tests/faults/test_named_faults.py::"
FOLDER = "tests/training/test_checkpoint_folder.py::"
TENSORS = "tests/models/test_tensor_file.py::"
RESUME = "tests/training/test_resume.py::"

ORDER = DISK + "test_the_order_of_writes_flushes_and_renames"
SIGNAL = NAMED + "test_the_first_signal_saves_the_run"


@dataclass(frozen=True)
class Mutation:
    """One safeguard less."""

    apply: Callable[[], None]
    caught_by: str
    """The test that must fail, as pytest names it."""


def nothing(*_: Any, **__: Any) -> None:
    """Stand for a safeguard that is not there."""


def _files_not_flushed() -> None:
    from ricorda import durable

    durable.flush = lambda file: file.flush()


def _folders_not_flushed() -> None:
    from ricorda import durable
    from ricorda.training import checkpoint_folder

    durable.flush_folder = nothing
    checkpoint_folder.flush_folder = nothing


def _written_in_place() -> None:
    from ricorda.training.checkpoint_folder import CheckpointFolder

    def save(self: CheckpointFolder, step: int, files: Any, *, anchor: bool) -> Path:
        place = self._free_place(step)
        place.mkdir(parents=True)
        self._write(place, files, anchor)
        self._good[place.name] = anchor
        self._drop_old()
        return place

    CheckpointFolder.save = save  # type: ignore[method-assign]


def _model_in_place() -> None:
    from ricorda.training import saver

    saver.write_atomically = lambda path, content: path.write_bytes(content)  # type: ignore


def _not_read_back() -> None:
    from ricorda.training.checkpoint_folder import CheckpointFolder

    CheckpointFolder._read_back = nothing  # type: ignore[method-assign]


def _digests_not_compared() -> None:
    from ricorda.training.checkpoint_folder import Checkpoint

    Checkpoint.check = nothing  # type: ignore[method-assign]


def _manifest_not_signed() -> None:
    from ricorda.training import checkpoint_folder

    checkpoint_folder._signed = dict


def _newest_alone() -> None:
    from ricorda.training.checkpoint_folder import CheckpointFolder

    original = CheckpointFolder._places
    CheckpointFolder._places = lambda self: original(self)[:1]  # type: ignore[method-assign]


def _all_kept() -> None:
    from ricorda.training.checkpoint_folder import CheckpointFolder

    CheckpointFolder._drop_old = nothing  # type: ignore[method-assign]


def _format_not_looked_at() -> None:
    from ricorda.training import checkpoint_folder

    checkpoint_folder.FORMAT = 3


def _not_locked() -> None:
    from ricorda.training.lock import RunLock

    RunLock.__enter__ = lambda self: self  # type: ignore[method-assign]


def _without(prefix: str) -> Callable[[], None]:
    """Leave the tensors of one kind as they were before the resume."""

    def apply() -> None:
        from ricorda.training.learner import Learner

        original = Learner.restore

        def restore(self: Learner, tensors: Any) -> None:
            kept = {name: each for name, each in self.tensors().items() if name.startswith(prefix)}
            others = {n: each for n, each in tensors.items() if not n.startswith(prefix)}
            original(self, others | kept)

        Learner.restore = restore  # type: ignore[method-assign]

    return apply


def _interval_forgotten() -> None:
    from ricorda.training import checkpoint

    original = checkpoint._progress

    def progress(content: bytes) -> Any:
        found, fingerprint = original(content)
        found.interval = checkpoint.Interval()
        return found, fingerprint

    checkpoint._progress = progress


def _rows_not_restored() -> None:
    from ricorda.training.row_log import RowLog

    RowLog.restore = nothing  # type: ignore[method-assign]


def _rows_not_caught_up() -> None:
    from ricorda.training.row_log import RowLog

    RowLog._catch_up = nothing  # type: ignore[method-assign]


def _numbers_not_looked_at() -> None:
    from ricorda.training import step
    from ricorda.training.learner import Learner

    class Careless:
        isfinite = staticmethod(lambda number: True)

    step.math = Careless  # type: ignore[assignment]
    Learner.is_finite = True  # type: ignore[assignment, method-assign]


def _same_learning_rate() -> None:
    from ricorda.training.checkpoint import Progress

    Progress.learning_rate_factor = 1.0  # type: ignore[assignment, method-assign]


def _failures_not_told() -> None:
    from ricorda.training.saver import Saver

    Saver.tell = nothing  # type: ignore[method-assign]


def _last_failure_not_raised() -> None:
    from ricorda.training.saver import Saver

    Saver.finish = nothing  # type: ignore[method-assign]


def _signals_not_noted() -> None:
    from ricorda.training import interruption

    interruption.SIGNALS = []


def _second_signal_not_heard() -> None:
    from ricorda.training.interruption import Interruption

    def note(self: Interruption, number: int, frame: Any) -> None:
        self.signal_number = number

    Interruption._note = note  # type: ignore[method-assign]


def _text_not_compared() -> None:
    from ricorda.training import material

    material._compare = nothing


def _leftovers_not_removed() -> None:
    from ricorda.training import run

    run.remove_leftovers = nothing


def _links_not_refused() -> None:
    from ricorda import durable
    from ricorda.training import checkpoint_folder, lock, run

    durable.refuse_link = durable.refuse_special = nothing
    checkpoint_folder.refuse_link = run.refuse_link = lock.refuse_special = nothing


def _machine_not_compared() -> None:
    from ricorda.training import safekeeping

    safekeeping.difference = lambda before, now: ""


def _places_not_checked() -> None:
    from ricorda.models import tensor_file

    tensor_file._check_places = nothing


def _depth_not_checked() -> None:
    from ricorda import validation

    validation._check_depth = nothing


def _memory_errors_not_told() -> None:
    from ricorda.training import run

    @contextlib.contextmanager
    def untold(folder: Any) -> Iterator[None]:
        yield

    run._memory_errors_told = untold


CRAFTED = TENSORS + "test_crafted_headers_are_refused_before_anything_is_allocated"

MUTATIONS: dict[str, Mutation] = {
    "files are flushed": Mutation(_files_not_flushed, ORDER),
    "folders are flushed": Mutation(_folders_not_flushed, ORDER),
    "checkpoints are written beside their place": Mutation(_written_in_place, ORDER),
    "the model is written beside its place": Mutation(_model_in_place, ORDER),
    "what is written is read back": Mutation(
        _not_read_back, DISK + "test_what_reads_back_otherwise_is_no_checkpoint"
    ),
    "digests are compared": Mutation(
        _digests_not_compared, NAMED + "test_broken_checkpoints_are_passed_over_and_told"
    ),
    "the manifest has its own digest": Mutation(
        _manifest_not_signed, FOLDER + "test_every_flipped_bit_of_a_manifest_is_seen"
    ),
    "an older checkpoint is taken": Mutation(
        _newest_alone, NAMED + "test_broken_checkpoints_are_passed_over_and_told"
    ),
    "the newest are kept, no more": Mutation(_all_kept, FOLDER + "test_the_newest_are_kept"),
    "a newer format is refused": Mutation(
        _format_not_looked_at, NAMED + "test_a_checkpoint_of_a_newer_format_is_refused"
    ),
    "the folder is locked": Mutation(
        _not_locked, NAMED + "test_a_second_run_in_one_folder_is_refused"
    ),
    "weights are saved": Mutation(_without("model."), SIGNAL),
    "moments are saved": Mutation(_without("optimizer."), SIGNAL),
    "the carried state is saved": Mutation(_without("state."), SIGNAL),
    "the dropout generator is saved": Mutation(_without("model-generator"), SIGNAL),
    "the interval of a row is saved": Mutation(
        _interval_forgotten, RESUME + "test_a_row_that_was_begun_is_gone_on_with"
    ),
    "rows are restored": Mutation(_rows_not_restored, SIGNAL),
    "rows are caught up": Mutation(
        _rows_not_caught_up, DISK + "test_rows_that_were_kept_from_the_disk_are_caught_up"
    ),
    "numbers are looked at": Mutation(
        _numbers_not_looked_at, NAMED + "test_numbers_that_go_wrong_lead_back_and_on"
    ),
    "the learning rate is lowered": Mutation(
        _same_learning_rate, NAMED + "test_numbers_that_go_wrong_lead_back_and_on"
    ),
    "a failed save is told": Mutation(_failures_not_told, DISK + "test_a_save_that_fails_is_told"),
    "a failed last save ends the run": Mutation(
        _last_failure_not_raised,
        DISK + "test_a_disk_that_refuses_to_the_end_ends_the_run_with_the_cause",
    ),
    "the first signal is noted": Mutation(_signals_not_noted, SIGNAL),
    "the second signal ends it": Mutation(
        _second_signal_not_heard, NAMED + "test_the_second_signal_ends_the_process_at_once"
    ),
    "the text is compared": Mutation(
        _text_not_compared, NAMED + "test_a_changed_text_is_refused_and_what_differs_is_named"
    ),
    "leftovers are removed": Mutation(
        _leftovers_not_removed, KILLS + "test_kills_at_each_call_of_a_save"
    ),
    "links are refused": Mutation(_links_not_refused, NAMED + "test_where_nothing_may_be_planted"),
    "another machine is told": Mutation(
        _machine_not_compared, NAMED + "test_another_machine_is_told"
    ),
    "want of memory is told": Mutation(
        _memory_errors_not_told, NAMED + "test_a_memory_limit_ends_the_run_with_the_cause"
    ),
    "tensors fill their file": Mutation(_places_not_checked, CRAFTED),
    "JSON has a depth": Mutation(_depth_not_checked, CRAFTED),
}
"""By what the safeguard does."""
