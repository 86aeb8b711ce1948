"""The settings of a training: one schema for the command line, config.json and the studio's form.

A setting that both a person gives and a run keeps is one field of `LearningSettings` or
`TextSettings`: its type, its range, its default and, as its docstring, its description.
`TrainingOptions` adds what only a person gives, `TrainingConfiguration` what only a run keeps.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.model.configuration import Initialisation, ModelConfiguration
from ricorda.option_groups import Group, options_of
from ricorda.text.kinds import wanted
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.splits import SplitName

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
    """Probability of dropping each element of the symbols' vectors; drawn once per window."""

    recurrent_dropout: Annotated[DropoutShare | None, Group.REGULARIZATION] = None
    """Probability of dropping each recurrent weight; drawn once per window."""

    batch_size: BatchSize | None = None
    """Streams of the text that are read side by side (B)."""

    window: Window | None = None
    """Symbols of one step of truncated backpropagation through time (T)."""

    learning_rate: LearningRate | None = None
    """Peak step size of AdamW: after a linear warm-up it falls along a cosine."""

    weight_decay: Annotated[WeightDecay | None, Group.REGULARIZATION] = None
    """AdamW's decay of the matrices; biases and embeddings have none."""

    clip_norm: ClipNorm = 1.0
    """Largest norm of the gradient; a longer gradient is scaled down to it."""

    softmax_candidates: Negatives | None = None
    """Number of sampled negatives of the softmax in each step; 0: the full softmax. By default 512
    on a processor for a text of at least 2,048 different symbols, else 0."""

    averaging: Annotated[AveragedShare, Group.REGULARIZATION] = 0.0
    """Also average the weights over the steps: each step keeps this share of the average, such as
    0.999. The better of the two sets of weights becomes the model."""

    initialisation: Initialisation = "orthogonal"
    """Initialization of the recurrent weights: orthogonal, or uniform as in PyTorch."""

    forget_bias: Annotated[float, Field(ge=-100, le=100)] = 0.0
    """Initial value of the biases of the lstm cell's forget gates."""

    adaptive_validation: Annotated[bool, Group.OUTPUT] = False
    """At the end, also evaluate the validation part by a reader that learns from it as it reads."""

    early_samples: Annotated[bool, Group.OUTPUT] = False
    """Also write samples before the first step and after steps 1, 2, 4, ... up to the first
    evaluation."""

    patience: Annotated[PositiveInteger | None, Group.BUDGET] = None
    """Stop after this many evaluations in a row without improvement."""

    keep: Annotated[int, Field(ge=1, le=10**6), Group.OUTPUT] = 2
    """How many of the newest checkpoints are kept."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of all random numbers. The same seed gives the same weights, bit for bit, if the steps,
    threads, processes, kind of processor and versions are the same; --config RUN repeats a run's
    options."""

    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Group.MACHINE] = "auto"
    """Where to compute; auto takes a CUDA GPU if there is one. GPUs need the extra torch."""

    precision: Annotated[Literal["auto", "float32", "bfloat16"], Group.MACHINE] = "auto"
    """Arithmetic of the matrix products; auto takes bfloat16 where it is faster."""

    backend: Annotated[Literal["auto", "kernels", "torch"], Group.MACHINE] = "auto"
    """What computes: ricorda's C++ kernels, on a processor alone, or PyTorch (extra torch); auto
    takes the kernels where they can be used."""

    threads: Annotated[Processes | None, Group.MACHINE] = None
    """Processor threads of each process."""

    processes: Annotated[Processes | None, Group.MACHINE] = None
    """Processes on this machine that share each batch; by default one. More than one need the extra
    torch. For several machines: torchrun ... -m ricorda train ..."""


def _known_vocabulary(value: str) -> str:
    """Refuse what is no vocabulary."""
    wanted(value)
    return value


@options_of(Group.TEXT)
@dataclass(frozen=True, kw_only=True, config=SCHEMA)
class TextSettings:
    """How a text becomes symbols, and which part of it is kept for validation."""

    vocabulary: Annotated[str, AfterValidator(_known_vocabulary), Group.ESSENTIAL] = "characters"
    """What a symbol is: characters (of Unicode), bytes, words, or pieces:N, the N most frequent
    characters and parts of words, such as pieces:512."""

    min_count: Annotated[int, Field(ge=1, le=10**9)] = 1
    """Characters that the training part has fewer times become one symbol that is never written;
    such words are spelled."""

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

    documents: str = "auto"
    """What a document is: text (all is one), files, lines, paragraphs (a blank line ends one), or
    separator:STRING (the string ends one). A model starts each document afresh and learns where it
    ends. auto takes each file of a folder, a pattern or an archive, else the whole text."""

    field: str | None = None
    """For tables (CSV, TSV, JSONL, Parquet): the column with the text, by its name or number. Each
    row is a document."""

    label_field: str | None = None
    """The column of a table with the label of each document, which the model learns to use."""

    label_from: Literal["folder", "file"] | None = None
    """Take the label of each document from the name of its folder or its file."""

    split: SplitName | None = None
    """What is held back for validation: the end of the text, documents drawn at random, or blocks
    spread evenly over the text. Unset, documents if there are 50 or more, blocks of each if there
    are fewer, the end of an undivided text. It does not depend on --seed."""

    validation_fraction: Annotated[float, Field(ge=0, le=0.99)] | None = None
    """Share of the text that is held back for validation; 0.1 unless the text is tiny."""

    test_fraction: Annotated[float, Field(ge=0, le=0.99)] = 0.0
    """Share of the text that is held back for a test: nothing is chosen by it, and the final model
    is evaluated on it once."""

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
