"""`ricorda.train` and `ricorda.resume` as Python programs call them.

They check their arguments and raise the signal that ended a run again: to a program, an
interrupted call must not look like one that finished. The command line takes `ricorda.training.run`
instead and turns the signal into an exit code.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ricorda.arguments import flag, path, unfit
from ricorda.training import run as runs
from ricorda.training.interruption import hand_on
from ricorda.training.options import TrainingOptions
from ricorda.training.report.progress import Reporter, Silent
from ricorda.training.run import Run
from ricorda.validation import validated

Text = str | bytes | os.PathLike[str]
TEXTS = "a path, a pattern, or a list of them"


def train(
    *texts: Text | Iterable[Text],
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Learn texts: files, folders, patterns or "-", or lists of them.

    Options are those of `ricorda train`, see TrainingOptions.
    Progress goes to standard error unless quiet. Raises InputError (bad options, unreadable text,
    a folder that is taken) before anything is written, TrainingError if learning breaks. At a
    signal the run is saved, then the signal is raised again: SIGINT raises KeyboardInterrupt, whose
    note says how to resume. Outside the main thread Python receives no signals.
    """
    names = [name for each in texts for name in _names("texts", each)]
    _check(reporter, quiet)
    return _handed_on(runs.train(*names, reporter=reporter, quiet=quiet, **options))


def resume(
    folder: Text | Run | None = None,
    *,
    text: Text | Sequence[Text] | None = None,
    validation: Text | None = None,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Go on with a run from its last checkpoint; without a folder, with the newest run.

    text, validation: where the text lies now, if it was moved. Further options: minutes, epochs or
    steps, another budget, which counts from the run's beginning (the learning rate goes on as if it
    had been given then); cache, device, threads, processes, max_restarts and collective_timeout as
    in `train`. Signals are raised again as in `train`.

    Raises RunError if the run has ended (and no budget is given), has no checkpoint, is being
    trained, or its text has changed; ConfigurationError for a budget that is spent.
    """
    _check(reporter, quiet)
    validated(TrainingOptions, **options)
    place = folder.folder if isinstance(folder, Run) else folder
    done = runs.resume(
        None if place is None else path("folder", place),
        text=None if text is None else _names("text", text),
        validation=None if validation is None else path("validation", validation),
        reporter=reporter,
        quiet=quiet,
        **options,
    )
    return _handed_on(done)


def _names(argument: str, given: object) -> list[str]:
    """The names in a text or in a list of texts."""
    if isinstance(given, str | bytes | os.PathLike):
        return [str(path(argument, given))] if not isinstance(given, str) else [given]
    if not isinstance(given, Iterable) or isinstance(given, dict):
        raise unfit(argument, TEXTS, given)
    names = list(given)
    if wrong := [each for each in names if not isinstance(each, str | bytes | os.PathLike)]:
        raise unfit(argument, TEXTS, wrong[0])
    return [os.fsdecode(each) for each in names]


def _check(reporter: object, quiet: object) -> None:
    flag("quiet", quiet)
    wanted = [name for name in vars(Silent) if not name.startswith("_")]
    if reporter is not None and not all(callable(getattr(reporter, name, None)) for name in wanted):
        raise unfit("reporter", f"an object with the methods {', '.join(wanted)}", reporter)


def _handed_on(run: Run) -> Run:
    """Return a run, after raising the signal that ended it, if any, again."""
    if run.signal_number is not None:
        hand_on(
            run.signal_number,
            f"the run is saved in {Path(run.folder)}: go on with "
            f"ricorda.resume({os.fspath(run.folder)!r})",
        )
    return run
