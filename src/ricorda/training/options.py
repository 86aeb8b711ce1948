"""What a person may set: the options of `ricorda train` and of `ricorda.train`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELL_OPTIONS, CELLS, CellName
from ricorda.option_groups import Group, options_of
from ricorda.training.configuration import (
    SCHEMA,
    Budget,
    Epochs,
    LearningSettings,
    Minutes,
    PositiveInteger,
    Schedule,
    TextSettings,
)

DEFAULT_CELL: CellName = "lstm"

RESUME_OPTIONS = [
    *("validation", "minutes", "epochs", "steps", "cache"),
    *("device", "backend", "threads", "processes", "max_restarts", "collective_timeout"),
]
"""The options that a resume may change."""


@options_of(Group.NETWORK)
@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class NetworkOptions:
    """Where the run goes, and the network's shape."""

    out: Annotated[Path | None, Group.ESSENTIAL] = None
    """Folder of the run. By default it is named after the text, in runs/."""

    cell: Annotated[CellName | None, Group.ESSENTIAL] = None
    """Recurrent cell; lstm by default."""

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
        if (self.learning_rate or 0) * (self.weight_decay or 0) > 1:
            raise ConfigurationError(
                f"--learning-rate {self.learning_rate:g} times --weight-decay "
                f"{self.weight_decay:g} must be at most 1, since each step shrinks the weights by "
                "that share: lower one of them"
            )
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
        cell = self.cell or DEFAULT_CELL
        for name in sorted(CELL_OPTIONS - CELLS[cell].options):
            if value := getattr(self, name):
                value = f"{value:g}" if isinstance(value, float) else value
                cells = " or ".join(each for each in CELLS if name in CELLS[each].options)
                raise ConfigurationError(
                    f"--{name.replace('_', '-')} {value} is for --cell {cells}, not for {cell}"
                )
        if self.input_dropout and self.embedding_size == "onehot":
            raise ConfigurationError(
                f"--input-dropout {self.input_dropout:g} is for learned embeddings: "
                "leave it out, or give a number for --embedding-size"
            )
