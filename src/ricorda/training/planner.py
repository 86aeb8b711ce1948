"""What is not given is chosen here, from the text's size and the budget, by `choose`.

The rules follow measured runs (docs/log.md) and are written in terms of `passes`: how many times
the budget reads the training text. More time affords a larger network; a text read many times
asks for more dropout; a small text for a smaller network and batch.
"""

from dataclasses import dataclass
from typing import Literal

from ricorda.models.configuration import CellName, ModelConfiguration
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.options import TrainingOptions

DEFAULT_MINUTES = 3.0
CHARACTERS_A_SECOND = 45_000  # of an LSTM of 256 units on two cores; falls with H
BY_HEART = 640  # symbols; a text too short to validate with is learned by heart, without dropout
LEARNING_RATE: dict[CellName, float] = {"rnn": 1.5e-3, "gru": 4e-3, "lstm": 6e-3}  # at H 256


@dataclass(frozen=True)
class Machine:
    """What the choice must know of the machine; `device.this_machine` reads it."""

    device: str
    threads: int
    bfloat16: frozenset[CellName]
    """The cells that it learns faster in bfloat16 than in float32."""


def choose(
    options: TrainingOptions, *, training_size: int, vocabulary_size: int, machine: Machine
) -> TrainingConfiguration:
    """Settle every setting: what options gives is kept, the rest is chosen.

    training_size is the number of symbols to learn from.
    """
    budget = _budget(options)
    cell: CellName = options.cell or "lstm"
    hidden_size = options.hidden_size or _hidden_size(budget, training_size)
    num_layers = options.num_layers or 1
    window = options.window or _window(hidden_size)
    batch_size = options.batch_size or _batch_size(training_size, window)
    model = ModelConfiguration(
        cell=cell,
        vocabulary_size=vocabulary_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        embedding_size=options.embedding_size or _embedding_size(vocabulary_size),
        nonlinearity=options.nonlinearity or "tanh",
    )
    passes = _passes(budget, training_size, batch_size * window, hidden_size, num_layers)
    dropout = options.dropout
    if dropout is None:
        dropout = 0.0 if training_size < BY_HEART else _dropout(passes)
    input_dropout = options.input_dropout
    if input_dropout is None:
        input_dropout = 0.0 if model.embedding_size == "onehot" else round(dropout / 2, 2)
    peak = LEARNING_RATE[cell] * min(1.5, (256 / hidden_size) ** 0.5) / num_layers**0.5
    return TrainingConfiguration(
        model=model,
        budget=budget,
        batch_size=batch_size,
        window=window,
        learning_rate=options.learning_rate or float(f"{peak:.1e}"),
        dropout=dropout,
        input_dropout=input_dropout,
        recurrent_dropout=options.recurrent_dropout or 0.0,
        weight_decay=0.01 if options.weight_decay is None else options.weight_decay,
        clip_norm=options.clip_norm or 1.0,
        averaging=options.averaging or 0.0,
        initialisation=options.initialisation,
        forget_bias=1.0 if options.forget_bias is None else options.forget_bias,
        warmup_steps=_warmup_steps(budget, training_size, batch_size * window),
        evaluations=_evaluations(budget),
        patience=options.patience,
        keep=options.keep,
        seed=options.seed,
        device="cuda" if machine.device == "cuda" else "cpu",
        precision=_precision(options, cell, machine),
        kernels=options.kernels,
        threads=options.threads or machine.threads,
    )


def _budget(options: TrainingOptions) -> Budget:
    """The budget that was given, else three minutes."""
    if options.minutes is None and options.epochs is None and options.steps is None:
        return Budget(minutes=DEFAULT_MINUTES)
    return Budget(minutes=options.minutes, epochs=options.epochs, steps=options.steps)


def _hidden_size(budget: Budget, training_size: int) -> int:
    """As large as the time affords, 256 for a minute and 512 for ten, and the text deserves."""
    wanted = 256.0 * (budget.minutes or DEFAULT_MINUTES) ** 0.3
    deserved = 128.0 * max(1.0, training_size / 20_000) ** 0.5
    return int(min(1024, max(64, round(min(wanted, deserved) / 64) * 64)))


def _window(hidden_size: int) -> int:
    """Large networks can use a longer past."""
    return 96 if hidden_size >= 512 else 64


def _batch_size(training_size: int, window: int) -> int:
    """32 streams, fewer if each would be shorter than 16 windows; a power of two, at least 8."""
    for batch_size in (32, 16):
        if training_size >= batch_size * window * 16:
            return batch_size
    return 8


def _embedding_size(vocabulary_size: int) -> int:
    """Enough numbers to tell the symbols apart."""
    if vocabulary_size <= 256:
        return 64
    return 128 if vocabulary_size <= 2048 else 256


def _passes(
    budget: Budget, training_size: int, step_size: int, hidden_size: int, num_layers: int
) -> float:
    """How many times the budget reads the text, by the rough speed of a two-core machine."""
    if budget.epochs is not None:
        return budget.epochs
    if budget.steps is not None:
        return budget.steps * step_size / training_size
    assert budget.minutes is not None
    speed = CHARACTERS_A_SECOND * 256 / max(hidden_size, 128) / num_layers
    return budget.minutes * 60 * speed / training_size


def _dropout(passes: float) -> float:
    """None for a text read once, a fiftieth for each further reading, half at most."""
    return round(min(0.5, max(0.0, 0.02 * (passes - 1.0))), 2)


def _warmup_steps(budget: Budget, training_size: int, step_size: int) -> int:
    """A hundred steps, or a tenth of a short budget."""
    if budget.minutes is not None:
        return 100
    steps = budget.steps or budget.epochs * max(1, training_size // step_size)  # type: ignore[operator]
    return int(min(100, steps // 10))


def _evaluations(budget: Budget) -> int:
    """Twenty, fewer in less than a minute, where each would cost a visible share of the time."""
    if budget.minutes is None:
        return 20
    return int(min(20, max(4, round(20 * budget.minutes))))


def _precision(
    options: TrainingOptions, cell: CellName, machine: Machine
) -> Literal["float32", "bfloat16"]:
    """bfloat16 where it is faster; it ends at the same loss (docs/log.md)."""
    if options.precision != "auto":
        return options.precision
    return "bfloat16" if cell in machine.bfloat16 else "float32"
