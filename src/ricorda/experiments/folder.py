"""The folder of an experiment: its settings, which a repeated command must share, and its trials.

`experiment.json` has what was asked for and what was planned. It is written before the first trial,
so that a repeated command continues the experiment instead of mixing two.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ricorda.durable import (
    hold_lock,
    is_partial,
    make_folder,
    open_lock,
    open_untrusting,
    refuse_special,
    remove_files,
    remove_leftovers,
    try_lock,
    write_atomically,
)
from ricorda.errors import RunError
from ricorda.runs import LOCK, LONGEST_NAME
from ricorda.validation import parse_json, plain_numbers, shown

EXPERIMENTS = Path("experiments")
LARGEST = 16 * 1024 * 1024  # bytes of experiment.json
FORMAT = 1


class ExperimentFolder:
    """The files of an experiment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "experiment.json"
        self.trials = path / "trials"
        self.study = path / "study.db"
        self.results = path / "results.json"
        self.report = path / "report.html"
        self.chart = path / "chart.svg"
        self.best = path / "best.toml"

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Make the folder; it is removed again if no experiment has begun in it.

        Raises RunError if it holds anything but an experiment.
        """
        made = self._make()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # a folder that is not empty stays
                if not self.settings.exists():
                    self._remove_lock()
                    for each in reversed(made):
                        each.rmdir()

    def _remove_lock(self) -> None:
        """Remove the lock unless another process holds it. Raises OSError."""
        with hold_lock(self.path / LOCK) as held:
            if held is not False and not self.settings.exists():
                remove_files(self.path, [LOCK])

    def _make(self) -> list[Path]:
        """Make the folder and return those that it made, the outermost first."""
        try:
            if self.path.exists() and not self.path.is_dir():
                raise RunError(f"expected a new folder or an experiment's, {self.path} is a file")
            made = make_folder(self.path)
            if not made and not self.settings.exists() and any(map(_is_foreign, self._names())):
                raise RunError(
                    f"expected a new folder or an experiment's, {self.path} holds other files: "
                    "give another --out"
                )
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise RunError(
                f"cannot make the folder {self.path}: {reason}; name another with --out"
            ) from error
        return made

    def _names(self) -> Iterator[str]:
        return (each.name for each in self.path.iterdir())

    def read(self) -> dict[str, Any] | None:
        """Return the settings; None before they were written. Raises RunError if damaged."""
        try:
            with open_untrusting(self.settings) as file:
                found = parse_json(file.read(LARGEST + 1), longest=LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"cannot read {self.settings}: {error.strerror}") from error
        except ValueError as error:
            raise RunError(f"{self.settings} is not JSON: {error}") from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise RunError(f"{self.settings} is not an experiment of this version of ricorda")
        return found

    def write(self, settings: Mapping[str, Any]) -> None:
        """Write the settings. Raises OSError if the disk refuses."""
        remove_leftovers(self.path)
        content = json.dumps({"format": FORMAT, **settings}, indent=2) + "\n"
        write_atomically(self.settings, content.encode())

    def check(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the settings that the folder has, if any, which must be those asked for.

        Raises RunError, naming a setting that differs.
        """
        found = self.read()
        if found is None:
            return None
        had = found.get("asked")
        if not isinstance(had, dict):
            raise RunError(f"{self.settings} is damaged: it has no settings")
        now = json.loads(json.dumps(asked))
        for name in sorted(had.keys() | now.keys()):
            if had.get(name) != now.get(name):
                raise RunError(
                    f"{self.path} holds an experiment with {_difference(name, had, now)}: repeat "
                    "its settings to continue it, or give another --out"
                )
        return found

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process decides what to do next, and let none decide meanwhile."""
        path = self.path / LOCK
        refuse_special(path)
        with contextlib.ExitStack() as lock:
            with _lock_errors(path):
                lock.enter_context(hold_lock(path, wait=True))
            yield

    def take_trial(self, name: str) -> int | None:
        """Lock a trial until the file descriptor is closed; None if another process has it.

        The system releases the lock when the process ends, however it ends.
        """
        make_folder(self.trials)
        path = self.trials / f"{name}.lock"
        refuse_special(path)
        with _lock_errors(path):
            descriptor = open_lock(path)
        if try_lock(descriptor) is False:
            os.close(descriptor)
            return None
        return descriptor


@contextlib.contextmanager
def _lock_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot lock {path}: {error.strerror}") from error


def trial_name(words: str) -> str:
    """Return the folder name of a trial: its words, shortened and with a digest if they need it."""
    if len(words) <= LONGEST_NAME and re.fullmatch(r"[\w.,:=+ -]+", words, re.ASCII):
        return words
    digest = hashlib.sha256(os.fsencode(words)).hexdigest()[:12]
    return f"{re.sub(r'[^a-zA-Z0-9.,:=+-]+', '-', words)[:LONGEST_NAME]}-{digest}"


def _is_foreign(name: str) -> bool:
    """Whether it is something else than what an experiment that never began leaves behind."""
    return name != LOCK and not is_partial(name)


def _difference(name: str, had: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name a setting and its two values; of the options, the first one that differs."""
    before, after = had.get(name), now.get(name)
    if isinstance(before, dict) and isinstance(after, dict):
        inner = min(key for key in {*before, *after} if before.get(key) != after.get(key))
        return _difference(inner, before, after)
    return f"{name} {_words(before)}, not {_words(after)}"


def _words(value: Any) -> str:
    return "unset" if value is None else value if isinstance(value, str) else shown(value)


def folder_for(out: Path | None, text: str, purpose: str) -> ExperimentFolder:
    """Return the folder of an experiment: out, else experiments/ and the text's name."""
    if out is not None:
        return ExperimentFolder(out)
    stem = re.sub(r"[^\w.-]+", "-", Path(text).absolute().stem).strip("-.")[:LONGEST_NAME]
    return ExperimentFolder(EXPERIMENTS / f"{stem or 'text'}-{purpose}")


def absolute(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts as absolute paths, by which a repeated command is recognized."""
    return tuple(str(Path(text).absolute()) for text in texts)


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON holds them; paths become absolute."""
    return {
        name: str(value.absolute()) if isinstance(value, Path) else plain_numbers(value)
        for name, value in options.items()
        if value is not None
    }
