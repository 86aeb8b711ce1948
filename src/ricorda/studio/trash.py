"""Deleted runs, which can be restored: in a hidden folder inside the folder of runs.

A deletion is a rename on the same file system, so a run of any size is back at once. Each deleted
run keeps its name in a numbered folder of its own, RUNS/.ricorda-trash/NUMBER/NAME. Only a deletion
for good removes files, and only those that ricorda wrote.
"""

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ricorda.durable import make_folder, refuse_link
from ricorda.errors import RunError
from ricorda.runs import RunFolder
from ricorda.studio.trainings import Trainings
from ricorda.studio.workspace import Workspace
from ricorda.text.file_names import is_utf8
from ricorda.training.checkpoint.deletion import delete_run
from ricorda.training.checkpoint.moving import move_run

FOLDER = ".ricorda-trash"
_NUMBER = re.compile("[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Deleted:
    """A run in the trash."""

    number: int
    run: RunFolder

    @property
    def name(self) -> str:
        """The name that it had."""
        return self.run.path.name

    @property
    def key(self) -> str:
        """The name of its private files."""
        return f"{FOLDER}/{self.number}/{self.name}"


class Trash:
    """The deleted runs of a workspace; from any thread."""

    def __init__(self, workspace: Workspace, trainings: Trainings) -> None:
        """Look after the trash of the workspace's folder of runs; nothing is made yet."""
        self._workspace = workspace
        self._trainings = trainings
        self._folder = workspace.runs / FOLDER
        self._lock = threading.Lock()

    def runs(self) -> list[Deleted]:
        """The deleted runs, the newest first; links are no runs."""
        found = (Deleted(number, RunFolder(path)) for number, path in self._places())
        return sorted((each for each in found if each.run.is_run), key=lambda each: -each.number)

    def put(self, name: str) -> Deleted:
        """Move a run into the trash. Raises RunError if it is being trained, or is no run."""
        with self._lock:
            run = self._workspace.run(name)
            self._check()
            number = self._free_number()
            deleted = Deleted(number, RunFolder(self._folder / str(number) / name))

            def move() -> None:
                make_folder(self._folder)
                deleted.run.path.parent.mkdir()
                try:
                    move_run(run, deleted.run.path)
                finally:
                    self._remove_empty(number)

            self._trainings.put(name, move, deleted.key)
            return deleted

    def restore(self, number: int) -> str:
        """Move a run back; return its name, which is numbered if another run has it by now."""
        with self._lock:
            deleted = self._find(number)
            target = self._workspace.place_again(deleted.name, set(self._trainings.names()))
            move_run(deleted.run, target)
            self._remove_empty(number)
            now = self._workspace.private_files_of(target.name)
            for old, new in zip(self._private_files(deleted), now, strict=True):
                with contextlib.suppress(FileNotFoundError):
                    old.replace(new)
            return target.name

    def delete(self, number: int) -> list[str]:
        """Delete a run for good; return the names of the files that stay, which are not ricorda's.

        Raises RunError.
        """
        with self._lock:
            deleted = self._find(number)
            left = delete_run(deleted.run)
            for path in self._private_files(deleted):
                path.unlink(missing_ok=True)
            self._remove_empty(number)
            return [path.name for path in left]

    def _private_files(self, deleted: Deleted) -> tuple[Path, ...]:
        return self._workspace.private_files_of(deleted.key)

    def _find(self, number: int) -> Deleted:
        self._check()
        for deleted in self.runs():
            if deleted.number == number:
                return deleted
        raise RunError("expected a deleted run, found none with this number")

    def _check(self) -> None:
        """Raise RunError if something else than a folder is in the trash's place."""
        refuse_link(self._folder)

    def _free_number(self) -> int:
        """A number larger than all that are taken, by whatever."""
        return 1 + max((number for number, _ in self._numbered()), default=0)

    def _numbered(self) -> Iterator[tuple[int, Path]]:
        """What has a number for a name."""
        if not _is_folder(self._folder):
            return
        for path in self._folder.iterdir():
            if _NUMBER.fullmatch(path.name):
                yield int(path.name), path

    def _places(self) -> Iterator[tuple[int, Path]]:
        """The folders of deleted runs, with their numbers."""
        for number, folder in self._numbered():
            if _is_folder(folder):
                for path in filter(_is_folder, folder.iterdir()):
                    if is_utf8(path.name):
                        yield number, path

    def _remove_empty(self, number: int) -> None:
        """Remove the folders that ricorda made and that are empty by now."""
        for folder in (self._folder / str(number), self._folder):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _is_folder(path: Path) -> bool:
    """Whether a folder lies there, and no link to one."""
    return path.is_dir() and not path.is_symlink()
