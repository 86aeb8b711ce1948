"""A run from its text to its figures: `train` begins one, `resume` goes on with one."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from ricorda.cores import usable_cores
from ricorda.durable import refuse_link, remove_files, remove_leftovers
from ricorda.engine import Figures, Model, load
from ricorda.errors import ConfigurationError, RunError, TextError, TrainingError
from ricorda.model import ModelFile, read_model_file, write_model_file
from ricorda.runs import LOCK, RunFolder, ended, find_run, new_run_folder, read_rows
from ricorda.shell import command_line
from ricorda.text import Source, cache_for
from ricorda.text.reading_settings import READING
from ricorda.text.sources import STANDARD_INPUT, displayed
from ricorda.torch.launch import launch
from ricorda.training.checkpoint.fingerprint import fingerprint
from ricorda.training.checkpoint.folder import FILES
from ricorda.training.checkpoint.held_folder import HeldFolder
from ricorda.training.checkpoint.lock import RunLock
from ricorda.training.checkpoint.manager import CheckpointManager
from ricorda.training.checkpoint.record import (
    RunRecord,
    TextRecord,
    new_record,
    read_record,
    record_as_json,
    record_from_json,
    with_schedule,
    write_record,
)
from ricorda.training.checkpoint.resumption import (
    MOVED,
    check_budget,
    given_budget,
    on_this_machine,
    planned_steps,
    with_budget,
    with_text,
)
from ricorda.training.checkpoint.snapshot import Progress
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.data.dataset import (
    Dataset,
    keep_passing,
    locate,
    read_dataset,
    read_dataset_again,
)
from ricorda.training.data.loader import make_loader
from ricorda.training.evaluation import QuickEvaluation
from ricorda.training.job import belongs_to, job_name, run_of, was_restarted
from ricorda.training.learner import make_learner
from ricorda.training.loop import Loop, StoppedBecause
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.forecast import settle
from ricorda.training.plan.machine import computing_with, lacks_memory, this_machine
from ricorda.training.plan.pace import Pace
from ricorda.training.plan.planner import Machine
from ricorda.training.process_group import ProcessGroup
from ricorda.training.report.description import describe
from ricorda.training.report.page import write_report
from ricorda.training.report.progress import Reporter, Silent, clock, in_nats_and_bits, reporter_for
from ricorda.training.report.reading_progress import showing
from ricorda.training.shared_material import share_dataset
from ricorda.training.shared_safekeeping import SharedCheckpointManager
from ricorda.training.started import ranks, started_together
from ricorda.validation import validated

MOST_NAMES = 1000
"""Files of a text that config.json names one by one."""

EXACT_LIMIT = 1_000_000  # validation symbols that are read one by one for the final figure


@dataclass(frozen=True)
class Run:
    """A training that has ended: its folder, its figures, its model."""

    folder: Path
    metrics: dict[str, Any]
    """What `ricorda train --json` prints."""

    signal_number: int | None = None
    """The signal that interrupted it, if one did."""

    rank: int = 0
    """Which of the processes that trained it this one is; the first, 0, writes."""

    @cached_property
    def model(self) -> Model:
        """The best model, loaded."""
        return load(self.folder)


def train(
    *texts: str | Path, reporter: Reporter | None = None, quiet: bool = False, **options: Any
) -> Run:
    """Learn texts: files, folders, patterns or "-". Options are those of `ricorda train`.

    Progress goes to standard error unless quiet. Raises InputError (bad options, unreadable text,
    a folder that is taken) before anything is written, TrainingError if learning breaks.
    """
    given = validated(TrainingOptions, **options)
    if not texts:
        raise TextError("expected a text to learn: a file, a folder, a pattern or -, got none")
    machine = this_machine(given)
    if machine.processes > 1 and not started_together():
        options.pop("processes")
        return _in_processes("train", texts, options, machine.processes, given, reporter, quiet)
    with ranks(given.collective_timeout, machine.device) as group:
        report = _reporter(reporter, group, quiet=quiet)
        return _Beginning([str(text) for text in texts], given, machine, report, group).train()


@dataclass
class _Beginning:
    """What `train` is given: the stages from the texts to the run."""

    texts: list[str]
    given: TrainingOptions
    machine: Machine
    report: Reporter
    ranks: ProcessGroup
    _sources: Sequence[Source] = ()
    _names: list[str] = field(default_factory=list)
    _copies: list[Path] = field(default_factory=list)
    _held: HeldFolder | None = None
    _begun: bool = False

    def train(self) -> Run:
        """Begin a run, or go on with that of the same job if it was started again."""
        with contextlib.ExitStack() as stack:
            path, names, is_new = self.ranks.first_does(lambda: self._begin(stack))
            folder = RunFolder(Path(path))
            if not is_new:
                stack.close()
                changes = _Changes(cache=self.given.cache)
                return _resume(folder, changes, self.given.threads, self.report, self.ranks)
            dataset = share_dataset(self.ranks, folder.path, lambda place: self._read(names, place))
            record = record_from_json(
                self.ranks.first_does(lambda: record_as_json(self._record(folder, dataset)))
            )
            self.report.say(f"{describe(dataset, record.training)}\nrun: {folder.path}")
            if (warning := dataset.warning()) is not None:
                self.report.say(warning)
            return _learn(folder, record, dataset, self.report, self.ranks, self._held)

    def _begin(self, stack: contextlib.ExitStack) -> tuple[str, list[str], bool]:
        """Find the texts, make and lock the folder: its path, the texts there, whether it is new.

        A folder in which no run has begun is removed when the stack is left.
        """
        job = job_name()
        found = run_of(job, self.given.out)
        if found is not None and self._is_the_same(found):
            return str(found.path), [], False
        sources = locate(self.texts, self.given, self.report.say)
        folder = new_run_folder(self.given.out, self.texts[0])
        self._held = stack.enter_context(HeldFolder(folder.path))
        stack.enter_context(RunLock(folder.path, job, self.report.say))
        stack.callback(self._remove_unless_begun, folder)
        remove_leftovers(folder.path)
        self._sources = keep_passing(sources, folder.path, self._copies.append)
        self._names = _names_of(self.texts, sources, self._sources)
        return str(folder.path), self._names, True

    def _is_the_same(self, folder: RunFolder) -> bool:
        """Whether a run of this job learns these texts, and goes on or was begun just now."""
        try:
            record = read_record(folder)
            if not was_restarted() and ended(folder) is not None:
                return False
        except RunError:
            return False
        learned = Path(record.text.texts[0])
        return STANDARD_INPUT in self.texts or any(
            place in (learned, *learned.parents) or learned.match(str(place))
            for place in (Path(text).absolute() for text in self.texts)
        )

    def _read(self, names: list[str], place: Path) -> Dataset:
        """Read the texts; on other machines than the first, those of the same names."""
        sources = self._sources
        if not self.ranks.is_first:
            sources = locate(names, self.given, self.report.say)
        cache = cache_for(self.given.cache)
        with showing(self.report) as progress:
            return read_dataset(
                sources, place, self.given, self.report.say, cache=cache, progress=progress
            )

    def _record(self, folder: RunFolder, dataset: Dataset) -> RunRecord:
        """Settle how to learn, and write it down."""
        configuration = settle(self.given, dataset, self.machine)
        record = new_record(_text_record(self._names, dataset, self.given), configuration)
        if self._held is not None:
            self._held.check()
        write_record(folder, record)
        self._begun = True
        return record

    def _remove_unless_begun(self, folder: RunFolder) -> None:
        """Remove what was made for a run that could not start, and nothing else."""
        with contextlib.suppress(OSError):  # a folder that is not empty stays
            if self._begun or self._held is None or not self._held.is_in_place:
                return
            remove_files(folder.path, [LOCK, *(copy.name for copy in self._copies)])
            for made in reversed(folder.made):
                made.rmdir()


def resume(
    folder: Path | str | None = None,
    *,
    text: str | Path | Sequence[str | Path] | None = None,
    validation: str | Path | None = None,
    minutes: float | None = None,
    epochs: float | None = None,
    steps: int | None = None,
    cache: str | None = None,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Go on with a run from its last checkpoint; without a folder, with the newest run.

    text, validation: where the text lies now, if it was moved. minutes, epochs, steps: another
    budget, which counts from the run's beginning; the learning rate goes on as if it had been
    given then. cache: as in training. Further options: device, threads and processes, where they
    are to be others than the run's; max_restarts and collective_timeout as in `train`.

    Raises RunError if the run has ended (and no budget is given), has no checkpoint, is being
    trained, or its text has changed; ConfigurationError for a budget that is spent.
    """
    unknown = set(options) - {*MOVED, "max_restarts", "collective_timeout"}
    if unknown:
        raise ConfigurationError(f"expected an option of resume, got {min(unknown)}: leave it out")
    given = validated(TrainingOptions, **options)
    place = find_run(None if folder is None else Path(folder))
    budget = given_budget(minutes, epochs, steps)
    changes = _Changes(text, validation, budget, given.device, cache)
    cache_for(cache)  # a wrong folder is told at once
    report = reporter or reporter_for(quiet=quiet)
    if not started_together():
        processes = given.processes or _processes_of(place, report)
        if processes > 1:
            settled: dict[str, Any] = {"threads": given.threads, "device": given.device}
            settled |= {"minutes": minutes, "epochs": epochs, "steps": steps}
            settled |= {"collective_timeout": given.collective_timeout, "cache": cache}
            texts = [text] if isinstance(text, str | Path) else text
            settled |= {
                "text": None if texts is None else [str(each) for each in texts],
                "validation": None if validation is None else str(validation),
            }
            arguments = (place.path,)
            return _in_processes("resume", arguments, settled, processes, given, reporter, quiet)
    device = "cuda" if torch.cuda.is_available() and given.device != "cpu" else "cpu"
    with ranks(given.collective_timeout, device) as group:
        report = _reporter(reporter, group, quiet=quiet)
        return _resume(place, changes, given.threads, report, group)


@dataclass(frozen=True)
class _Changes:
    """What `resume` is given."""

    text: str | Path | Sequence[str | Path] | None = None
    validation: str | Path | None = None
    budget: Budget | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cache: str | None = None


def _resume(
    place: RunFolder, changes: _Changes, threads: int | None, report: Reporter, group: ProcessGroup
) -> Run:
    """Go on with a run, in one process or in several."""
    holding: list[HeldFolder] = []
    with contextlib.ExitStack() as stack:

        def begin() -> Any:
            belonged = belongs_to(place, job_name())
            holding.append(stack.enter_context(HeldFolder(place.path)))
            stack.enter_context(RunLock(place.path, job_name(), report.say))
            refuse_link(place.checkpoints)
            remove_leftovers(place.path)
            remove_leftovers(place.checkpoints, FILES)
            record = read_record(place)
            more = changes.budget not in (None, record.training.budget)
            if not more and (reason := _ended(place, report)) is not None:
                if belonged and was_restarted():  # only its last words were lost
                    return None
                raise RunError(
                    f"the run {place.path} has ended ({reason}): begin a new one with `ricorda "
                    "train`, or give it a larger budget, such as --minutes 10"
                )
            record = with_text(record, changes.text, changes.validation)
            record = with_budget(record, changes.budget)
            return record_as_json(on_this_machine(record, changes.device, threads, group.size))

        told = group.first_does(begin)
        if told is None:
            return Run(place.path, group.first_does(lambda: _figures_of(place)), rank=group.rank)
        record = record_from_json(told)

        def read(folder: Path) -> Dataset:
            with showing(report) as progress:
                return read_dataset_again(
                    record.text,
                    folder,
                    report.say,
                    cache=cache_for(changes.cache),
                    progress=progress,
                )

        dataset = share_dataset(group, place.path, read)
        held = holding[0] if holding else None
        return _learn(place, record, dataset, report, group, held, resumed=True)


def _in_processes(
    command: Literal["train", "resume"],
    arguments: Sequence[str | Path],
    options: dict[str, Any],
    processes: int,
    given: TrainingOptions,
    reporter: Reporter | None,
    quiet: bool,
) -> Run:
    """Have several processes do it, and hand back what came of it."""
    if reporter is not None:
        raise ConfigurationError(
            f"expected no reporter for {processes} processes, which are watched by their own: "
            "leave it out, or take one process"
        )
    told = {
        name: str(value) if isinstance(value, Path) else value for name, value in options.items()
    }
    told.pop("max_restarts", None)
    request = {
        "command": command,
        "arguments": [str(argument) for argument in arguments],
        "options": {name: value for name, value in told.items() if value is not None},
        "quiet": quiet,
    }
    outcome = launch(request, processes=processes, max_restarts=given.max_restarts)
    return Run(Path(outcome["folder"]), outcome["metrics"], outcome["signal"])


def _reporter(reporter: Reporter | None, group: ProcessGroup, *, quiet: bool) -> Reporter:
    """The first process reports, the others are silent."""
    if not group.is_first:
        return Silent()
    return reporter or reporter_for(quiet=quiet)


def _processes_of(place: RunFolder, report: Reporter) -> int:
    """How many processes a run was trained by, if this machine has the cores for them."""
    processes = read_record(place).training.processes
    if processes > usable_cores():
        report.say(
            f"the run was trained by {processes} processes, more than this machine has cores: it "
            "goes on with one; --processes takes another number"
        )
        return 1
    return processes


def _figures_of(folder: RunFolder) -> dict[str, Any]:
    """What a run that has ended came to."""
    *_, last = (row for row in read_rows(folder.metrics) if row.get("event") == "ended")
    return {name: value for name, value in last.items() if name not in ("step", "event")}


def _ended(folder: RunFolder, report: Reporter) -> str | None:
    """Why a run has ended; None if it has not, or its rows cannot tell."""
    try:
        return ended(folder)
    except RunError as error:
        report.say(f"{error}; the checkpoint has the rows")
        return None


def _names_of(
    texts: Sequence[str | Path], sources: Sequence[Source], kept: Sequence[Source]
) -> list[str]:
    """What the run is to read again: each file, or where there are many, what named them.

    What was piped in is then the file that keeps it.
    """
    if len(kept) <= MOST_NAMES:
        return [_absolute(source.path or source.name) for source in kept]
    pairs = () if kept is sources else zip(sources, kept, strict=True)
    copies = {str(old.path or "-"): new.path for old, new in pairs if old != new}
    return [_absolute(copies.get(str(text)) or text) for text in texts]


def _absolute(name: Path | str) -> str:
    """A file's absolute path, exactly, even if it is not UTF-8."""
    return str(Path(name).absolute())


def _text_record(names: list[str], dataset: Dataset, options: TrainingOptions) -> TextRecord:
    """What config.json says of the text."""
    validation = options.validation
    judging = dataset.validation_text
    return TextRecord(
        texts=names,
        validation=None if validation is None else str(validation.absolute()),
        validation_fraction=options.validation_fraction,
        vocabulary=options.vocabulary,
        encoding=options.encoding,
        newlines=options.newlines,
        decompress=options.decompress,
        max_decompressed=options.max_decompressed,
        digest=dataset.text.digest,
        bytes=dataset.text.bytes,
        validation_digest=None if judging is None else judging.digest,
        validation_bytes=None if judging is None else judging.bytes,
    )


def _learn(
    folder: RunFolder,
    record: RunRecord,
    dataset: Dataset,
    report: Reporter,
    group: ProcessGroup,
    held: HeldFolder | None,
    *,
    resumed: bool = False,
) -> Run:
    """Set up, fit, evaluate and record.

    held: the run's folder; None in the processes that do not write.
    """
    with computing_with(record.training), _memory_errors_told(folder):
        loop = _set_up(folder, record, dataset, report, group, held, resumed=resumed)
        try:
            reason, signal_number = loop.fit()
            loop.learner.release()
            loop.checkpoint_manager.release()
        finally:
            report.close()

    def conclude() -> dict[str, Any]:
        if held is not None:
            held.check()
        if not folder.is_run:  # config.json was removed; a resume needs it
            write_record(folder, record)
        metrics = _conclude(loop, dataset, reason)
        if reason != "interrupted":
            write_record(folder, with_schedule(record, loop.progress))
        rows = loop.checkpoint_manager.metrics
        rows.flush()
        try:
            write_report(folder, record, metrics)
        except (OSError, RunError) as error:
            report.say(f"{folder.report} cannot be written ({error}): the run itself is saved")
        # last of all: what is killed before this row goes on, and makes its report
        rows.append({"step": loop.progress.step, "event": "ended", **metrics})
        rows.flush()
        _say_result(report, metrics)
        return metrics

    return Run(folder.path, group.first_does(conclude), signal_number, group.rank)


@contextlib.contextmanager
def _memory_errors_told(folder: RunFolder) -> Any:
    """PyTorch's error for want of memory, as one of ours."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise TrainingError(
            "not enough memory: close other programs, then go on with "
            f"`{command_line(['ricorda', 'resume', folder.path])}`, or start a new run with "
            "a smaller --batch-size or --hidden-size"
        ) from error


def _set_up(
    folder: RunFolder,
    record: RunRecord,
    dataset: Dataset,
    report: Reporter,
    group: ProcessGroup,
    held: HeldFolder | None,
    *,
    resumed: bool,
) -> Loop:
    """Make the network, its optimizer and streams; bring them back to the last checkpoint."""
    configuration = record.training
    learner = make_learner(configuration, group)
    rows = group.share(configuration.batch_size).rows
    loader = make_loader(configuration, dataset.training, learner.device, rows)
    checkpoint_manager = _checkpoint_manager(held, configuration, report, group)
    progress = Progress()
    if resumed:
        progress = checkpoint_manager.resume(learner)
        report.say(f"goes on after step {progress.step:,}: {folder.path}")
    pace = Pace(
        configuration.budget,
        windows_per_epoch=loader.stream.windows_per_epoch,
        evaluations=configuration.evaluations,
        warmup_steps=configuration.warmup_steps,
        total_steps=planned_steps(progress, configuration),
        seconds_before=progress.seconds,
        schedule=configuration.schedule,
    )
    saved_step = progress.step if resumed else -1
    if progress.budget not in (None, configuration.budget):
        check_budget(progress, configuration, pace.total_steps)
        saved_step = -1
    if resumed and group.is_first and record != read_record(folder):
        write_record(folder, record)
    validation = dataset.validation
    evaluation = None
    if validation is not None:
        evaluation = QuickEvaluation(validation, configuration.device, group)
    return Loop(
        folder=folder,
        configuration=configuration,
        vocabulary=dataset.text.vocabulary,
        provenance=_provenance(record, dataset),
        symbols_per_character=dataset.symbols_per_character,
        evaluation=evaluation,
        learner=learner,
        pace=pace,
        progress=progress,
        reporter=report,
        checkpoint_manager=checkpoint_manager,
        loader=loader,
        ranks=group,
        saved_step=saved_step,
    )


def _checkpoint_manager(
    held: HeldFolder | None,
    configuration: TrainingConfiguration,
    report: Reporter,
    group: ProcessGroup,
) -> CheckpointManager | SharedCheckpointManager:
    """What saves the run: the first process's own, for the others what follows it."""
    own = None
    if held is not None:
        own = CheckpointManager(
            held,
            keep=configuration.keep,
            fingerprint=fingerprint(
                configuration.threads, configuration.device, configuration.processes
            ),
            reporter=report,
        )
        if group.size == 1:
            return own
    return SharedCheckpointManager(own, group)


def _provenance(record: RunRecord, dataset: Dataset) -> dict[str, Any]:
    """What the model file tells of where it came from."""
    return {
        "texts": [displayed(Path(name).name) for name in record.text.texts],
        "digest": record.text.digest,
        READING: record.text.reading.to_json(record.text.vocabulary),
        "training_characters": len(dataset.training),
        "validation_characters": 0 if dataset.validation is None else len(dataset.validation),
        "seed": record.training.seed,
        "made_with": record.made_with,
    }


def _conclude(loop: Loop, dataset: Dataset, reason: StoppedBecause) -> dict[str, Any]:
    """Read the best model's figure on the validation text and put the run's figures together."""
    figures = None
    if reason != "interrupted" and dataset.validation is not None:
        model = load(loop.folder.path)
        figures = model.evaluate(dataset.validation[:EXACT_LIMIT])
        _write_into_model(loop.folder, figures)
    progress, configuration = loop.progress, loop.configuration
    return {
        "run": str(loop.folder.path),
        "model": str(loop.folder.model),
        "parameters": configuration.model.parameters,
        "vocabulary_size": configuration.model.vocabulary_size,
        "training_characters": len(dataset.training),
        "validation_characters": 0 if dataset.validation is None else len(dataset.validation),
        "steps": progress.step,
        "characters_seen": loop.characters_seen,
        "train_seconds": round(progress.seconds, 3),
        "validation": None if figures is None else _validation(figures),
        "validation_warning": dataset.warning(),
        "best_step": progress.best_step,
        "stopped_because": reason,
    }


def _validation(figures: Figures) -> dict[str, Any]:
    """The four figures that the command line promises."""
    json = figures.as_json()
    names = ("nats_per_character", "bits_per_character", "bits_per_byte", "perplexity")
    return {name: json[name] for name in names}


def _write_into_model(folder: RunFolder, figures: Figures) -> None:
    """Let the model file tell how good it is."""
    file = read_model_file(folder.model)
    training = {**file.training, "validation": figures.as_json()}
    write_model_file(
        folder.model, ModelFile(file.configuration, file.vocabulary, file.tensors, training)
    )


def _say_result(report: Reporter, metrics: dict[str, Any]) -> None:
    """The last lines that a person reads."""
    spent = f"{metrics['steps']:,} steps in {clock(metrics['train_seconds'])}"
    if metrics["stopped_because"] == "interrupted":
        command = command_line(["ricorda", "resume", Path(metrics["run"])])
        report.say(f"interrupted after {spent}; go on with: {command}")
        return
    validation = metrics["validation"]
    if validation is not None:
        report.say(
            f"validation: {in_nats_and_bits(validation['nats_per_character'])} a character, "
            f"{validation['bits_per_byte']:.2f} bits a byte, "
            f"perplexity {validation['perplexity']:.2f}"
        )
    command = command_line(["ricorda", "sample", Path(metrics["run"])])
    report.say(f"{spent}; continue a text with: {command}")
