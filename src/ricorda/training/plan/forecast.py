"""Predict a training before it begins: its settings, steps, memory and time.

The throughput on this machine is measured on a few steps.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ricorda import draws
from ricorda.draws import Purpose
from ricorda.errors import ConfigurationError, TextError
from ricorda.model import ModelFile
from ricorda.pages.numbers import clock, shown_setting
from ricorda.text import Part, Vocabulary, WindowStream, cache_for
from ricorda.training.configuration import Budget, Schedule, TrainingConfiguration
from ricorda.training.data.dataset import Dataset, keep_passing, locate, read_dataset
from ricorda.training.data.loader import make_loader
from ricorda.training.evaluation import QuickEvaluation, evaluate, write_sample
from ricorda.training.fine_tuning import completed, read_start
from ricorda.training.learner import Learner, make_learner
from ricorda.training.options import TrainingOptions, given_names
from ricorda.training.plan.budget import BudgetClock
from ricorda.training.plan.machine import check_memory, memory_need, this_machine
from ricorda.training.plan.planner import (
    Machine,
    choose,
    depends_on_speed,
    facts_of,
    operations_of,
    output_rows,
)
from ricorda.training.report.progress import Reporter, reporter_for
from ricorda.validation import validated

SECONDS = 1.5  # of measuring, unless a step takes longer
SIZE_SECONDS = 1.0  # of measuring the speed by which a network's size is chosen
WARM_UP_STEPS = 3  # in which memory is first touched
WARM_UP_SHARE = 0.4  # of the seconds at most; a slower step is measured at once
LEARNING_RATE = 1e-6  # so low that no choice of settings can break the measurement
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

    test_characters: int
    """Symbols for a test at the end."""

    documents: int | None
    """Documents for training; None of an undivided text."""

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


class Plan(NamedTuple):
    """The settings of a training that was not begun, and how much validates it."""

    configuration: TrainingConfiguration
    validation_symbols: int


def plan(
    *texts: str | Path, reporter: Reporter | None = None, quiet: bool = False, **options: Any
) -> Plan:
    """Choose every setting as `train` would, and write nothing.

    Raises InputError where `train` would.
    """
    with _planned(texts, reporter or reporter_for(quiet=quiet), options) as (dataset, settled):
        return Plan(settled, 0 if dataset.validation is None else dataset.validation.symbols)


def forecast(
    *texts: str | Path, reporter: Reporter | None = None, quiet: bool = False, **options: Any
) -> Forecast:
    """Plan a training as `train` would, measure a few of its steps, and write nothing.

    Raises InputError where `train` would.
    """
    with _planned(texts, reporter or reporter_for(quiet=quiet), options) as planned:
        return _expect(*planned)


@contextlib.contextmanager
def _planned(
    texts: tuple[str | Path, ...], report: Reporter, options: dict[str, Any]
) -> Iterator[tuple[Dataset, TrainingConfiguration]]:
    """Read the texts and choose every setting; the dataset lasts as long as the context."""
    given = validated(TrainingOptions, **options)
    if not texts:
        raise TextError("expected a text to learn: a file, a folder, a pattern or -, got none")
    known = None
    if given.from_model is not None:
        start = read_start(given.from_model)
        given = completed(given, given_names(options), start)
        known = start.file.vocabulary
    machine = this_machine(given)
    say, cache = report.say, cache_for(given.cache)
    sources = locate([str(text) for text in texts], given, say)
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        sources = keep_passing(sources, Path(folder))
        with report.reading() as progress:
            dataset = read_dataset(
                sources, Path(folder), given, say, known=known, cache=cache, progress=progress
            )
        yield dataset, settle(given, dataset, machine)


def settle(options: TrainingOptions, dataset: Dataset, machine: Machine) -> TrainingConfiguration:
    """Choose what is not given, by the machine's speed, measured by a second of steps.

    A GPU does more operations per second the larger the network is, so there the chosen network is
    measured in turn, as long as the choice grows. Raises ConfigurationError if the
    machine cannot hold it. A schedule of the same text is followed.
    """
    settled = settle_for(options, dataset.training, dataset.text.vocabulary, machine)
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
    validation = dataset.validation_text
    digests = (dataset.text.digest, None if validation is None else validation.digest)
    return digests == (schedule.digest, schedule.validation_digest)


def settle_for(
    options: TrainingOptions, training: Part, vocabulary: Vocabulary, machine: Machine
) -> TrainingConfiguration:
    """The same for the part of a text that trains."""

    facts = facts_of(training, vocabulary)

    def plan(machine: Machine) -> TrainingConfiguration:
        configuration = choose(options, machine=machine, **facts)
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


def _operations(configuration: TrainingConfiguration, training: Part) -> float:
    """Floating-point operations per second, as some steps take them."""
    symbols = configuration.batch_size * min(configuration.window, len(training) - 1)
    try:
        steps_per_second = measure_speed(configuration, training, SIZE_SECONDS)
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
    budget_clock = BudgetClock.of(
        configuration,
        stream.windows_per_epoch,
        evaluation_seconds=_evaluation_seconds(dataset, configuration),
        step_seconds=1 / steps_per_second,
    )
    steps = configuration.budget.steps or budget_clock.total_steps or budget_clock.calibrate(0)
    symbols = steps * stream.batch_size * stream.window
    evaluations = min(configuration.evaluations, steps)
    return Forecast(
        configuration=configuration,
        vocabulary_size=dataset.text.vocabulary.size,
        training_characters=dataset.training.symbols,
        validation_characters=0 if dataset.validation is None else dataset.validation.symbols,
        test_characters=0 if dataset.test is None else dataset.test.symbols,
        documents=None if dataset.training.boundary is None else dataset.training.segments,
        steps=steps,
        steps_per_second=steps_per_second,
        characters=round(symbols / dataset.symbols_per_character),
        passes=symbols / len(dataset.training),
        memory_bytes=memory_need(configuration, len(dataset.training)).total,
        seconds=steps / steps_per_second + evaluations * budget_clock.evaluation_seconds,
    )


def _any_learner(configuration: TrainingConfiguration) -> Learner:
    """Make a learner to measure: its weights are drawn fast, since they make no difference."""
    return make_learner(replace(configuration, initialisation="uniform"))


def _evaluation_seconds(dataset: Dataset, configuration: TrainingConfiguration) -> float:
    """Measure one evaluation with its sample."""
    learner = _any_learner(configuration)
    began = time.monotonic()
    if dataset.validation is not None:
        evaluate(learner, QuickEvaluation(dataset.validation))
    write_sample(ModelFile(configuration.model, dataset.text.vocabulary, learner.weights(), {}))
    return time.monotonic() - began


def lacks_memory(error: BaseException) -> bool:
    """Whether an error, the system's or PyTorch's, is for lack of memory, on a GPU too."""
    if isinstance(error, MemoryError) or "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from ricorda.torch import device

    return device.lacks_memory(error)


def measure_speed(
    configuration: TrainingConfiguration, part: Part | None = None, seconds: float = SECONDS
) -> float:
    """Take real steps of a new network for some seconds -> steps per second.

    Where processes share the batch, this one takes the first one's part alone: communication is not
    counted.

    part: the text that trains; without it, random symbols are read. It takes longer than
    `seconds` only where the first step alone does. The first steps are left out.
    """
    rows = configuration.batch_size // configuration.processes
    configuration = replace(configuration, batch_size=max(1, rows), processes=1)
    learner = _any_learner(configuration)
    with make_loader(learner, _random_text(configuration) if part is None else part) as loader:

        def take(number: int) -> float:
            learner.take_step(loader.batch_at(number), LEARNING_RATE, number)
            return time.monotonic()

        return _steps_a_second(take, seconds)


def _steps_a_second(take: Callable[[int], float], seconds: float) -> float:
    """Return the steps per second; take(n) takes step n and returns the time at its end.

    A step counts as long as the fastest quarter does at most, so that what else the machine does
    for a moment makes no difference: a network chosen by too low a speed stays too small.
    """
    began = now = time.monotonic()
    durations: list[float] = []
    while not durations or now - began < seconds:
        before, now = now, take(len(durations))
        durations.append(now - before)
    warm_up = 0
    while warm_up < WARM_UP_STEPS and sum(durations[:warm_up]) < WARM_UP_SHARE * seconds:
        warm_up += 1
    counted = sorted(durations[warm_up:] or durations)
    return 1 / max(counted[len(counted) // 4], 1e-9)


def _random_text(configuration: TrainingConfiguration) -> Part:
    """Return a text of four windows."""
    size = 4 * configuration.batch_size * configuration.window + 1
    random = draws.generator(configuration.seed, Purpose.MEASUREMENT)
    ids = random.integers(configuration.model.vocabulary_size, size=size, dtype=np.uint32)
    return Part.whole(ids)


def forecast_lines(forecast: Forecast) -> list[str]:
    """The plan of a training, a line for each setting and each expected figure."""
    configuration = forecast.configuration
    learning = asdict(configuration) | {"budget": str(configuration.budget)}
    network = learning.pop("model")
    groups: dict[str, dict[str, Any]] = {
        "text": {
            "for training": forecast.training_characters,
            "for validation": forecast.validation_characters,
            "for a test": forecast.test_characters,
            "documents": forecast.documents,
            "different symbols": forecast.vocabulary_size,
        },
        "network": {**network, "parameters": configuration.model.parameters},
        "learning": learning,
        "expected": {
            "steps": f"{forecast.steps:,}, {forecast.steps_per_second:,.1f} per second",
            "characters read": forecast.characters,
            "passes over the text": f"{forecast.passes:,.3g}",
            "memory": f"about {forecast.memory_bytes / 1e6:,.0f} MB",
            "time": clock(forecast.seconds),
        },
    }
    lines = []
    for heading, facts in groups.items():
        lines += [heading, *(f"  {name:<20} {shown_setting(fact)}" for name, fact in facts.items())]
    return lines
