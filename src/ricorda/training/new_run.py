"""Begin a new run: find and read the texts, make the folder, choose the settings."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from ricorda.durable import remove_files, remove_leftovers
from ricorda.errors import RunError
from ricorda.runs import LOCK, RunFolder, ended, new_run_folder
from ricorda.text import Source, cache_for
from ricorda.text.sources import STANDARD_INPUT
from ricorda.training.checkpoint.held_folder import HeldFolder, RunLock
from ricorda.training.checkpoint.record import (
    RunRecord,
    TextRecord,
    new_record,
    read_record,
    record_from_json,
    write_record,
)
from ricorda.training.configuration import TextSettings
from ricorda.training.data.dataset import (
    Dataset,
    keep_passing,
    locate,
    read_dataset,
    read_in_every_process,
)
from ricorda.training.fit import Run, fit_run
from ricorda.training.job import job_name, run_of, was_restarted
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.forecast import settle
from ricorda.training.plan.planner import Machine
from ricorda.training.process_group import ProcessGroup
from ricorda.training.report.messages import describe
from ricorda.training.report.progress import Reporter
from ricorda.training.resumed_run import resume_run

MOST_NAMES = 1000
"""Files of a text that config.json names one by one."""


@dataclass
class NewRun:
    """A run that begins: the stages from the texts to the trained model."""

    texts: list[str]
    given: TrainingOptions
    machine: Machine
    report: Reporter
    group: ProcessGroup
    _sources: Sequence[Source] = ()
    _names: list[str] = field(default_factory=list)
    _copies: list[Path] = field(default_factory=list)
    _held: HeldFolder | None = None
    _has_begun: bool = False

    def train(self) -> Run:
        """Begin a run, or continue that of the same job if the job was restarted."""
        with contextlib.ExitStack() as stack:
            path, names, is_new = self.group.first_does(lambda: self._begin(stack))
            folder = RunFolder(Path(path))
            if not is_new:
                stack.close()
                given = TrainingOptions(cache=self.given.cache, threads=self.given.threads)
                return resume_run(folder, given, None, self.report, self.group)
            dataset = read_in_every_process(
                self.group, folder.path, lambda place: self._read(names, place)
            )
            record = record_from_json(
                self.group.first_does(lambda: asdict(self._record(folder, dataset)))
            )
            self.report.say(f"{describe(dataset, record.training)}\nrun: {folder.path}")
            if (warning := dataset.warning()) is not None:
                self.report.warn(warning)
            return fit_run(folder, record, dataset, self.report, self.group, self._held)

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
        stack.enter_context(RunLock(folder.path, job, self.report.warn))
        stack.callback(self._remove_unless_begun, folder)
        remove_leftovers(folder.path)
        self._sources = keep_passing(sources, folder.path, self._copies.append)
        self._names = _names_of(self.texts, sources, self._sources)
        return str(folder.path), self._names, True

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
            place in (learned, *learned.parents) or learned.match(str(place))
            for place in (Path(text).absolute() for text in self.texts)
        )

    def _read(self, names: list[str], place: Path) -> Dataset:
        """Read the texts; on other machines than the first, those of the same names."""
        sources = self._sources
        if not self.group.is_first:
            sources = locate(names, self.given, self.report.say)
        cache = cache_for(self.given.cache)
        with self.report.reading() as progress:
            return read_dataset(
                sources, place, self.given, self.report.say, cache=cache, progress=progress
            )

    def _record(self, folder: RunFolder, dataset: Dataset) -> RunRecord:
        """Choose the settings, and write config.json."""
        configuration = settle(self.given, dataset, self.machine)
        record = new_record(_text_record(self._names, dataset, self.given), configuration)
        if self._held is not None:
            self._held.check()
        write_record(folder, record)
        self._has_begun = True
        return record

    def _remove_unless_begun(self, folder: RunFolder) -> None:
        """Remove what was made for a run that could not begin, and nothing else."""
        with contextlib.suppress(OSError):  # a folder that is not empty stays
            if self._has_begun or self._held is None or not self._held.is_in_place:
                return
            remove_files(folder.path, [LOCK, *(copy.name for copy in self._copies)])
            for made in reversed(folder.made):
                made.rmdir()


def _names_of(
    texts: Sequence[str | Path], sources: Sequence[Source], kept: Sequence[Source]
) -> list[str]:
    """The names by which a resume reads the texts: each file, or if there are many, the arguments.

    A pipe's name is then that of the file that keeps its content.
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
