"""Moving a run's folder: to another name, or aside, on the same file system."""

import os
from dataclasses import replace
from pathlib import Path

from ricorda.durable import flush_folder, refuse_link
from ricorda.errors import RunError
from ricorda.runs import PIPED_TEXT, RunFolder
from ricorda.training.checkpoint.held_folder import RunLock
from ricorda.training.checkpoint.record import read_record, write_record


def move_run(run: RunFolder, path: Path) -> RunFolder:
    """Give the folder of a run that no process trains another place, and return it.

    If the run keeps texts that came through a pipe, its config.json names their new place. Raises
    RunError, before anything changes, if the folder is a link, if its config.json is not a run's,
    if a process trains in it, or if the place is taken; OSError if the system refuses.
    """
    refuse_link(run.path)
    record = read_record(run)
    if os.path.lexists(path):
        raise RunError(f"expected a free name, {path} is taken: choose another")
    with RunLock(run.path):
        run.path.rename(path)
    for folder in {run.path.parent, path.parent}:
        flush_folder(folder)
    moved = RunFolder(path)
    texts = [_moved(name, run.path, path) for name in record.text.texts]
    if texts != record.text.texts:
        write_record(moved, replace(record, text=replace(record.text, texts=texts)))
    return moved


def _moved(name: str, before: Path, now: Path) -> str:
    """The place of a text, if it was a copy in the folder that was moved."""
    text = Path(name)
    if text.parent != before.absolute() or not PIPED_TEXT.fullmatch(text.name):
        return name
    return str(now.absolute() / text.name)
