"""Predict a training before it begins: its settings, steps, memory and time."""

import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ricorda.errors import ConfigurationError, TextError
from ricorda.model import ModelFile
from ricorda.text import Ids, WindowStream, cache_for
from ricorda.training.configuration import Budget, Schedule, TrainingConfiguration
from ricorda.training.data.dataset import Dataset, keep_passing, locate, read_dataset
from ricorda.training.evaluation import QuickEvaluation, write_sample
from ricorda.training.learner import make_learner
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.budget import BudgetClock
from ricorda.training.plan.machine import check_memory, this_machine
from ricorda.training.plan.memory import memory_need
from ricorda.training.plan.planner import (
    Machine,
    choose,
    depends_on_speed,
    operations_of,
    output_rows,
)
from ricorda.training.plan.speed import measure_speed
from ricorda.training.report.progress import Reporter, reporter_for
from ricorda.validation import validated

SECONDS = 1.0  # of measuring the speed by which a network's size is chosen
MEASURED_ON_A_GPU = 3  # times at most


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The plan of a training, and what it is expected to take on this machine."""

    configuration: TrainingConfiguration
    """Every setting, given or chosen."""

    vocabulary_size: int
    """How many different symbols the text has."""

    training_characters: int
    """Symbols for training."""

    validation_characters: int
    """Symbols for validation."""

    steps: int
    """Optimizer steps."""

    steps_per_second: float
    """As a few steps were measured."""

    characters: int
    """Characters that these steps read."""

    passes: float
    """How many times that is the training text."""

    memory_bytes: int
    """At the peak: on a processor of all processes, PyTorch and saving included; else of a GPU."""

    seconds: float
    """From the first step to the last, evaluations included."""

    def as_json(self) -> dict[str, Any]:
        """What `ricorda train --dry-run --json` prints."""
        return {**asdict(self), "parameters": self.configuration.model.parameters}


def forecast(
    *texts: str | Path, reporter: Reporter | None = None, quiet: bool = False, **options: Any
) -> Forecast:
    """Plan a training as `train` would, measure a few of its steps, and write nothing.

    Raises InputError where `train` would.
    """
    given = validated(TrainingOptions, **options)
    if not texts:
        raise TextError("expected a text to learn: a file, a folder, a pattern or -, got none")
    machine = this_machine(given)
    report = reporter or reporter_for(quiet=quiet)
    say, cache = report.say, cache_for(given.cache)
    sources = locate([str(text) for text in texts], given, say)
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        sources = keep_passing(sources, Path(folder))
        with report.reading() as progress:
            dataset = read_dataset(
                sources, Path(folder), given, say, cache=cache, progress=progress
            )
        return _expect(dataset, settle(given, dataset, machine))


def settle(options: TrainingOptions, dataset: Dataset, machine: Machine) -> TrainingConfiguration:
    """Choose what is not given, by the machine's speed, measured by a second of steps.

    A GPU does more operations a second the larger the network is, so there the chosen network is
    measured in turn, as long as the choice grows. Raises ConfigurationError if the
    machine cannot hold it. A schedule of the same text is followed.
    """
    settled = settle_for(options, dataset.training, dataset.text.vocabulary.size, machine)
    schedule = options.schedule
    if schedule is None or not _is_of(schedule, dataset):
        return settled
    return replace(
        settled,
        budget=Budget(steps=schedule.steps),
        warmup_steps=schedule.warmup_steps,
        evaluations=max(1, len(schedule.evaluated)),
        schedule=schedule,
    )


def _is_of(schedule: Schedule, dataset: Dataset) -> bool:
    """Whether the texts are those that the schedule was recorded with."""
    judging = dataset.validation_text
    digests = (dataset.text.digest, None if judging is None else judging.digest)
    return digests == (schedule.digest, schedule.validation_digest)


def settle_for(
    options: TrainingOptions, training: Ids, vocabulary_size: int, machine: Machine
) -> TrainingConfiguration:
    """The same for a text's ids (N,)."""

    def plan(machine: Machine) -> TrainingConfiguration:
        configuration = choose(
            options,
            training_size=len(training),
            vocabulary_size=vocabulary_size,
            machine=machine,
        )
        check_memory(configuration, len(training))
        return configuration

    configuration = plan(machine)
    if not depends_on_speed(options):
        return configuration
    for _ in range(MEASURED_ON_A_GPU if machine.device == "cuda" else 1):
        before = configuration.model.parameters
        operations = _operations(configuration, training)
        configuration = plan(replace(machine, operations=operations))
        if configuration.model.parameters <= before:
            break
    return configuration


def _operations(configuration: TrainingConfiguration, training: Ids) -> float:
    """Floating-point operations a second, as some steps take them."""
    symbols = configuration.batch_size * min(configuration.window, len(training) - 1)
    try:
        steps_per_second = measure_speed(configuration, training, SECONDS)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise ConfigurationError(
            "expected a training that fits in the memory, but a step of it does not: lower "
            "--batch-size, --window or --hidden-size"
        ) from error
    model = configuration.model
    rows = output_rows(
        model.vocabulary_size, configuration.softmax_candidates, symbols // configuration.processes
    )
    return symbols * steps_per_second * operations_of(model, rows)


def _expect(dataset: Dataset, configuration: TrainingConfiguration) -> Forecast:
    """Measure a few steps and an evaluation, and predict the rest."""
    stream = WindowStream(
        dataset.training,
        batch_size=configuration.batch_size,
        window=configuration.window,
        seed=configuration.seed,
    )
    steps_per_second = measure_speed(configuration, dataset.training)
    clock = BudgetClock.of(
        configuration,
        stream.windows_per_epoch,
        evaluation_seconds=_evaluation_seconds(dataset, configuration),
        step_seconds=1 / steps_per_second,
    )
    steps = configuration.budget.steps or clock.total_steps or clock.calibrate(0)
    symbols = steps * stream.batch_size * stream.window
    evaluations = min(configuration.evaluations, steps)
    return Forecast(
        configuration=configuration,
        vocabulary_size=dataset.text.vocabulary.size,
        training_characters=len(dataset.training),
        validation_characters=0 if dataset.validation is None else len(dataset.validation),
        steps=steps,
        steps_per_second=steps_per_second,
        characters=round(symbols / dataset.symbols_per_character),
        passes=symbols / len(dataset.training),
        memory_bytes=memory_need(configuration, len(dataset.training)).total,
        seconds=steps / steps_per_second + evaluations * clock.evaluation_seconds,
    )


def _evaluation_seconds(dataset: Dataset, configuration: TrainingConfiguration) -> float:
    """Measure one evaluation with its sample."""
    learner = make_learner(configuration)
    began = time.monotonic()
    if dataset.validation is not None:
        QuickEvaluation(dataset.validation).evaluate(learner)
    write_sample(ModelFile(configuration.model, dataset.text.vocabulary, learner.weights(), {}))
    return time.monotonic() - began


def lacks_memory(error: BaseException) -> bool:
    """Whether an error, the system's or PyTorch's, is for lack of memory, on a GPU too."""
    if isinstance(error, MemoryError) or "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from ricorda.torch import device

    return device.lacks_memory(error)
