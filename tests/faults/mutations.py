"""Each safeguard switched off: with any of these applied, the named test must fail.

Applied in the processes of tests alone: by the server of faults, and by `-p tests.faults.mutating`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DISK = "tests/faults/test_disk.py::"
NAMED = "tests/faults/test_named_faults.py::"
FOLDER = "tests/training/checkpoint/test_folder.py::"
TENSORS = "tests/model/test_tensor_file.py::"
RESUME = "tests/training/test_resume.py::"
HELD = "tests/training/checkpoint/test_held_folder.py::"

ORDER = DISK + "test_the_order_of_writes_flushes_and_renames"
SIGNAL = NAMED + "test_the_first_signal_saves_the_run"


@dataclass(frozen=True)
class Mutation:
    """One safeguard less."""

    apply: Callable[[], None]
    caught_by: str
    """The test that must fail, as pytest names it."""


def put(name: str, value: object, *modules: object) -> None:
    """Put something in the place of a name that modules have; one that they lack is an error."""
    for module in modules:
        getattr(module, name)
        setattr(module, name, value)


def nothing(*_: Any, **__: Any) -> None:
    """Stand for a safeguard that is not there."""


def _files_not_flushed() -> None:
    from ricorda import durable

    put("flush", lambda file: file.flush(), durable)


def _folders_not_flushed() -> None:
    from ricorda import durable
    from ricorda.training.checkpoint import folder as checkpoint_folder

    put("flush_folder", nothing, durable)
    put("flush_folder", nothing, checkpoint_folder)


def _written_in_place() -> None:
    from ricorda.training.checkpoint.folder import CheckpointFolder

    def save(self: CheckpointFolder, step: int, files: Any, *, anchor: bool) -> Path:
        place = self._free_path(step)
        place.mkdir(parents=True)
        self._write(place, files, anchor)
        self._good[place.name] = anchor
        self._drop_old()
        return place

    put("save", save, CheckpointFolder)


def _model_in_place() -> None:
    from ricorda.training.checkpoint import writer

    put("write_atomically", lambda path, content: path.write_bytes(content), writer)


def _not_read_back() -> None:
    from ricorda.training.checkpoint.folder import CheckpointFolder

    put("_read_back", nothing, CheckpointFolder)


def _digests_not_compared() -> None:
    from ricorda.training.checkpoint.folder import Checkpoint

    put("check", nothing, Checkpoint)


def _manifest_not_signed() -> None:
    from ricorda.training.checkpoint import folder as checkpoint_folder

    put("_signed", dict, checkpoint_folder)


def _newest_alone() -> None:
    from ricorda.training.checkpoint.folder import CheckpointFolder

    original = CheckpointFolder._paths
    put("_paths", lambda self: original(self)[:1], CheckpointFolder)


def _all_kept() -> None:
    from ricorda.training.checkpoint.folder import CheckpointFolder

    put("_drop_old", nothing, CheckpointFolder)


def _format_not_looked_at() -> None:
    from ricorda.training.checkpoint import folder as checkpoint_folder

    put("FORMAT", 3, checkpoint_folder)


def _not_locked() -> None:
    from ricorda.training.checkpoint.held_folder import RunLock

    put("__enter__", lambda self: self, RunLock)


def _without(prefix: str) -> Callable[[], None]:
    """Leave the tensors of one kind as they were before the resume."""

    def apply() -> None:
        from ricorda.training.learner import Learner

        original = Learner.restore

        def restore(self: Learner, tensors: Any) -> None:
            kept = {name: each for name, each in self.tensors().items() if name.startswith(prefix)}
            others = {n: each for n, each in tensors.items() if not n.startswith(prefix)}
            original(self, others | kept)

        put("restore", restore, Learner)

    return apply


def _interval_forgotten() -> None:
    from ricorda.training.checkpoint import snapshot as checkpoint

    original = checkpoint.read_progress

    def progress(place: Any) -> Any:
        found, fingerprint = original(place)
        found.interval = checkpoint.Interval()
        return found, fingerprint

    put("read_progress", progress, checkpoint)


def _rows_not_restored() -> None:
    from ricorda.training.checkpoint.writer import RowLog

    put("restore", nothing, RowLog)


def _rows_not_caught_up() -> None:
    from ricorda.training.checkpoint.writer import RowLog

    put("_catch_up", nothing, RowLog)


def _numbers_not_looked_at() -> None:
    from ricorda.training import kernel_learner
    from ricorda.training.learner import Learner

    put("require_finite", nothing, kernel_learner)
    put("is_finite", True, Learner)


def _same_learning_rate() -> None:
    from ricorda.training.checkpoint.snapshot import Progress

    put("learning_rate_factor", 1.0, Progress)


def _failures_not_told() -> None:
    from ricorda.training.checkpoint.writer import CheckpointWriter

    put("report_failure", nothing, CheckpointWriter)


def _last_failure_not_raised() -> None:
    from ricorda.training.checkpoint.writer import CheckpointWriter

    put("finish", nothing, CheckpointWriter)


def _signals_not_noted() -> None:
    from ricorda import interrupts

    put("SIGNALS", [], interrupts)


def _second_signal_not_heard() -> None:
    from ricorda.interrupts import Interruption

    def note(self: Interruption, number: int, frame: Any) -> None:
        self.signal_number = number

    put("_note", note, Interruption)


def _text_not_compared() -> None:
    from ricorda.training.data import dataset

    put("_compare", nothing, dataset)


def _leftovers_not_removed() -> None:
    from ricorda.training import start

    put("remove_leftovers", nothing, start)


def _folder_not_watched() -> None:
    from ricorda.training.checkpoint.held_folder import HeldFolder

    put("is_in_place", True, HeldFolder)


def _others_leftovers_removed() -> None:
    from ricorda import durable

    put("is_partial", lambda name: name.endswith(durable.PARTIAL), durable)


def _links_not_refused() -> None:
    from ricorda import durable
    from ricorda.training import start
    from ricorda.training.checkpoint import folder as checkpoint_folder
    from ricorda.training.checkpoint import held_folder

    put("refuse_link", nothing, durable, checkpoint_folder, start)
    put("refuse_special", nothing, durable, held_folder)


def _machine_not_compared() -> None:
    from ricorda.training.checkpoint import manager as checkpoint_manager

    put("difference", lambda before, now: "", checkpoint_manager)


def _places_not_checked() -> None:
    from ricorda.model import tensor_file

    put("_check_places", nothing, tensor_file)


def _depth_not_checked() -> None:
    from ricorda import validation

    put("_check_structure", nothing, validation)


def _memory_errors_not_told() -> None:
    from ricorda.training import fit
    from ricorda.training.plan import forecast

    put("lacks_memory", nothing, fit, forecast)


CRAFTED = TENSORS + "test_crafted_headers_are_refused_before_anything_is_allocated"

MUTATIONS: dict[str, Mutation] = {
    "files are flushed": Mutation(_files_not_flushed, ORDER),
    "folders are flushed": Mutation(_folders_not_flushed, ORDER),
    "checkpoints are written beside their place": Mutation(_written_in_place, ORDER),
    "the model is written beside its place": Mutation(_model_in_place, ORDER),
    "what is written is read back": Mutation(
        _not_read_back, DISK + "test_what_differs_when_read_back_is_no_checkpoint"
    ),
    "digests are compared": Mutation(
        _digests_not_compared, NAMED + "test_broken_checkpoints_are_passed_over_and_reported"
    ),
    "the manifest has its own digest": Mutation(
        _manifest_not_signed, FOLDER + "test_every_flipped_bit_of_a_manifest_is_seen"
    ),
    "an older checkpoint is used": Mutation(
        _newest_alone, NAMED + "test_broken_checkpoints_are_passed_over_and_reported"
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
    "the interval of a row is saved": Mutation(
        _interval_forgotten, RESUME + "test_a_row_that_was_begun_is_gone_on_with"
    ),
    "rows are restored": Mutation(_rows_not_restored, SIGNAL),
    "rows are caught up": Mutation(
        _rows_not_caught_up, DISK + "test_rows_that_were_kept_from_the_disk_are_caught_up"
    ),
    "numbers are checked": Mutation(
        _numbers_not_looked_at, NAMED + "test_numbers_that_are_not_finite_lead_back_to_a_checkpoint"
    ),
    "the learning rate is lowered": Mutation(
        _same_learning_rate, NAMED + "test_numbers_that_are_not_finite_lead_back_to_a_checkpoint"
    ),
    "a failed save is reported": Mutation(
        _failures_not_told, DISK + "test_a_save_that_fails_is_reported"
    ),
    "a failed last save ends the run": Mutation(
        _last_failure_not_raised,
        DISK + "test_a_disk_that_fails_to_the_end_ends_the_run_with_the_cause",
    ),
    "the first signal is noted": Mutation(_signals_not_noted, SIGNAL),
    "the second signal ends it": Mutation(
        _second_signal_not_heard, NAMED + "test_the_second_signal_ends_the_process_at_once"
    ),
    "the text is compared": Mutation(
        _text_not_compared, NAMED + "test_a_changed_text_is_refused_and_what_differs_is_named"
    ),
    "leftovers are removed": Mutation(
        _leftovers_not_removed, HELD + "test_partial_files_of_others_stay"
    ),
    "the run's folder is watched": Mutation(
        _folder_not_watched,
        HELD + "test_a_folder_that_was_replaced_ends_the_run_and_the_users_files_stay",
    ),
    "leftovers of others stay": Mutation(
        _others_leftovers_removed, HELD + "test_partial_files_of_others_stay"
    ),
    "links are refused": Mutation(
        _links_not_refused, NAMED + "test_no_link_or_pipe_is_written_through"
    ),
    "another machine is reported": Mutation(
        _machine_not_compared, NAMED + "test_another_machine_is_reported"
    ),
    "a lack of memory is reported": Mutation(
        _memory_errors_not_told, NAMED + "test_a_memory_limit_ends_the_run_with_the_cause"
    ),
    "tensors fill their file": Mutation(_places_not_checked, CRAFTED),
    "JSON has a depth": Mutation(
        _depth_not_checked, "tests/test_validation.py::test_json_from_anybody_is_bounded"
    ),
}
"""By what the safeguard does."""
