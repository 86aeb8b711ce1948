"""A run from its text to its figures: `train` begins one, `resume` goes on with one."""

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ricorda.durable import refuse_link, remove_leftovers
from ricorda.engine import Figures, Model, load
from ricorda.errors import RunError, TextError, TrainingError
from ricorda.models import ModelFile, read_model_file, write_model_file
from ricorda.runs import RunFolder, ended, find_run, new_run_folder
from ricorda.text import Source, WindowStream, cache_for
from ricorda.text.sources import displayed
from ricorda.training.checkpoint import Progress
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.device import computing_with, this_machine
from ricorda.training.evaluation import QuickEvaluation
from ricorda.training.fingerprint import fingerprint
from ricorda.training.forecast import settle
from ricorda.training.learner import make_learner
from ricorda.training.lock import RunLock
from ricorda.training.loop import Loop, StoppedBecause
from ricorda.training.material import (
    Material,
    keep_passing,
    locate,
    read_material,
    read_material_again,
)
from ricorda.training.options import TrainingOptions
from ricorda.training.pace import Pace
from ricorda.training.progress import Reporter, clock, in_nats_and_bits, reporter_for
from ricorda.training.reading_progress import showing
from ricorda.training.record import RunRecord, TextRecord, new_record, read_record, write_record
from ricorda.training.report import write_report
from ricorda.training.resumption import (
    check_budget,
    given_budget,
    planned_steps,
    with_budget,
    with_text,
)
from ricorda.training.safekeeping import Safekeeping
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
    report = reporter or reporter_for(quiet=quiet)
    cache = cache_for(given.cache)
    sources = locate([str(text) for text in texts], given, report.say)
    folder = new_run_folder(given.out, str(texts[0]))
    with RunLock(folder.path):
        remove_leftovers(folder.path)
        with _removed_on_error(folder):
            kept = keep_passing(sources, folder.path)
            with showing(report) as progress:
                material = read_material(
                    kept, folder.path, given, report.say, cache=cache, progress=progress
                )
            configuration = settle(given, material, machine)
            names = _names(texts, sources, kept)
            record = new_record(_text_record(names, material, given), configuration)
            write_record(folder, record)
        report.say(f"{describe(material, configuration)}\nrun: {folder.path}")
        return _learn(folder, record, material, report)


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
) -> Run:
    """Go on with a run from its last checkpoint; without a folder, with the newest run.

    text, validation: where the text lies now, if it was moved. minutes, epochs, steps: another
    budget, which counts from the run's beginning; the learning rate goes on as if it had been
    given then. cache: as in training. Raises RunError if the run has ended (and no budget is
    given), has no checkpoint, is being trained, or its text has changed; ConfigurationError for a
    budget that is spent.
    """
    place = find_run(None if folder is None else Path(folder))
    kept = cache_for(cache)
    report = reporter or reporter_for(quiet=quiet)
    with RunLock(place.path):
        refuse_link(place.checkpoints)
        remove_leftovers(place.path)
        remove_leftovers(place.checkpoints)
        record, budget = read_record(place), given_budget(minutes, epochs, steps)
        more = budget not in (None, record.training.budget)
        if not more and (reason := _ended(place, report)) is not None:
            raise RunError(
                f"the run {place.path} has ended ({reason}): begin a new one with `ricorda train`, "
                "or go on with more of a budget, such as --minutes 10"
            )
        record = with_budget(with_text(record, text, validation), budget)
        with showing(report) as progress:
            material = read_material_again(
                record.text, place.path, report.say, cache=kept, progress=progress
            )
        return _learn(place, record, material, report, resumed=True)


def _ended(folder: RunFolder, report: Reporter) -> str | None:
    """Why a run has ended; None if it has not, or its rows cannot tell."""
    try:
        return ended(folder)
    except RunError as error:
        report.say(f"{error}; the checkpoint has the rows")
        return None


def describe(material: Material, configuration: TrainingConfiguration) -> str:
    """Say what will be learned, and how, chosen or given."""
    model, vocabulary = configuration.model, material.text.vocabulary
    validation = 0 if material.validation is None else len(material.validation)
    embedding = model.embedding_size
    return (
        f"{len(material.training):,} {vocabulary.kind} to learn, {validation:,} to judge by, "
        f"{vocabulary.size:,} different\n"
        f"{model.cell}, {model.num_layers} x {model.hidden_size} units, "
        f"{'one-hot input' if embedding == 'onehot' else f'embedding {embedding}'}, "
        f"{model.parameters:,} parameters; {configuration.budget}\n"
        f"batch size {configuration.batch_size}, window {configuration.window}, "
        f"learning rate {configuration.learning_rate:g}, "
        f"weight decay {configuration.weight_decay:g}, clip norm {configuration.clip_norm:g}\n"
        f"dropout {configuration.dropout:g}, of inputs {configuration.input_dropout:g}, of "
        f"recurrent weights {configuration.recurrent_dropout:g}; "
        f"{_averaging(configuration.averaging)}\n"
        f"{configuration.precision} on {configuration.device}, "
        f"{configuration.threads} threads, seed {configuration.seed}"
    )


def _averaging(share: float) -> str:
    return f"weights averaged, keeping {share:g}" if share else "weights not averaged"


@contextlib.contextmanager
def _removed_on_error(folder: RunFolder) -> Any:
    """If a run cannot begin, its new folder goes again."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _names(
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
    """A file's whole name; one that is not Unicode as it is displayed."""
    path = str(Path(name).absolute())
    return path if path.isascii() or _is_unicode(path) else displayed(path)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _text_record(names: list[str], material: Material, options: TrainingOptions) -> TextRecord:
    """What config.json says of the text."""
    validation = options.validation
    judging = material.validation_text
    return TextRecord(
        texts=names,
        validation=None if validation is None else str(validation.absolute()),
        validation_fraction=options.validation_fraction,
        vocabulary=options.vocabulary,
        encoding=options.encoding,
        newlines=options.newlines,
        decompress=options.decompress,
        max_decompressed=options.max_decompressed,
        digest=material.text.digest,
        bytes=material.text.bytes,
        validation_digest=None if judging is None else judging.digest,
        validation_bytes=None if judging is None else judging.bytes,
    )


def _learn(
    folder: RunFolder,
    record: RunRecord,
    material: Material,
    report: Reporter,
    *,
    resumed: bool = False,
) -> Run:
    """Set up, fit, judge, and write down."""
    with computing_with(record.training), _memory_errors_told(folder):
        loop = _set_up(folder, record, material, report, resumed=resumed)
        try:
            reason, signal_number = loop.fit()
        finally:
            report.close()
    metrics = _conclude(loop, material, reason)
    rows = loop.safekeeping.metrics
    rows.flush()
    try:
        write_report(folder, record, metrics)
    except (OSError, RunError) as error:
        report.say(f"{folder.report} cannot be written ({error}): the run itself is saved")
    # last of all: what is killed before this row goes on, and makes its report
    rows.append({"step": loop.progress.step, "event": "ended", **metrics})
    rows.flush()
    _say_result(report, metrics)
    return Run(folder.path, metrics, signal_number)


@contextlib.contextmanager
def _memory_errors_told(folder: RunFolder) -> Any:
    """PyTorch's error for want of memory, as one of ours."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        lacking = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not lacking and "allocate memory" not in str(error):
            raise
        raise TrainingError(
            "not enough memory: close other programs, then go on with "
            f"`ricorda resume {folder.path}`, or begin anew with a smaller --batch-size or "
            "--hidden-size"
        ) from error


def _set_up(
    folder: RunFolder, record: RunRecord, material: Material, report: Reporter, *, resumed: bool
) -> Loop:
    """Make the network, its optimizer and streams; bring them back to the last checkpoint."""
    configuration = record.training
    stream = WindowStream(
        material.training,
        batch_size=configuration.batch_size,
        window=configuration.window,
        seed=configuration.seed,
        reset_probability=configuration.reset_probability,
    )
    learner = make_learner(configuration)
    safekeeping = Safekeeping(
        folder,
        keep=configuration.keep,
        fingerprint=fingerprint(configuration.threads, configuration.device),
        reporter=report,
    )
    progress = Progress()
    if resumed:
        progress = safekeeping.resume(learner)
        report.say(f"goes on after step {progress.step:,}: {folder.path}")
    pace = Pace(
        configuration.budget,
        windows_per_epoch=stream.windows_per_epoch,
        evaluations=configuration.evaluations,
        warmup_steps=configuration.warmup_steps,
        total_steps=planned_steps(progress, configuration),
        seconds_before=progress.seconds,
    )
    saved_step = progress.step if resumed else -1
    if progress.budget not in (None, configuration.budget):
        check_budget(progress, configuration, pace.total_steps)
        write_record(folder, record)
        saved_step = -1
    elif resumed and record != read_record(folder):
        write_record(folder, record)
    validation = material.validation
    evaluation = None if validation is None else QuickEvaluation(validation, configuration.device)
    return Loop(
        folder=folder,
        configuration=configuration,
        vocabulary=material.text.vocabulary,
        provenance=_provenance(record, material),
        symbols_per_character=material.symbols_per_character,
        stream=stream,
        evaluation=evaluation,
        learner=learner,
        pace=pace,
        progress=progress,
        reporter=report,
        safekeeping=safekeeping,
        saved_step=saved_step,
    )


def _provenance(record: RunRecord, material: Material) -> dict[str, Any]:
    """What the model file tells of where it came from."""
    return {
        "texts": [Path(name).name for name in record.text.texts],
        "digest": record.text.digest,
        "training_characters": len(material.training),
        "validation_characters": 0 if material.validation is None else len(material.validation),
        "seed": record.training.seed,
        "made_with": record.made_with,
    }


def _conclude(loop: Loop, material: Material, reason: StoppedBecause) -> dict[str, Any]:
    """Read the best model's figure on the validation text and put the run's figures together."""
    figures = None
    if reason != "interrupted" and material.validation is not None:
        model = load(loop.folder.path)
        figures = model.evaluate(material.validation[:EXACT_LIMIT])
        _write_into_model(loop.folder, figures)
    progress, configuration = loop.progress, loop.configuration
    return {
        "run": str(loop.folder.path),
        "model": str(loop.folder.model),
        "parameters": configuration.model.parameters,
        "vocabulary_size": configuration.model.vocabulary_size,
        "training_characters": len(material.training),
        "validation_characters": 0 if material.validation is None else len(material.validation),
        "steps": progress.step,
        "characters_seen": loop.characters_seen,
        "train_seconds": round(progress.seconds, 3),
        "validation": None if figures is None else _validation(figures),
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
        report.say(f"interrupted after {spent}; go on with: ricorda resume {metrics['run']}")
        return
    validation = metrics["validation"]
    if validation is not None:
        report.say(
            f"validation: {in_nats_and_bits(validation['nats_per_character'])} a character, "
            f"{validation['bits_per_byte']:.2f} bits a byte, "
            f"perplexity {validation['perplexity']:.2f}"
        )
    report.say(f"{spent}; continue a text with: ricorda sample {metrics['run']}")
