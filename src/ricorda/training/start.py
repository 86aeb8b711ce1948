"""Begin a run, or continue one: its texts, its folder, its settings, and then its training.

A new run finds its texts, makes its folder and chooses its settings. A resumed one has them in
config.json; its budget, its device and the places of its texts may change.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from ricorda.durable import refuse_link, remove_files, remove_leftovers
from ricorda.errors import ConfigurationError, RunError
from ricorda.pages import plural
from ricorda.runs import (
    LOCK,
    RunFolder,
    ended,
    made_before_config,
    new_run_folder,
    read_rows,
    refuse_run,
)
from ricorda.text import Source, Vocabulary, cache_for
from ricorda.text.sources import STANDARD_INPUT
from ricorda.training.checkpoint.folder import FILES
from ricorda.training.checkpoint.held_folder import (
    HeldFolder,
    RunLock,
    belongs_to,
    job_name,
    run_of,
    was_restarted,
)
from ricorda.training.checkpoint.moving import with_own_copies
from ricorda.training.checkpoint.record import (
    RunRecord,
    TextRecord,
    new_record,
    read_record,
    record_from_json,
    write_record,
)
from ricorda.training.configuration import Budget, TextSettings
from ricorda.training.data.dataset import (
    Dataset,
    keep_passing,
    locate,
    read_dataset,
    read_dataset_again,
    read_in_every_process,
)
from ricorda.training.fine_tuning import Start, completed, read_start, save_start, saved_start
from ricorda.training.fit import Run, fit_run
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.forecast import settle
from ricorda.training.plan.machine import this_machine
from ricorda.training.plan.planner import Machine, choose_backend
from ricorda.training.process_group import ProcessGroup
from ricorda.training.report.progress import Reporter

MOST_NAMES = 1000
"""Files of a text that config.json names one by one."""


class _Begun(NamedTuple):
    """What the first process broadcasts to the others about a run."""

    path: str
    """Its folder."""

    names: list[str]
    """The texts."""

    given: TrainingOptions
    """The options, with what documents are, and what a model decides from which the run starts."""

    known: Vocabulary | None
    """The vocabulary of that model."""

    is_new: bool


@dataclass
class NewRun:
    """A run that begins: the stages from the texts to the trained model."""

    texts: list[str]
    given: TrainingOptions
    given_names: frozenset[str]
    """The names of the options that were set."""

    machine: Machine
    report: Reporter
    group: ProcessGroup
    _sources: Sequence[Source] = ()
    _start: Start | None = None
    _made: list[Path] = field(default_factory=list)
    """The files that were made in the folder before the run has begun."""

    _held: HeldFolder | None = None
    _has_begun: bool = False

    def train(self) -> Run:
        """Begin a run, or continue that of the same job if the job was restarted."""
        with contextlib.ExitStack() as stack:
            begun = self.group.first_does(lambda: self._begin(stack))
            folder = RunFolder(Path(begun.path))
            if not begun.is_new:
                stack.close()
                given = TrainingOptions(cache=self.given.cache, threads=self.given.threads)
                return resume_run(folder, given, None, self.report, self.group)
            self.given = begun.given
            dataset = read_in_every_process(
                self.group, folder.path, lambda path: self._read(begun, path)
            )
            record = record_from_json(
                self.group.first_does(lambda: asdict(self._record(folder, begun.names, dataset)))
            )
            self.report.say(f"{describe(dataset, record)}\nrun: {folder.path}")
            if (warning := dataset.warning()) is not None:
                self.report.warn(warning)
            return fit_run(folder, record, dataset, self.report, self.group, self._held)

    def _begin(self, stack: contextlib.ExitStack) -> _Begun:
        """Find the model to start from and the texts, make and lock the folder.

        A folder in which no run has begun is removed when the stack is left.
        """
        job = job_name()
        found = run_of(job, self.given.out)
        if found is not None and self._is_the_same(found):
            return _Begun(str(found.path), [], self.given, None, is_new=False)
        known = self._take_start()
        sources = locate(self.texts, self.given, self.report.say)
        folder = new_run_folder(self.given.out, self.texts[0])
        self._held = stack.enter_context(HeldFolder(folder.path))
        stack.enter_context(RunLock(folder.path, job, self.report.warn))
        stack.callback(self._remove_unless_begun, folder)
        refuse_run(folder)
        remove_leftovers(folder.path)
        remove_files(folder.path, made_before_config(folder.path))
        self._sources = keep_passing(sources, folder.path, self._made.append)
        names = _names_of(self.texts, sources, self._sources)
        given = replace(self.given, documents=self._documents_of(sources))
        return _Begun(str(folder.path), names, given, known, is_new=True)

    def _take_start(self) -> Vocabulary | None:
        """Read the model to start from; what it decides becomes part of the options."""
        if self.given.from_model is None:
            return None
        self._start = start = read_start(self.given.from_model)
        self.given = completed(self.given, self.given_names, start)
        self.machine = this_machine(self.given)
        return start.file.vocabulary

    def _documents_of(self, sources: Sequence[Source]) -> str:
        """What documents are: auto is resolved here, since later the files are named one by one."""
        resolved = self.given.reading.resolved(sources).documents
        return self.given.documents if resolved == "text" else resolved

    def _is_the_same(self, folder: RunFolder) -> bool:
        """Whether a run of this job has these texts, and continues or has just begun."""
        try:
            record = read_record(folder)
            if not was_restarted() and ended(folder) is not None:
                return False
        except RunError:
            return False
        learned = Path(record.text.texts[0])
        return STANDARD_INPUT in self.texts or any(
            path in (learned, *learned.parents) or learned.match(str(path))
            for path in (Path(text).absolute() for text in self.texts)
        )

    def _read(self, begun: _Begun, folder: Path) -> Dataset:
        """Read the texts; on other machines than the first, those of the same names."""
        sources = self._sources
        if not self.group.is_first:
            sources = locate(begun.names, self.given, self.report.say)
        cache = cache_for(self.given.cache)
        with self.report.reading() as progress:
            return read_dataset(
                sources,
                folder,
                self.given,
                self.report.say,
                known=begun.known,
                cache=cache,
                progress=progress,
            )

    def _record(self, folder: RunFolder, names: list[str], dataset: Dataset) -> RunRecord:
        """Choose the settings; write the model that the run starts from, and config.json."""
        configuration = settle(self.given, dataset, self.machine)
        text = _text_record(names, dataset, self.given)
        if self._held is not None:
            self._held.check()
        start = None
        if self._start is not None:
            self._made.append(folder.start)
            start = save_start(folder, self._start, dataset.text.vocabulary)
            self._start = None  # its weights need no memory any more
        record = new_record(text, configuration, start)
        write_record(folder, record)
        self._has_begun = True
        return record

    def _remove_unless_begun(self, folder: RunFolder) -> None:
        """Remove what was made for a run that could not begin, and nothing else."""
        with contextlib.suppress(OSError):  # a folder that is not empty stays
            if self._has_begun or self._held is None or not self._held.is_in_place:
                return
            remove_files(folder.path, [LOCK, *(path.name for path in self._made)])
            for made in reversed(folder.made):
                made.rmdir()


def _names_of(
    texts: Sequence[str | Path], sources: Sequence[Source], kept: Sequence[Source]
) -> list[str]:
    """The names by which a resume reads the texts: each file, or if there are many, the arguments.

    A pipe's name is then that of the file that keeps its content.
    """
    if len(kept) <= MOST_NAMES:
        names = (_absolute(source.path or source.name) for source in kept)
        return list(dict.fromkeys(names))  # an archive is named once
    pairs = () if kept is sources else zip(sources, kept, strict=True)
    copies = {str(old.path or "-"): new.path for old, new in pairs if old != new}
    return [_absolute(copies.get(str(text)) or text) for text in texts]


def _absolute(name: Path | str) -> str:
    """A file's absolute path, exactly, even if it is not UTF-8."""
    return str(Path(name).absolute())


def _text_record(names: list[str], dataset: Dataset, options: TrainingOptions) -> TextRecord:
    """The part of config.json about the text."""
    validation, validation_text = options.validation, dataset.validation_text
    return TextRecord(
        texts=names,
        validation=None if validation is None else _absolute(validation),
        digest=dataset.text.digest,
        bytes=dataset.text.bytes,
        validation_digest=None if validation_text is None else validation_text.digest,
        validation_bytes=None if validation_text is None else validation_text.bytes,
        **{each.name: getattr(options, each.name) for each in fields(TextSettings)},
    )


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
                    f"the run {run.path} has ended ({reason}): start a new one with `ricorda "
                    "train`, or give it a larger budget, such as --minutes 10"
                )
            record = with_text(with_own_copies(record, run), texts, given.validation)
            record = with_budget(record, given.budget)
            return asdict(on_this_machine(record, given, group.size))

        begun = group.first_does(begin)
        if begun is None:
            return Run(run.path, group.first_does(lambda: _figures_of(run)), rank=group.rank)
        record = record_from_json(begun)
        known = None
        if (start := record.start) is not None:
            known = group.first_does(lambda: saved_start(run, start).vocabulary)

        def read(folder: Path) -> Dataset:
            cache = cache_for(given.cache)
            with report.reading() as progress:
                return read_dataset_again(
                    record.text, folder, report.say, known=known, cache=cache, progress=progress
                )

        dataset = read_in_every_process(group, run.path, read)
        return fit_run(run, record, dataset, report, group, held, resumed=True)


def with_text(record: RunRecord, texts: Sequence[str] | None, validation: Path | None) -> RunRecord:
    """Return the record with the paths where the text is now.

    Raises ConfigurationError for no text, or a validation file of a run that has none.
    """
    found = record.text
    if texts is not None:
        if not texts:
            raise ConfigurationError("expected a text, got none: leave text out or name one")
        found = replace(found, texts=[str(Path(name).absolute()) for name in texts])
    if validation is not None:
        if found.validation is None:
            raise ConfigurationError(
                "--validation: this run validates on a part of its own text: leave the option out"
            )
        found = replace(found, validation=str(validation.absolute()))
    return replace(record, text=found)


def with_budget(record: RunRecord, budget: Budget | None) -> RunRecord:
    """The record with another budget, if there is one."""
    if budget is None:
        return record
    return replace(record, training=replace(record.training, budget=budget, schedule=None))


def on_this_machine(record: RunRecord, given: TrainingOptions, processes: int) -> RunRecord:
    """The record with the processes that continue the run, and what this machine gives them.

    Threads that are not given are the run's, divided again. Raises ConfigurationError for a GPU
    that is not there, or more processes than streams or GPUs.
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
        log=given.log or training.log,
    )
    return replace(record, training=training)


def _figures_of(run: RunFolder) -> dict[str, Any]:
    """The final figures of a run that has ended."""
    *_, last = (row for row in read_rows(run.metrics) if row.get("event") == "ended")
    return {name: value for name, value in last.items() if name not in ("step", "event")}


def _ended(run: RunFolder, report: Reporter) -> str | None:
    """Why a run has ended; None if it has not, or its rows are damaged."""
    try:
        return ended(run)
    except RunError as error:
        report.warn(f"{error}; the checkpoint has the rows")
        return None


def describe(dataset: Dataset, record: RunRecord) -> str:
    """Describe what will be learned, and with which settings, chosen or given."""
    configuration = record.training
    model, vocabulary = configuration.model, dataset.text.vocabulary
    parts = {"validation": dataset.validation, "the test": dataset.test}
    held_back = {name: 0 if part is None else part.symbols for name, part in parts.items()}
    if dataset.test is None:
        del held_back["the test"]
    others = ", ".join(f"{size:,} for {name}" for name, size in held_back.items())
    of_documents = ""
    if dataset.training.boundary is not None:
        of_documents = f" in {plural(dataset.training.segments, 'document')}"
    embedding = model.embedding_size
    threads = f"{configuration.threads} thread{'s' * (configuration.threads != 1)}"
    if configuration.processes > 1:
        threads = f"{configuration.processes} processes with {threads} each"
    averaging, negatives = configuration.averaging, configuration.softmax_candidates
    start = record.start
    lines = [
        f"{dataset.training.symbols:,} {vocabulary.kind} for training{of_documents}, {others}, "
        f"{vocabulary.size - (vocabulary.boundary is not None):,} different",
        "" if start is None else f"from {start.model}, {plural(start.new_symbols, 'new symbol')}",
        f"{model.cell}, {model.num_layers} x {model.hidden_size} units, "
        f"{'one-hot input' if embedding == 'onehot' else f'embedding {embedding}'}, "
        f"{model.parameters:,} parameters; {configuration.budget}",
        f"batch size {configuration.batch_size}, window {configuration.window}, "
        f"learning rate {configuration.learning_rate:g}, "
        f"weight decay {configuration.weight_decay:g}, clip norm {configuration.clip_norm:g}",
        f"dropout {configuration.dropout:g}, of inputs {configuration.input_dropout:g}, of "
        f"recurrent weights {configuration.recurrent_dropout:g}; weights "
        f"{f'averaged, keeping {averaging:g}' if averaging else 'not averaged'}",
        f"softmax sampled: about {negatives:,} negatives, drawn in each step" if negatives else "",
        f"{configuration.precision} on {configuration.device}, {threads}, "
        f"seed {configuration.seed}",
    ]
    return "\n".join(filter(None, lines))
