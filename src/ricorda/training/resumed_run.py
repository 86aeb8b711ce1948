"""Continue a run from its last checkpoint: what may change, and what must not."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ricorda.durable import refuse_link, remove_leftovers
from ricorda.errors import ConfigurationError, RunError
from ricorda.runs import RunFolder, ended, read_rows
from ricorda.text import cache_for
from ricorda.training.checkpoint.folder import FILES
from ricorda.training.checkpoint.held_folder import HeldFolder, RunLock
from ricorda.training.checkpoint.record import RunRecord, read_record, record_from_json
from ricorda.training.configuration import Budget
from ricorda.training.data.dataset import Dataset, read_dataset_again, read_in_every_process
from ricorda.training.fit import Run, fit_run
from ricorda.training.job import belongs_to, job_name, was_restarted
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.machine import this_machine
from ricorda.training.plan.planner import choose_backend
from ricorda.training.process_group import ProcessGroup
from ricorda.training.report.progress import Reporter


def resume_run(
    run: RunFolder,
    given: TrainingOptions,
    texts: Sequence[str] | None,
    report: Reporter,
    group: ProcessGroup,
) -> Run:
    """Continue a run, in one process or in several; given: RESUME_OPTIONS; texts: where they are.

    Raises RunError, ConfigurationError as `ricorda.resume`.
    """
    held: HeldFolder | None = None
    with contextlib.ExitStack() as stack:

        def begin() -> Any:
            nonlocal held
            is_own_job = belongs_to(run, job_name()) and was_restarted()
            held = stack.enter_context(HeldFolder(run.path))
            stack.enter_context(RunLock(run.path, job_name(), report.warn))
            refuse_link(run.checkpoints)
            remove_leftovers(run.path)
            remove_leftovers(run.checkpoints, FILES)
            record = read_record(run)
            has_more = given.budget not in (None, record.training.budget)
            if not has_more and (reason := _ended(run, report)) is not None:
                if is_own_job:  # only its last messages were lost
                    return None
                raise RunError(
                    f"the run {run.path} has ended ({reason}): begin a new one with `ricorda "
                    "train`, or give it a larger budget, such as --minutes 10"
                )
            record = with_text(record, texts, given.validation)
            record = with_budget(record, given.budget)
            return asdict(on_this_machine(record, given, group.size))

        begun = group.first_does(begin)
        if begun is None:
            return Run(run.path, group.first_does(lambda: _figures_of(run)), rank=group.rank)
        record = record_from_json(begun)

        def read(folder: Path) -> Dataset:
            cache = cache_for(given.cache)
            with report.reading() as progress:
                return read_dataset_again(
                    record.text, folder, report.say, cache=cache, progress=progress
                )

        dataset = read_in_every_process(group, run.path, read)
        return fit_run(run, record, dataset, report, group, held, resumed=True)


def with_text(record: RunRecord, texts: Sequence[str] | None, validation: Path | None) -> RunRecord:
    """The record with the places where the text is now."""
    found = record.text
    if texts is not None:
        if not texts:
            raise ConfigurationError("expected a text, got none: leave text out or name one")
        found = replace(found, texts=[str(Path(name).absolute()) for name in texts])
    if validation is not None:
        if found.validation is None:
            raise ConfigurationError(
                "--validation: this run validates on the end of its own text: leave the option out"
            )
        found = replace(found, validation=str(validation.absolute()))
    return replace(record, text=found)


def with_budget(record: RunRecord, budget: Budget | None) -> RunRecord:
    """The record with another budget, if there is one."""
    if budget is None:
        return record
    return replace(record, training=replace(record.training, budget=budget, schedule=None))


def on_this_machine(record: RunRecord, given: TrainingOptions, processes: int) -> RunRecord:
    """The record with the processes that continue the run, their threads, device and backend.

    Threads that are not given are the run's, divided anew. Raises ConfigurationError for a GPU that
    is not there, or more processes than streams or GPUs.
    """
    training = record.training
    if processes > training.batch_size:
        raise ConfigurationError(
            f"expected at least a stream for each of {processes} processes, but the run has "
            f"{training.batch_size}: start fewer processes"
        )
    device = training.device
    if given.device != "auto" or device != "cpu":
        wanted = device if given.device == "auto" else given.device
        device = this_machine(replace(given, device=wanted)).device
    backend = given.backend
    if backend == "auto" and device == training.device == "cpu" and training.backend == "torch":
        backend = "torch"
    training = replace(
        training,
        device=device,
        backend=choose_backend(backend, device),
        threads=given.threads or max(1, training.threads * training.processes // processes),
        processes=processes,
    )
    return replace(record, training=training)


def _figures_of(run: RunFolder) -> dict[str, Any]:
    """The final figures of a run that has ended."""
    *_, last = (row for row in read_rows(run.metrics) if row.get("event") == "ended")
    return {name: value for name, value in last.items() if name not in ("step", "event")}


def _ended(run: RunFolder, report: Reporter) -> str | None:
    """Why a run has ended; None if it has not, or its rows cannot tell."""
    try:
        return ended(run)
    except RunError as error:
        report.warn(f"{error}; the checkpoint has the rows")
        return None
