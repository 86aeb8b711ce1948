"""Deleting a run: the files that ricorda wrote into its folder, and nothing else."""

from collections.abc import Iterable
from pathlib import Path

from ricorda.durable import refuse_link, remove_file, remove_folder
from ricorda.errors import RunError
from ricorda.runs import LOCK, PIPED_TEXT, RunFolder
from ricorda.training.checkpoint.folder import CheckpointFolder
from ricorda.training.checkpoint.held_folder import RunLock
from ricorda.training.checkpoint.record import read_record


def delete_run(run: RunFolder) -> list[Path]:
    """Delete a run that no process trains, and its folder if empty; return what stays in it.

    Links, folders, pipes and devices with the names of ricorda's files stay, and so does every
    other file. Config.json goes last, so that a deletion that was interrupted can be repeated.
    Raises RunError, before anything is deleted, if the folder or its checkpoints folder is a link,
    if its config.json is not a run's, or if a process trains in it. Raises RunError if a file
    cannot be removed; files removed before that stay removed.
    """
    refuse_link(run.path)
    refuse_link(run.checkpoints)
    read_record(run)
    with RunLock(run.path):
        texts = [path for path in run.path.iterdir() if PIPED_TEXT.fullmatch(path.name)]
        own = [run.model, run.start, run.metrics, run.samples, run.report, run.note, run.documents]
        _remove([*texts, *own, run.dashboards, *run.events])
        CheckpointFolder(run.checkpoints, keep=0).remove_all()
        _remove([run.config])
    remove_folder(run.path, [LOCK])
    return sorted(run.path.iterdir()) if run.path.is_dir() else []


def _remove(files: Iterable[Path]) -> None:
    """Remove those of some files that are there. Raises RunError where the system refuses."""
    for path in files:
        remove_file(path)
        if path.is_file() and not path.is_symlink():
            raise RunError(
                f"cannot remove {path}: make it and its folder writable, then repeat the command"
            )
