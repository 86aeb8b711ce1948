"""`python -m ricorda.experiments.worker FOLDER THREADS [CACHE]`: one more process of a search."""

import os
import sys
from pathlib import Path

from ricorda.errors import RicordaError, RunError
from ricorda.experiments.folder import ExperimentFolder
from ricorda.experiments.searching import Searcher, SearchPlan
from ricorda.interrupts import Interrupted, as_a_command
from ricorda.training.report.progress import Quiet


class _Orphaned(Exception):
    """The command that started this process has ended."""


def work(folder: Path, threads: int, cache: str | None) -> int:
    """Train trials until none is left, a signal comes or the parent process ends.

    Raises RunError if the folder holds no search.
    """
    parent = os.getppid()

    def check() -> None:
        if os.getppid() != parent:
            raise _Orphaned

    experiment = ExperimentFolder(folder)
    settings = experiment.read()
    if settings is None or "search" not in settings:
        raise RunError(f"expected the folder of a search, {folder} is none")
    search_plan = SearchPlan.from_json(settings["search"])
    searcher = Searcher(experiment, search_plan, Quiet(), threads=threads, cache=cache, check=check)
    try:
        signal_number = searcher.train_all()
    except _Orphaned:
        return 1
    return 0 if signal_number is None else 128 + signal_number


def main(arguments: list[str]) -> int:
    """Run the command line of this file; an error is one line."""
    folder, threads, *cache = arguments
    try:
        with as_a_command():
            return work(Path(folder), int(threads), cache[0] if cache else None)
    except Interrupted as interrupted:
        return interrupted.exit_code
    except RicordaError as error:
        print(f"ricorda: a process of the search: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
