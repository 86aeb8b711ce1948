"""What a person may set: the options of `ricorda train` and of `ricorda.train`."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELLS, CellName
from ricorda.option_groups import Group, options_of
from ricorda.training.configuration import (
    SCHEMA,
    Backend,
    Budget,
    Epochs,
    LearningSettings,
    Minutes,
    PositiveInteger,
    Schedule,
    TextSettings,
)

NETWORK = ("cell", "nonlinearity", "hidden_size", "num_layers", "embedding_size")
"""The options that a model decides from which a run starts."""

INITIAL = ("initialisation", "forget_bias")
"""The options about random weights, for which it leaves no room."""

RESUME_OPTIONS = [
    *("validation", "minutes", "epochs", "steps", "cache"),
    *("device", "backend", "threads", "processes", "max_restarts", "collective_timeout"),
    "log",
]
"""The options that a resume may change."""

BRANCH_OPTIONS = [
    *("learning_rate", "dropout", "input_dropout", "recurrent_dropout", "weight_decay"),
    *("clip_norm", "averaging", "softmax_candidates", "precision", "patience", "keep"),
    "adaptive_validation",
]
"""The options by which a resume branches: those that change neither shapes nor the data."""


@options_of(Group.NETWORK)
@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class NetworkOptions:
    """Where the run goes, and the network's shape."""

    out: Annotated[Path | None, Group.ESSENTIAL] = None
    """Folder of the run. By default it is named after the text, in runs/."""

    from_model: Path | None = None
    """Start from the weights of this model: a run's folder or a model file. The network and the
    symbols are the model's; new symbols of the text are added."""

    cell: Annotated[CellName | None, Group.ESSENTIAL] = None
    """Recurrent cell; by default cifg, or lstm for lists, with PyTorch and with --forget-bias."""

    nonlinearity: Literal["tanh", "relu"] | None = None
    """The activation of the rnn cell."""

    hidden_size: Annotated[Annotated[int, Field(ge=1, le=65536)] | None, Group.ESSENTIAL] = None
    """Number of units in each layer."""

    num_layers: Annotated[Annotated[int, Field(ge=1, le=64)] | None, Group.ESSENTIAL] = None
    """Number of layers. Each layer reads the outputs of the layer below."""

    embedding_size: Annotated[int, Field(ge=1, le=65536)] | Literal["onehot"] | None = None
    """Size of the learned embedding of each symbol, or onehot for one-hot inputs."""


@options_of(Group.BUDGET)
@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class TrainingOptions(TextSettings, LearningSettings, NetworkOptions):
    """Every option; None and auto: chosen for the text, the budget and the machine."""

    minutes: Annotated[Minutes | None, Group.ESSENTIAL] = None
    """Train for this many minutes."""

    epochs: Epochs | None = None
    """Read the training text this many times, instead of --minutes."""

    steps: PositiveInteger | None = None
    """Take this many optimizer steps, instead of --minutes."""

    cache: Annotated[str | None, Group.MACHINE] = None
    """Cache folder: large encoded texts are cached in its subfolder ricorda. The default is
    ~/.cache; off disables the cache."""

    validation: Annotated[Path | None, Group.ESSENTIAL] = None
    """File for validation, instead of a part of the text."""

    max_restarts: Annotated[int, Field(ge=0, le=1000), Group.MACHINE] = 3
    """With several processes: maximum number of restarts from the last checkpoint after a process
    has died."""

    collective_timeout: Annotated[float, Field(ge=1, le=10**6), Group.MACHINE] = 120.0
    """With several processes: seconds to wait for another process before it counts as lost."""

    schedule: Schedule | None = None
    """Schedule of an earlier run of the same text, to be repeated step by step; --config RUN gives
    it."""

    @property
    def budget(self) -> Budget | None:
        """The budget that was given, if one was."""
        if self.minutes is self.epochs is self.steps is None:
            return None
        return Budget(minutes=self.minutes, epochs=self.epochs, steps=self.steps)

    def __post_init__(self) -> None:
        if self.cache == "":
            raise ConfigurationError("--cache: expected a folder or off, got an empty name")
        _ = self.reading  # checks its options
        if self.vocabulary == "bytes" and self.min_count > 1:
            raise ConfigurationError(
                f"--min-count {self.min_count} is for characters, not for --vocabulary bytes: "
                "leave one of them out"
            )
        check_decay(self.learning_rate, self.weight_decay)
        budgets = [name for name in ("minutes", "epochs", "steps") if getattr(self, name)]
        if len(budgets) > 1:
            raise ConfigurationError(
                f"expected one budget, got {' and '.join('--' + name for name in budgets)}: "
                "give only one of --minutes, --epochs and --steps"
            )
        if self.validation is not None and self.validation_fraction:
            raise ConfigurationError(
                "expected one source of validation, got --validation and --validation-fraction: "
                "give only one"
            )
        if self.validation is not None and self.split and not self.test_fraction:
            raise ConfigurationError(
                f"--split {self.split} holds back a part of the text, which --validation "
                f"{self.validation} replaces: give only one"
            )
        if self.cell is not None or self.from_model is None:
            _check_cell_options(self)
        check_input_dropout(self.input_dropout, self.embedding_size)


TRAINED = [each.name for each in fields(TrainingOptions) if each.name != "schedule"]
"""The options that a person may give for a new run."""

RESUMED = [*RESUME_OPTIONS, "out", *BRANCH_OPTIONS]
"""The options that a person may give for a resumed one."""


def given_names(options: Mapping[str, Any]) -> frozenset[str]:
    """The names of the options that were set, be it to their defaults."""
    return frozenset(name for name, value in options.items() if value is not None)


def cell_of(
    options: TrainingOptions, backend: Backend = "kernels", *, is_list: bool = False
) -> CellName:
    """Return the cell that was asked for, or else the one that learns most in the same time.

    That is the CIFG, which has three quarters of an LSTM's operations, but for lists, whose lines
    begin anew (docs/log.md). PyTorch has no fused operation for it, so there it is the LSTM.
    """
    if options.cell is not None:
        return options.cell
    is_lstm = backend != "kernels" or is_list or bool(options.forget_bias)
    return "lstm" if is_lstm else "cifg"


def _check_cell_options(options: TrainingOptions) -> None:
    """Raise ConfigurationError for an option of another cell."""
    cell = cell_of(options)
    for name in sorted(CELLS[cell].other_options):
        value = getattr(options, name)
        if value != getattr(type(options), name):
            check_cell_option(name, value, cell)


def check_cell_option(name: str, value: Any, cell: CellName) -> None:
    """Raise ConfigurationError for an option in CELL_OPTIONS that a cell does not have."""
    if value and name not in CELLS[cell].options:
        value = f"{value:g}" if isinstance(value, float) else value
        cells = " or ".join(each for each in CELLS if name in CELLS[each].options)
        raise ConfigurationError(
            f"--{name.replace('_', '-')} {value} is for --cell {cells}, not for {cell}"
        )


def check_decay(learning_rate: float | None, weight_decay: float | None) -> None:
    """Raise ConfigurationError for a decay that turns weights around in one step."""
    if (learning_rate or 0) * (weight_decay or 0) > 1:
        raise ConfigurationError(
            f"--learning-rate {learning_rate:g} times --weight-decay {weight_decay:g} must be at "
            "most 1, since each step shrinks the weights by that share: lower one of them"
        )


def check_input_dropout(share: float, embedding_size: int | str | None) -> None:
    """Raise ConfigurationError for dropout of embeddings where there are none."""
    if share and embedding_size == "onehot":
        raise ConfigurationError(
            f"--input-dropout {share:g} is for learned embeddings: leave it out, or give a number "
            "for --embedding-size"
        )
