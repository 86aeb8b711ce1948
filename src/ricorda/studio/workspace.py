"""Where the studio's runs and texts lie. Requests name them; no name leads anywhere else."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from ricorda.errors import RunError, TextError
from ricorda.runs import LONGEST_NAME, RunFolder, list_runs
from ricorda.studio.private_folder import private_folder
from ricorda.text.file_names import is_utf8

TEXT_SUFFIX = ".txt"
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl"})
"""The endings of tables, which a text keeps: they show how it is read."""

_RUN_NAME = re.compile(r"\w(?:[\w.-]*[\w-])?")
"""Names that shells, systems and addresses take as they are."""


@dataclass(frozen=True)
class Workspace:
    """Two folders: of runs, as `ricorda runs` lists them, and of texts that were added."""

    runs: Path = Path("runs")
    texts: Path = Path("texts")

    readable: tuple[Path, ...] = ()
    """Files and folders besides `texts` that may be read for the runs that learned them."""

    @property
    def private(self) -> Path:
        """The folder for the queue, logs, marks and figures, made when first asked for.

        Raises ConfigurationError if others than this user may use it.
        """
        return private_folder(self.runs)

    def log_of(self, run: str) -> Path:
        """What a run's process printed."""
        return self.private / f"{_key(run)}.log"

    def mark_of(self, run: str) -> Path:
        """The file that marks a run as stopped for good."""
        return self.private / f"{_key(run)}.stopped"

    def resumed_mark_of(self, run: str) -> Path:
        """The file that marks a run as one that a studio has resumed."""
        return self.private / f"{_key(run)}.resumed"

    def private_files_of(self, run: str) -> tuple[Path, ...]:
        """All files about a run in the private folder, whether they are there or not."""
        return self.log_of(run), self.mark_of(run), self.resumed_mark_of(run)

    def list_runs(self) -> list[RunFolder]:
        """Every run that an address can name, the newest first, without links."""
        return [
            run
            for run in list_runs(self.runs)
            if is_utf8(run.path.name) and not run.path.is_symlink()
        ]

    def run(self, name: str) -> RunFolder:
        """A run by its name. Raises RunError if there is none."""
        for run in self.list_runs():
            if run.path.name == name:
                return run
        raise RunError(f"expected a run under {self.runs}/, found none with this name")

    def run_is_there(self, name: str) -> bool:
        """Whether a run of this name has begun."""
        return any(run.path.name == name for run in self.list_runs())

    def text(self, name: str) -> Path:
        """A text by its name. Raises TextError if there is none."""
        for path in self.list_texts():
            if path.name == name:
                return path
        raise TextError(f"expected a text under {self.texts}/, found none with this name")

    def list_texts(self) -> list[Path]:
        """Every text, the newest first."""
        if not self.texts.is_dir():
            return []
        found = [
            path
            for path in self.texts.iterdir()
            if path.suffix in {TEXT_SUFFIX, *TABLE_SUFFIXES} and not path.name.startswith(".")
            if path.is_file() and is_utf8(path.name)
        ]
        return sorted(found, key=lambda path: (-path.stat().st_mtime_ns, path.name))

    def free_text(self, name: str) -> Path:
        """A place for a new text, numbered if the name is taken."""
        self.texts.mkdir(parents=True, exist_ok=True)
        suffix = Path(name).suffix.lower()
        kept = suffix if suffix in TABLE_SUFFIXES else TEXT_SUFFIX
        return _free(self.texts, _plain(name), kept, set())

    def is_free(self, run: str) -> bool:
        """Return whether a run may take this name: it is valid and not in use."""
        return bool(_RUN_NAME.fullmatch(run)) and not os.path.lexists(self.runs / run)

    def free_run(self, text: Path, taken: set[str]) -> Path:
        """A place for a new run, named for its text; `taken` are names that wait."""
        return _free(self.runs, _plain(text.name), "", taken)

    def named_run(self, name: str, taken: set[str]) -> Path:
        """A place for a run that gets a name. Raises RunError if the name is not plain or taken."""
        if len(name) > LONGEST_NAME or not _RUN_NAME.fullmatch(name):
            raise RunError(
                f"expected a name of at most {LONGEST_NAME} letters, digits and . _ -, which "
                "begins with a letter or a digit"
            )
        if name in taken or os.path.lexists(self.runs / name):
            raise RunError(f"expected a free name, {name} is taken: choose another")
        return self.runs / name

    def place_again(self, name: str, taken: set[str]) -> Path:
        """A place for a run that comes back: its own name, numbered if that is taken."""
        return _free(self.runs, name, "", taken)


def _key(run: str) -> str:
    """A file's name for a run: a run's own may be as long as the system allows."""
    return hashlib.sha256(os.fsencode(run)).hexdigest()[:24]


def _plain(name: str) -> str:
    """A name without folders, its ending, and what shells or systems trip over."""
    last = re.split(r"[\\/]", name)[-1]
    stem = last.rsplit(".", 1)[0] if "." in last.strip(".") else last
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:LONGEST_NAME] or "text"


def _free(folder: Path, stem: str, suffix: str, taken: set[str]) -> Path:
    number = 1
    while True:
        name = f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}"
        if name not in taken and not os.path.lexists(folder / name):
            return folder / name
        number += 1
