"""The settings of a training: one schema for the command line, config.json and the studio's form.

A setting that both a person gives and a run keeps is one field of `LearningSettings` or
`TextSettings`: its type, its range, its default and, as its docstring, its description.
`TrainingOptions` adds what only a person gives, `TrainingConfiguration` what only a run keeps.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.model.configuration import Initialisation, ModelConfiguration
from ricorda.option_groups import Group, options_of
from ricorda.text.kinds import wanted
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.splits import SplitName
from ricorda.validation import one_or_several

# Ranges whose numbers, and what is computed from them, float32 can hold.
LearningRate = Annotated[float, Field(ge=1e-9, le=10)]
WeightDecay = Annotated[float, Field(ge=0, le=100)]
ClipNorm = Annotated[float, Field(ge=1e-6, le=1e9)]
DropoutShare = Annotated[float, Field(ge=0, le=0.99)]
AveragedShare = Annotated[float, Field(ge=0, le=0.999999)]

BatchSize = Annotated[int, Field(ge=1, le=65536)]
Window = Annotated[int, Field(ge=1, le=1048576)]
Negatives = Annotated[int, Field(ge=0, le=10**9)]
Processes = Annotated[int, Field(ge=1, le=1024)]
Minutes = Annotated[float, Field(ge=0.001, le=10**7)]
Epochs = Annotated[float, Field(ge=1e-6, le=10**9)]
PositiveInteger = Annotated[int, Field(ge=1, le=10**12)]

Device = Literal["cpu", "cuda", "mps"]
Backend = Literal["kernels", "torch"]
Precision = Literal["float32", "bfloat16"]
DashboardName = Literal["tensorboard", "wandb", "mlflow"]

SCHEMA = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class Budget:
    """How long to train: exactly one of the three."""

    minutes: Minutes | None = None
    """Wall-clock time from the first step to the last."""

    epochs: Epochs | None = None
    """Passes over the training text."""

    steps: PositiveInteger | None = None
    """Optimizer steps."""

    def __str__(self) -> str:
        amount = getattr(self, self.kind)
        return f"{amount:g} {self.kind if amount != 1 else self.kind[:-1]}"

    @property
    def kind(self) -> Literal["minutes", "epochs", "steps"]:
        """Which of the three it is."""
        if self.minutes is not None:
            return "minutes"
        return "epochs" if self.epochs is not None else "steps"


@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class Schedule:
    """The schedule of a run, which repeats it whatever the machine's speed."""

    digest: str
    """SHA-256 of the text: the schedule is for this text alone."""

    validation_digest: str | None
    """SHA-256 of the validation file, if there was one."""

    steps: Annotated[int, Field(ge=1)]
    """Steps taken in all."""

    warmup_steps: Annotated[int, Field(ge=0)]
    """Steps in which the learning rate rose."""

    plans: list[tuple[int, int | None]]
    """Each plan, in order: the step it was made after, and the steps planned in all; None if that
    was not known yet."""

    evaluated: list[int]
    """The steps after which the model was evaluated."""


@options_of(Group.OPTIMIZATION)
@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class LearningSettings:
    """What a person may set and a run keeps; None and auto: chosen for the text and the machine."""

    dropout: Annotated[DropoutShare | None, Group.ESSENTIAL] = None
    """Probability of dropping each output of a layer during training."""

    input_dropout: Annotated[DropoutShare, Group.REGULARIZATION] = 0.0
    """Probability of dropping each element of the embeddings. A mask is drawn per window."""

    recurrent_dropout: Annotated[DropoutShare | None, Group.REGULARIZATION] = None
    """Probability of dropping each recurrent weight. A mask is drawn per window."""

    batch_size: BatchSize | None = None
    """Number of streams of the text that are read in parallel (B)."""

    window: Window | None = None
    """Number of symbols in a step of truncated backpropagation through time (T)."""

    learning_rate: LearningRate | None = None
    """Peak learning rate of AdamW. It is reached by a linear warm-up and followed by a cosine
    decay."""

    weight_decay: Annotated[WeightDecay | None, Group.REGULARIZATION] = None
    """AdamW's weight decay. It applies to matrices, not to biases and embeddings."""

    clip_norm: ClipNorm = 1.0
    """Maximum norm of the gradient; larger gradients are scaled down to it."""

    softmax_candidates: Negatives | None = None
    """Number of sampled negatives of the softmax in each step; 0 computes the full softmax. By
    default 512 on a CPU for a vocabulary of at least 2,048 symbols, else 0."""

    averaging: Annotated[AveragedShare, Group.REGULARIZATION] = 0.0
    """Decay of an exponential moving average of the weights, such as 0.999; 0 for none. The average
    becomes the model if it has the lower validation loss."""

    initialisation: Initialisation = "orthogonal"
    """Initialization of the recurrent weights: orthogonal, or uniform as in PyTorch."""

    forget_bias: Annotated[float, Field(ge=-100, le=100)] = 0.0
    """Initial bias of the forget gates of the lstm and minlstm cells."""

    adaptive_validation: Annotated[bool, Group.OUTPUT] = False
    """At the end, also evaluate the validation part with a copy of the model that learns from it
    while it reads."""

    early_samples: Annotated[bool, Group.OUTPUT] = False
    """Also write samples before the first step and after steps 1, 2, 4, ... up to the first
    evaluation."""

    patience: Annotated[PositiveInteger | None, Group.BUDGET] = None
    """Stop after this many evaluations in a row without improvement."""

    keep: Annotated[int, Field(ge=1, le=10**6), Group.OUTPUT] = 2
    """Number of checkpoints to keep."""

    log: Annotated[tuple[DashboardName, ...], BeforeValidator(one_or_several), Group.OUTPUT] = ()
    """Also write the run for a dashboard: tensorboard (an event file in the run's folder), wandb
    (offline, in the run's folder) or mlflow (mlflow.db beside the run's folder). Each needs the
    extra of its name. A resume continues them."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Random seed. The same seed gives bit-identical weights if the steps, threads, processes, CPU
    type and versions are the same. --config RUN repeats the options of a run."""

    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Group.MACHINE] = "auto"
    """Device to compute on; auto uses a CUDA GPU if there is one. GPUs require the extra torch."""

    precision: Annotated[Literal["auto", "float32", "bfloat16"], Group.MACHINE] = "auto"
    """Precision of matrix products; auto uses bfloat16 where it is faster."""

    backend: Annotated[Literal["auto", "kernels", "torch"], Group.MACHINE] = "auto"
    """Implementation: ricorda's C++ kernels (CPU only) or PyTorch (requires the extra torch). auto
    uses the kernels if they are available."""

    threads: Annotated[Processes | None, Group.MACHINE] = None
    """CPU threads of each process."""

    processes: Annotated[Processes | None, Group.MACHINE] = None
    """Number of processes on this machine, which share each batch; 1 by default. More than one
    requires the extra torch. For several machines, run torchrun ... -m ricorda train ..."""


def _known_vocabulary(value: str) -> str:
    """Refuse what is no vocabulary."""
    wanted(value)
    return value


@options_of(Group.TEXT)
@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class TextSettings:
    """How a text becomes symbols, and which part of it is held back for validation."""

    vocabulary: Annotated[str, AfterValidator(_known_vocabulary), Group.ESSENTIAL] = "characters"
    """Kind of symbol: characters (of Unicode), bytes, words, or pieces:N, which is N characters and
    frequent parts of words, such as pieces:512."""

    min_count: Annotated[int, Field(ge=1, le=10**9)] = 1
    """Characters that occur fewer than N times in the training part become one symbol, which is
    never written. In a vocabulary of words, rarer words are spelled out in characters."""

    encoding: str | None = None
    """Encoding of the text, if it is not UTF-8."""

    newlines: Literal["auto", "normalise", "keep"] = "auto"
    """Line ends: normalise turns each into \\n; keep leaves them unchanged; auto keeps them for a
    vocabulary of bytes and normalises them for all others."""

    decompress: Literal["auto", "off"] = "auto"
    """Decompression: auto decompresses gzip, zstd, xz and bzip2 files; off reads their bytes
    unchanged."""

    max_decompressed: str | None = None
    """Largest decompressed size of a compressed file, such as 20GB. The default is 64 MiB or 200
    times the size of the file, whichever is larger."""

    documents: str = "auto"
    """How the text is divided into documents: text (not divided), files, lines, paragraphs (ended
    by blank lines), or separator:STRING (ended by the string). The state is reset before each
    document, and the model learns where documents end. auto reads each file of a folder, a pattern
    or an archive as a document and does not divide other texts."""

    field: str | None = None
    """Column of a table (CSV, TSV, JSONL, Parquet) that holds the text, by name or number. Each row
    is a document."""

    label_field: str | None = None
    """Column of a table that holds the label of each document. The model learns the labels."""

    label_from: Literal["folder", "file"] | None = None
    """Take the label of each document from the name of its folder or its file."""

    split: SplitName | None = None
    """Part of the text that is held back for validation: the end, documents drawn at random, or
    blocks spread evenly over the text. By default: documents if there are at least 50, blocks of
    each document if there are fewer, and the end of an undivided text. The split does not depend on
    --seed."""

    validation_fraction: Annotated[float, Field(ge=0, le=0.99)] | None = None
    """Fraction of the text that is held back for validation: 0.1 by default, 0 for a tiny text."""

    test_fraction: Annotated[float, Field(ge=0, le=0.99)] = 0.0
    """Fraction of the text that is held back for a test. It is not used to choose anything; the
    final model is evaluated on it once."""

    @property
    def reading(self) -> ReadingSettings:
        """How texts are read. Raises ConfigurationError for contradictory settings."""
        return ReadingSettings.of(self)


@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class TrainingConfiguration(LearningSettings):
    """All settings of one run, each of them chosen: what config.json saves and a resume reads."""

    model: ModelConfiguration
    """The network's shape."""

    budget: Budget
    """How long to train."""

    batch_size: BatchSize
    window: Window
    learning_rate: LearningRate
    dropout: DropoutShare = 0.0
    recurrent_dropout: DropoutShare = 0.0
    weight_decay: WeightDecay = 0.01
    softmax_candidates: Negatives = 0
    device: Device = "cpu"
    precision: Precision = "float32"
    backend: Backend = "kernels"
    threads: Annotated[int, Field(ge=1)] = 1
    processes: Annotated[int, Field(ge=1)] = 1

    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps in which the learning rate rises from zero to its peak."""

    final_learning_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    """End of the cosine, as a share of the peak."""

    reset_probability: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Probability of zeroing a stream's state before a window, so that a model also learns to
    start without a context."""

    evaluations: Annotated[int, Field(ge=1)] = 20
    """How many times, evenly spread, the model is evaluated, sampled and saved."""

    schedule: Schedule | None = None
    """The earlier run that this one repeats step by step; None: the budget decides."""
