"""Moving a run's folder: to another name, or aside, on the same file system."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from ricorda.durable import flush_folder, refuse_link
from ricorda.errors import RunError
from ricorda.runs import PIPED_TEXT, RunFolder
from ricorda.training.checkpoint.held_folder import RunLock
from ricorda.training.checkpoint.record import RunRecord, read_record, write_record


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
    if (now := with_own_copies(record, moved)) != record:
        write_record(moved, now)
    return moved


def with_own_copies(record: RunRecord, run: RunFolder) -> RunRecord:
    """Return the record with the paths of piped texts' copies in the run's folder.

    config.json has their paths from before the folder was moved.
    """

    names = Counter(Path(name).name for name in record.text.texts)

    def place(name: str) -> str:
        before = Path(name)
        own = run.path.absolute() / before.name
        is_copy = names[own.name] == 1 or not before.parent.exists()  # else a text of that name
        return str(own) if PIPED_TEXT.fullmatch(own.name) and own.is_file() and is_copy else name

    texts = [place(name) for name in record.text.texts]
    return replace(record, text=replace(record.text, texts=texts))
