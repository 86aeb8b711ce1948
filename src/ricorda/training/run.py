"""Train a new run, or resume one: the entry of the library, the command line and each process.

A program must not take an interrupted run for a finished one, so `train` and `resume` raise the
signal again. The command line takes `new_run` and `resumed_run`, and makes an exit code of it.
"""

import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, Unpack

from ricorda.arguments import flag, path, text_names, unfit
from ricorda.cores import usable_cores
from ricorda.errors import ConfigurationError, InputError, TextError
from ricorda.extras import require_dashboards
from ricorda.runs import RunFolder, find_run
from ricorda.signatures import shows_options
from ricorda.text import cache_for
from ricorda.training.branching import Branch, make_branch, remove_unused
from ricorda.training.checkpoint.record import read_record
from ricorda.training.fit import Run
from ricorda.training.keywords import ResumeKeywords, TrainingKeywords
from ricorda.training.options import (
    BRANCH_OPTIONS,
    RESUMED,
    TRAINED,
    TrainingOptions,
    given_names,
)
from ricorda.training.plan.machine import this_machine
from ricorda.training.process_group import ProcessGroup, joined_group, started_together
from ricorda.training.report.progress import Reporter, Silent, reporter_for
from ricorda.training.start import NewRun, resume_run
from ricorda.validation import plain_numbers, validated

Text = str | bytes | PathLike[str]


@shows_options(TrainingOptions, TRAINED)
def train(
    *texts: Text | Iterable[Text],
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Unpack[TrainingKeywords],
) -> Run:
    """Train on texts: files, folders, patterns or "-", or lists of them.

    Options are those of `ricorda train`; those that are not set are chosen for the text, the budget
    and the machine. Progress goes to standard error, in a notebook to a display of its own, unless
    quiet.

    Raises InputError (bad options, unreadable text, a folder that is taken) before anything is
    written, TrainingError if training breaks. At a signal the run is saved; then `ricorda.train`
    raises the signal again: SIGINT raises KeyboardInterrupt, whose note says how to resume. Outside
    the main thread Python receives no signals.
    """
    return _raising_its_signal(new_run(*texts, reporter=reporter, quiet=quiet, **options))


@shows_options(TrainingOptions, RESUMED)
def resume(
    folder: Text | Run | None = None,
    *,
    text: Text | Sequence[Text] | None = None,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Unpack[ResumeKeywords],
) -> Run:
    """Continue a run from its last checkpoint; without a folder, the newest run.

    text, and the option validation: where the text is now, if it was moved. Further options, as in
    `train`: minutes, epochs or steps, a new budget, which counts from the run's beginning (the
    learning rate continues as if it had been given then); cache, device, backend, threads,
    processes, max_restarts and collective_timeout. Signals are raised again as in `train`.

    With out, or an option of BRANCH_OPTIONS such as learning_rate or dropout, the run stays as it
    is: a branch with these settings continues its last checkpoint in a new folder, out or
    RUN-branch.

    Raises RunError if the run has ended (and no budget is given), has no checkpoint, is being
    trained, or its text has changed; ConfigurationError for a budget that is spent.
    """
    run = resumed_run(folder, text=text, reporter=reporter, quiet=quiet, **options)
    return _raising_its_signal(run)


def new_run(
    *texts: Text | Iterable[Text],
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Train as `train`, but return a run that a signal interrupted."""
    names = [name for each in texts for name in text_names("texts", each)]
    _check(reporter, quiet)
    given = validated(TrainingOptions, **options)
    require_dashboards(given.log)
    if not names:
        raise TextError("expected a text to learn: a file, a folder, a pattern or -, got none")
    machine = this_machine(given)
    if machine.processes > 1 and not started_together():
        return _launch("train", names, options, machine.processes, reporter, quiet)
    with joined_group(given.collective_timeout, machine.device) as group:
        report = _reporter(reporter, group, quiet=quiet)
        return NewRun(names, given, given_names(options), machine, report, group).train()


def resumed_run(
    folder: Text | Run | None = None,
    *,
    text: Text | Sequence[Text] | None = None,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Continue a run as `resume`, but return it if a signal interrupted it."""
    _check(reporter, quiet)
    if unknown := set(options) - {*RESUMED}:
        raise ConfigurationError(f"expected an option of resume, got {min(unknown)}: leave it out")
    if options.get("validation") is not None:
        options["validation"] = path("validation", options["validation"])
    given = validated(TrainingOptions, **options)
    require_dashboards(given.log)
    texts = None if text is None else text_names("text", text)
    if isinstance(folder, Run):
        folder = folder.folder
    run = find_run(None if folder is None else path("folder", folder))
    cache_for(given.cache)  # a wrong folder is reported at once
    report = reporter or reporter_for(quiet=quiet)
    if branching := given_names(options) & {*BRANCH_OPTIONS, "out"}:
        branch = _branch(run, given, branching, report)
        rest = {name: value for name, value in options.items() if name not in branching}
        try:
            return resumed_run(
                branch.folder.path, text=texts, reporter=reporter, quiet=quiet, **rest
            )
        except InputError:
            remove_unused(branch)
            raise
    if not started_together():
        processes = given.processes or _processes_of(run, report)
        if processes > 1:
            options["text"] = texts
            return _launch("resume", [run.path], options, processes, reporter, quiet)
    with joined_group(given.collective_timeout, this_machine(given).device) as group:
        return resume_run(run, given, texts, _reporter(reporter, group, quiet=quiet), group)


def _branch(
    run: RunFolder, given: TrainingOptions, names: frozenset[str], report: Reporter
) -> Branch:
    """Branch a run with the options of these names; precision="auto" leaves it as it is."""
    if started_together():
        raise ConfigurationError(
            f"--{min(names).replace('_', '-')} makes a branch, which several processes would make "
            "each time they are started: make it by `ricorda resume` in one process, then resume "
            "the branch in several"
        )
    names -= {"out"} if given.precision != "auto" else {"out", "precision"}
    if "precision" in names:
        this_machine(replace(given, cell=read_record(run).training.model.cell))
    changes = {name: getattr(given, name) for name in sorted(names)}
    return make_branch(run, changes, given.budget, given.out, report)


def _raising_its_signal(run: Run) -> Run:
    """Raise the signal that ended a run, for the handler that it was meant for.

    KeyboardInterrupt, which Python's own handler of SIGINT raises, gets a note on how to resume.
    """
    try:
        if run.signal_number is not None:
            signal.raise_signal(run.signal_number)
    except KeyboardInterrupt as error:
        folder = fspath(run.folder)
        error.add_note(f"the run is saved in {folder}: continue with ricorda.resume({folder!r})")
        raise
    return run


def _check(reporter: object, quiet: object) -> None:
    flag("quiet", quiet)
    wanted = [name for name in vars(Reporter) if not name.startswith("_")]
    if reporter is not None and not all(callable(getattr(reporter, name, None)) for name in wanted):
        raise unfit("reporter", f"an object with the methods {', '.join(wanted)}", reporter)


def _launch(
    command: Literal["train", "resume"],
    arguments: Sequence[str | Path],
    options: dict[str, Any],
    processes: int,
    reporter: Reporter | None,
    quiet: bool,
) -> Run:
    """Run a command in several processes, and return the run of the first one."""
    if reporter is not None:
        raise ConfigurationError(
            f"expected no reporter for {processes} processes, which report by themselves: "
            "leave it out, or take one process"
        )
    from ricorda.torch.launch import launch

    given = {name: value for name, value in options.items() if value is not None}
    given.pop("processes", None)
    max_restarts = given.pop("max_restarts", TrainingOptions().max_restarts)
    request = {
        "command": command,
        "arguments": [str(argument) for argument in arguments],
        "options": {
            name: str(value) if isinstance(value, Path) else plain_numbers(value)
            for name, value in given.items()
        },
        "quiet": quiet,
    }
    outcome = launch(request, processes=processes, max_restarts=max_restarts)
    return Run(Path(outcome["folder"]), outcome["metrics"], outcome["signal"])


def _reporter(reporter: Reporter | None, group: ProcessGroup, *, quiet: bool) -> Reporter:
    """The reporter of rank 0; the other ranks report nothing."""
    if not group.is_first:
        return Silent()
    return reporter or reporter_for(quiet=quiet)


def _processes_of(run: RunFolder, report: Reporter) -> int:
    """How many processes trained a run, if this machine has the cores for them, else one."""
    processes = read_record(run).training.processes
    if processes > usable_cores():
        report.warn(
            f"the run was trained by {processes} processes, more than this machine has cores: it "
            "continues with one; --processes takes another number"
        )
        return 1
    return processes
