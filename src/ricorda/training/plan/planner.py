"""Choose unset options from the text's size, the budget and the machine's speed.

The rules follow measured runs (docs/log.md) on texts of several kinds. They are written in terms of

    symbols     how many symbols the budget reads, epochs and all
    parameters  how many numbers a symbol can be multiplied with; of a sampled softmax it meets few,
                but all are to be learned
    passes      how many times the budget reads the training text

A step costs 6 floating-point operations for each symbol and parameter. Of a budget in time the
operations are known, and the larger the network, the fewer symbols it reads: best is a network that
reads a few symbols for each of its parameters, and more of them the more often it has read them
before. A text that is read many times over asks for dropout, of outputs and of recurrent weights,
and for weight decay; a very small one for a small network besides.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal

from ricorda.engine import kernels_are_built
from ricorda.errors import ConfigurationError
from ricorda.extras import require_torch
from ricorda.model.cells import CELLS, CellName
from ricorda.model.configuration import ModelConfiguration
from ricorda.text import Part, Vocabulary
from ricorda.text.lists import looks_like_list
from ricorda.training.configuration import (
    Backend,
    Budget,
    Device,
    LearningSettings,
    Precision,
    TrainingConfiguration,
)
from ricorda.training.options import TrainingOptions, cell_of

DEFAULT_MINUTES = 3.0
OPERATIONS_A_SECOND = 3e11  # of learning, where they were not measured: two cores
USED_SHARE = 0.93  # of a budget in time that goes into steps
SYMBOLS_PER_PARAMETER = 3.0  # of a text that is read once
SYMBOLS_PER_PASS = 0.4  # so many more for each reading,
MOST_SYMBOLS_PER_PARAMETER = 16.0  # up to this
PARAMETERS_PER_CHARACTER = 4.0  # at most, of the text
MEMORIZED = 640  # symbols; a text too short to validate with is memorized, without dropout
SAMPLED_FROM = 2048  # symbols, of which the softmax is sampled
SOFTMAX_CANDIDATES = 512
LIST_SAMPLE = 1 << 16  # symbols by which a list is recognized
LONGEST_LINE = 70  # symbols of a document, on average, in what is taken for a list


@dataclass(frozen=True)
class Machine:
    """The facts about the machine that the choice depends on; `this_machine` finds them."""

    device: Device
    threads: int
    """Of each process."""

    bfloat16: frozenset[CellName]
    """The cells that it learns faster in bfloat16 than in float32."""

    operations: float = OPERATIONS_A_SECOND
    """Floating-point operations of learning that it does in a second, all processes together."""

    processes: int = 1
    """How many learn together."""


def choose(
    options: TrainingOptions,
    *,
    training_size: int,
    vocabulary_size: int,
    machine: Machine,
    documents: bool = False,
    num_labels: int = 0,
    is_list: bool = False,
) -> TrainingConfiguration:
    """Choose every setting: what `options` gives is kept, the rest is chosen.

    training_size is the number of symbols to learn from. documents: whether these are documents;
    num_labels: K of the network, 0 without labels. is_list: whether it consists of short lines or
    documents. `facts_of` finds all but the machine.
    """
    budget = options.budget or Budget(minutes=DEFAULT_MINUTES)
    backend = choose_backend(options.backend, machine.device)
    cell = cell_of(options, backend, is_list=is_list)
    num_layers = options.num_layers or CELLS[cell].num_layers
    window = options.window or 64
    batch_size = options.batch_size or _batch_size(training_size, window, machine)
    negatives = _softmax_candidates(options, vocabulary_size, machine)
    rows = output_rows(vocabulary_size, negatives, batch_size * window // machine.processes)
    symbols_at = partial(_symbols, budget, training_size, batch_size * window, machine)
    hidden_size = options.hidden_size or _hidden_size(
        CELLS[cell].squares(num_layers),
        vocabulary_size,
        rows,
        training_size,
        symbols_at,
    )
    model = ModelConfiguration(
        cell=cell,
        vocabulary_size=vocabulary_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        embedding_size=options.embedding_size or _embedding_size(vocabulary_size),
        nonlinearity=options.nonlinearity or "tanh",
        documents=documents,
        num_labels=num_labels,
    )
    passes = _memorizing_passes(model, rows, training_size, symbols_at)
    chosen = {
        "dropout": _dropout(passes),
        "recurrent_dropout": _recurrent_dropout(cell, passes),
        "weight_decay": _weight_decay(passes),
        "learning_rate": _learning_rate(model, batch_size),
        "threads": machine.threads,
    }
    settled = {
        "model": model,
        "budget": budget,
        "batch_size": batch_size,
        "window": window,
        "softmax_candidates": negatives,
        "warmup_steps": _warmup_steps(budget, training_size, batch_size * window),
        "evaluations": _evaluations(budget),
        "device": machine.device,
        "precision": _precision(options, cell, machine),
        "backend": backend,
        "processes": machine.processes,
    }
    if documents:  # their state starts from zero without that
        settled["reset_probability"] = 0.0
    given = {each.name: getattr(options, each.name) for each in fields(LearningSettings)}
    kept = {name: value for name, value in given.items() if value is not None}
    return TrainingConfiguration(**(chosen | kept | settled))


def _memorizing_passes(
    model: ModelConfiguration,
    rows: int,
    training_size: int,
    symbols_at: Callable[[float], float],
) -> float:
    """How often the text is read, less for a network that is too small to memorize it."""
    if training_size < MEMORIZED:
        return 0.0
    met, parameters = (operations_of(model, count) / 6 for count in (rows, model.vocabulary_size))
    capacity: float = (parameters / training_size) ** 1.5
    return symbols_at(met) / training_size * min(1.0, capacity)


def facts_of(training: Part, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what `choose` needs to know about the part of a text that trains."""
    documents = training.boundary is not None
    if documents:
        is_list = training.symbols <= LONGEST_LINE * training.segments
    else:
        is_list = looks_like_list(vocabulary.decode(training.read(0, LIST_SAMPLE)))
    return {
        "training_size": len(training),
        "vocabulary_size": vocabulary.size,
        "documents": documents,
        "num_labels": len(vocabulary.labels) + 1 if vocabulary.labels else 0,
        "is_list": is_list,
    }


def choose_backend(wanted: Literal["auto", "kernels", "torch"], device: str) -> Backend:
    """Choose the backend: the kernels if they can be used, else PyTorch.

    Raises ConfigurationError for kernels that cannot be used, MissingExtra where only PyTorch can
    compute and is not installed.
    """
    can = device == "cpu" and kernels_are_built()
    if wanted == "kernels" and not can:
        reason = f"compute on a processor, not on {device}"
        if device == "cpu":
            reason = "were not compiled at installation"
        raise ConfigurationError(f"--backend kernels: the kernels {reason}; leave it out")
    if can and wanted != "torch":
        return "kernels"
    require_torch()
    return "torch"


def operations_of(model: ModelConfiguration, rows: int) -> float:
    """Floating-point operations to learn one symbol: two a weight forwards, four backwards.

    The first layer's input and a label's row are looked up in tables and cost none. rows: how many
    rows of the output layer each symbol is multiplied with.
    """
    squares = CELLS[model.cell].squares(model.num_layers)
    return 6.0 * (squares * model.hidden_size**2 + rows * model.hidden_size)


def output_rows(vocabulary_size: int, candidates: int, step_size: int) -> int:
    """About how many rows of the output layer a process takes for its targets of a step.

    Where the softmax is sampled, those drawn and about one more for each fourth target: a ninth to
    a third in two texts of thousands of characters, steps of 1,024.
    """
    if not candidates:
        return vocabulary_size
    return min(vocabulary_size, candidates + step_size // 4)


def depends_on_speed(options: TrainingOptions) -> bool:
    """Whether the plan depends on the machine's speed."""
    budget = options.budget
    return options.hidden_size is None and (budget is None or budget.minutes is not None)


def _batch_size(training_size: int, window: int, machine: Machine) -> int:
    """16 streams, more where many threads share them; fewer if they would be short."""
    threads, processes = machine.threads * machine.processes, machine.processes
    wanted = 64 if machine.device != "cpu" else min(64, max(16, 8 * threads))
    wanted = max(wanted, 8 * processes if processes > 1 else 0)
    while wanted > 8 and training_size < 16 * wanted * window:
        wanted //= 2
    return max(wanted, processes)


def _hidden_size(
    squares: int,
    vocabulary_size: int,
    rows: int,
    training_size: int,
    symbols_at: Callable[[float], float],
) -> int:
    """The units whose weights the budget affords and the text deserves: 64, 128, ... 2,048.

    H units have squares H^2 + V H weights, those of the embedding left out. A symbol meets squares
    H^2 + rows H of them; symbols_at gives how many symbols the budget then reads.
    """

    def is_too_large(hidden_size: int) -> bool:
        square = squares * hidden_size**2
        parameters = square + vocabulary_size * hidden_size
        symbols = symbols_at(square + rows * hidden_size)
        per_parameter = SYMBOLS_PER_PARAMETER + SYMBOLS_PER_PASS * symbols / training_size
        needed = parameters * min(per_parameter, MOST_SYMBOLS_PER_PARAMETER)
        return needed > symbols or parameters > PARAMETERS_PER_CHARACTER * training_size

    hidden_size = 64
    while hidden_size < 2048 and not is_too_large(hidden_size + 32):
        hidden_size += 64
    return hidden_size


def _symbols(
    budget: Budget, training_size: int, step_size: int, machine: Machine, met: float
) -> float:
    """How many symbols the budget reads, where each meets so many parameters."""
    if budget.epochs is not None:
        return budget.epochs * training_size
    if budget.steps is not None:
        return float(budget.steps * step_size)
    assert budget.minutes is not None
    return machine.operations * budget.minutes * 60 * USED_SHARE / (6 * met)


def _learning_rate(model: ModelConfiguration, batch_size: int) -> float:
    """Lower for large networks, deep ones and small batches.

    It is that of random weights also where a run starts from a model (docs/log.md).
    """
    rate = CELLS[model.cell].learning_rate * min(1.2, (256 / model.hidden_size) ** 0.5)
    rate *= (min(batch_size, 64) / 32) ** 0.4 / model.num_layers**0.5
    return float(f"{rate:.1e}")


def _embedding_size(vocabulary_size: int) -> int:
    """Enough numbers to distinguish the symbols; more cost time without any gain (docs/log.md)."""
    return 64 if vocabulary_size <= 256 else 128


def _dropout(passes: float) -> float:
    """Little for a text read once, more with each further reading, at a decreasing rate."""
    return round(min(0.5, max(0.0, 0.15 * math.log1p(passes) - 0.12)), 2)


def _recurrent_dropout(cell: CellName, passes: float) -> float:
    """For what is read many times, by a cell that has such weights."""
    if not CELLS[cell].has_recurrent_weights:
        return 0.0
    return round(min(0.3, max(0.0, 0.14 * math.log(max(passes, 1.0) / 4))), 2)


def _weight_decay(passes: float) -> float:
    """In proportion to how often a text is read, within limits."""
    return round(min(0.1, max(0.01, passes / 100)), 3)


def _warmup_steps(budget: Budget, training_size: int, step_size: int) -> int:
    """A hundred steps, or a tenth of a short budget."""
    if budget.minutes is not None:
        return 100
    steps = budget.steps or budget.epochs * max(1, training_size // step_size)  # type: ignore[operator]
    return int(min(100, steps // 10))


def _evaluations(budget: Budget) -> int:
    """Twenty, fewer in a minute or two, where each would cost a visible share of the time."""
    if budget.minutes is None:
        return 20
    return int(min(20, max(4, round(12 * budget.minutes))))


def _softmax_candidates(options: TrainingOptions, vocabulary_size: int, machine: Machine) -> int:
    """As measured better on processors (docs/log.md); 0 where that many symbols are all."""
    wanted = options.softmax_candidates
    if wanted is None:
        pays = machine.device == "cpu" and vocabulary_size >= SAMPLED_FROM
        wanted = SOFTMAX_CANDIDATES if pays else 0
    return wanted if wanted < vocabulary_size else 0


def _precision(options: TrainingOptions, cell: CellName, machine: Machine) -> Precision:
    """bfloat16 where it is faster; it ends at the same loss (docs/log.md)."""
    if options.precision != "auto":
        return options.precision
    return "bfloat16" if cell in machine.bfloat16 else "float32"
