"""What a person may set: the options of `ricorda train` and of `ricorda.train`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELL_OPTIONS, CELLS, CellName
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


@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class NetworkOptions:
    """Where the run goes, and the network's shape."""

    out: Path | None = None
    """The run's folder; by default runs/ and the text's name."""

    cell: CellName | None = None
    """The recurrent cell: by default lstm, the long short-term memory."""

    nonlinearity: Literal["tanh", "relu"] | None = None
    """The activation of the rnn cell."""

    hidden_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Units of each layer."""

    num_layers: Annotated[int, Field(ge=1, le=64)] | None = None
    """Layers, each reading the one below."""

    embedding_size: Annotated[int, Field(ge=1, le=65536)] | Literal["onehot"] | None = None
    """Length of each symbol's learned vector, or onehot for none."""


@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class TrainingOptions(TextSettings, LearningSettings, NetworkOptions):
    """Every option; None and auto: chosen for the text, the budget and the machine."""

    minutes: Minutes | None = None
    """Budget: train for this long."""

    epochs: Epochs | None = None
    """Budget: read the training text this many times."""

    steps: PositiveInteger | None = None
    """Budget: take this many steps."""

    cache: str | None = None
    """Folder whose subfolder ricorda caches large encoded texts, or off; by default ~/.cache."""

    validation: Path | None = None
    """A file for validation, instead of the end of the text."""

    max_restarts: Annotated[int, Field(ge=0, le=1000)] = 3
    """How many times several processes are started again, from the last checkpoint, after one
    died."""

    collective_timeout: Annotated[float, Field(ge=1, le=10**6)] = 120.0
    """Seconds that a process waits for the others of its run before it takes them for lost."""

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
                f"--input-dropout {self.input_dropout:g} is for learned vectors: "
                "leave it out, or give a number for --embedding-size"
            )
