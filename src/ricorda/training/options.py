"""What a person may say about a training: the command line's options and `ricorda.train`'s."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.errors import ConfigurationError
from ricorda.model.cells import CellName
from ricorda.model.configuration import Initialisation
from ricorda.text.reading_settings import ReadingSettings
from ricorda.training.configuration import (
    AveragedShare,
    ClipNorm,
    DropoutShare,
    LearningRate,
    Schedule,
    WeightDecay,
)

PositiveInteger = Annotated[int, Field(ge=1, le=10**12)]


@dataclass(
    frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True)
)
class TrainingOptions:
    """Everything that may be given; None means: choose it from the text and the budget."""

    out: Path | None = None
    """The run's folder; by default runs/ and the text's name."""

    cell: CellName | None = None
    """The recurrent cell: the plain network, the gated unit, or the long short-term memory."""

    nonlinearity: Literal["tanh", "relu"] | None = None
    """The activation of the rnn cell."""

    hidden_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Units of each layer."""

    num_layers: Annotated[int, Field(ge=1, le=64)] | None = None
    """Layers, each reading the one below."""

    embedding_size: Annotated[int, Field(ge=1, le=65536)] | Literal["onehot"] | None = None
    """Length of each symbol's learned vector, or onehot for none."""

    dropout: DropoutShare | None = None
    """Share of the numbers of layers' outputs that is dropped at random while learning."""

    input_dropout: DropoutShare | None = None
    """The same for the numbers of symbols' vectors, once for a whole window."""

    recurrent_dropout: DropoutShare | None = None
    """The same for the weights from state to state, once for a whole window."""

    batch_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Places of the text read side by side."""

    window: Annotated[int, Field(ge=1, le=1048576)] | None = None
    """Symbols that gradients flow back through."""

    learning_rate: LearningRate | None = None
    """Peak step size of AdamW; it warms up to it and falls along a cosine."""

    weight_decay: WeightDecay | None = None
    """Pull of AdamW towards small weights."""

    clip_norm: ClipNorm | None = None
    """Longest gradient that is followed; longer ones are shortened to it."""

    softmax_candidates: Annotated[int, Field(ge=0, le=10**9)] | None = None
    """About how many symbols, drawn at random in each step, a target is told from while learning;
    0: all. Unless given, 512 where a processor learns a text of 2,048 different symbols or more."""

    averaging: AveragedShare | None = None
    """Average the weights too, keeping this share of the average at each step, 0.999 say; the
    better of both is the model."""

    initialisation: Initialisation = "orthogonal"
    """How the weights from state to state are drawn: orthogonal, or uniform as PyTorch does."""

    forget_bias: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Where the biases of the lstm cell's forget gates start; 0 unless given."""

    minutes: Annotated[float, Field(ge=0.001, le=10**7)] | None = None
    """Budget: learn for this long."""

    epochs: Annotated[float, Field(ge=1e-6, le=10**9)] | None = None
    """Budget: read the training text this many times."""

    steps: PositiveInteger | None = None
    """Budget: take this many steps."""

    vocabulary: Literal["characters", "bytes"] = "characters"
    """What a symbol is: a Unicode character or a byte."""

    encoding: str | None = None
    """The text's encoding where it is not UTF-8."""

    newlines: Literal["auto", "normalise", "keep"] = "auto"
    """Line ends: normalise makes each a \\n, keep leaves them; auto keeps them in bytes alone."""

    decompress: Literal["auto", "off"] = "auto"
    """Compressed texts: auto decompresses gzip, zstd, xz and bzip2 files, off takes them as they
    are."""

    max_decompressed: str | None = None
    """Largest decompressed size of a compressed file, such as 20GB; unless given, 64 MiB or 200
    times its size."""

    cache: str | None = None
    """Folder whose subfolder ricorda caches large encoded texts, or off; by default ~/.cache."""

    validation_fraction: Annotated[float, Field(ge=0, le=0.99)] | None = None
    """Share of the text, at its end, that is kept back to judge by; 0.1 unless it is tiny."""

    validation: Path | None = None
    """A file to judge by instead."""

    early_samples: bool = False
    """Also let it write before the first step and after steps 1, 2, 4, ... up to the first
    evaluation."""

    patience: PositiveInteger | None = None
    """Stop after this many evaluations without a better one."""

    keep: Annotated[int, Field(ge=1, le=10**6)] = 2
    """How many of the newest checkpoints stay."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of all random numbers. The same seed gives the same weights, bit for bit, with the same
    steps, threads, processes, kind of processor and versions; --config RUN takes the options from
    a run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU if there is one."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the matrix products; auto takes bfloat16 where it is faster."""

    kernels: Literal["auto", "off"] = "auto"
    """Who computes on a processor: auto takes the C++ kernels, off leaves it to PyTorch."""

    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Processor threads that each process computes with."""

    processes: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Processes on this machine that divide the batch among them; one unless given. On several
    machines, or by hand: torchrun ... -m ricorda train ..."""

    max_restarts: Annotated[int, Field(ge=0, le=1000)] = 3
    """How many times several processes are started again, from the last checkpoint, after one
    died."""

    collective_timeout: Annotated[float, Field(ge=1, le=10**6)] = 120.0
    """Seconds that a process waits for the others of its run before it takes them for lost."""

    schedule: Schedule | None = None
    """Schedule of an earlier run of the same text, to be repeated step by step; --config RUN gives
    it."""

    @property
    def reading(self) -> ReadingSettings:
        """How texts are read. Raises ConfigurationError for contradictory options."""
        return ReadingSettings.of(self)

    def __post_init__(self) -> None:
        if self.cache == "":
            raise ConfigurationError("--cache: expected a folder or off, got an empty name")
        _ = self.reading  # checks its options
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
        if self.nonlinearity is not None and self.cell != "rnn":
            raise ConfigurationError(
                f"--nonlinearity {self.nonlinearity} is for --cell rnn; "
                "gru and lstm always use tanh"
            )
        if self.forget_bias is not None and self.cell not in (None, "lstm"):
            raise ConfigurationError(
                f"--forget-bias {self.forget_bias:g} is for --cell lstm; "
                f"{self.cell} has no forget gate"
            )
        if self.input_dropout and self.embedding_size == "onehot":
            raise ConfigurationError(
                f"--input-dropout {self.input_dropout:g} is for learned vectors: "
                "leave it out, or give a number for --embedding-size"
            )
