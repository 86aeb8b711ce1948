"""Everything that decides a run's steps, settled: what config.json saves and a resume reads."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.model.configuration import Initialisation, ModelConfiguration

# Ranges whose numbers, and what is computed from them, float32 can hold.
LearningRate = Annotated[float, Field(ge=1e-9, le=10)]
WeightDecay = Annotated[float, Field(ge=0, le=100)]
ClipNorm = Annotated[float, Field(ge=1e-6, le=1e9)]
DropoutShare = Annotated[float, Field(ge=0, le=0.99)]
AveragedShare = Annotated[float, Field(ge=0, le=0.999999)]


@dataclass(
    frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True)
)
class Budget:
    """How long to learn: exactly one of the three."""

    minutes: Annotated[float, Field(gt=0, le=10**7)] | None = None
    """Wall-clock time from the first step to the last."""

    epochs: Annotated[float, Field(gt=0, le=10**9)] | None = None
    """Readings of the training text."""

    steps: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Optimizer steps."""

    def __str__(self) -> str:
        for name in ("minutes", "epochs", "steps"):
            if (amount := getattr(self, name)) is not None:
                return f"{amount:g} {name if amount != 1 else name[:-1]}"
        raise AssertionError("a budget holds one amount")

    @property
    def kind(self) -> Literal["minutes", "epochs", "steps"]:
        """Which of the three it is."""
        if self.minutes is not None:
            return "minutes"
        return "epochs" if self.epochs is not None else "steps"


@dataclass(
    frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True)
)
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


@dataclass(
    frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True)
)
class TrainingConfiguration:
    """One run's settings, none of them left open."""

    model: ModelConfiguration
    """The network's shape."""

    budget: Budget
    """How long to learn."""

    batch_size: Annotated[int, Field(ge=1, le=65536)]
    """B, the streams read side by side."""

    window: Annotated[int, Field(ge=1, le=1048576)]
    """T, the symbols of one step of truncated backpropagation through time."""

    learning_rate: LearningRate
    """The schedule's peak."""

    dropout: DropoutShare = 0.0
    """Probability with which a number of a layer's output is dropped."""

    input_dropout: DropoutShare = 0.0
    """Probability with which a number of a symbol's vector is dropped, for a whole window."""

    recurrent_dropout: DropoutShare = 0.0
    """Probability with which a recurrent weight is dropped, for a whole window."""

    weight_decay: WeightDecay = 0.01
    """AdamW's decay of matrices; biases and embeddings are left alone."""

    softmax_candidates: Annotated[int, Field(ge=0)] = 0
    """About how many symbols the softmax is sampled from while learning; 0: it is over all."""

    clip_norm: ClipNorm = 1.0
    """The gradient's largest norm."""

    averaging: AveragedShare = 0.0
    """Share of the averaged weights that a step keeps; 0 averages none."""

    initialisation: Initialisation = "orthogonal"
    """How the recurrent weights are drawn."""

    forget_bias: Annotated[float, Field(ge=-100, le=100)] = 1.0
    """Where the biases of the LSTM's forget gates start."""

    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps in which the learning rate rises from zero to its peak."""

    final_learning_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Where the cosine ends, as a share of the peak."""

    reset_probability: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Probability with which a stream's state is zeroed before a window, so that a model also
    learns to start cold."""

    evaluations: Annotated[int, Field(ge=1)] = 20
    """How many times, evenly, the model is evaluated, sampled and saved."""

    early_samples: bool = False
    """Whether the model also writes before its first step and after 1, 2, 4, ... until it is
    evaluated for the first time."""

    patience: Annotated[int, Field(ge=1)] | None = None
    """Evaluations without a better one after which learning stops; None never does."""

    keep: Annotated[int, Field(ge=1)] = 2
    """How many of the newest checkpoints stay."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """The seed of initial weights, dropout and the places where windows begin."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where it is computed."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the matrix products; weights and states stay float32."""

    backend: Literal["kernels", "torch"] = "kernels"
    """What computes: the C++ kernels, on a processor, or PyTorch."""

    threads: Annotated[int, Field(ge=1)] = 1
    """Threads of each process on the processor."""

    processes: Annotated[int, Field(ge=1)] = 1
    """Processes that divide the streams among them."""

    schedule: Schedule | None = None
    """The earlier run that this one repeats step by step; None: the budget decides."""
