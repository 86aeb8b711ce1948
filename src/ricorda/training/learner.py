"""What learns: the interface of both learners, and their checkpoints.

`ricorda.training.kernel_learner` takes a run's steps by the C++ kernels, `ricorda.torch.learner` by
PyTorch. Both start from the same weights, give the same losses to rounding, and hold the same
tensors in a checkpoint, so that one continues a run of the other.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import NonFiniteLoss
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.negatives import Negatives
from ricorda.training.process_group import ALONE, ProcessGroup

BETAS = (0.9, 0.99)
"""The shares of the gradient's mean and of its square's that a step of AdamW keeps."""

CHUNK = 64
"""Symbols of each segment that `Learner.score` reads at once, which bounds its memory."""

OLD_GENERATOR = "model-generator"
"""The generator of dropout masks in checkpoints of earlier versions; it is not needed any more."""

Tensors = dict[str, NDArray[Any]]
"""Arrays under their names in a checkpoint."""


Weights = Mapping[str, NDArray[np.float32]]
"""Tensors under their names in the model file."""


class Batch(NamedTuple):
    """One window of each stream that a process reads."""

    inputs: NDArray[np.uint32]  # (B, T)
    targets: NDArray[np.uint32]  # (B, T)
    restart: NDArray[np.float32] | None  # (B,) 1.0 where the state starts from zero
    negatives: Negatives | None = None
    """What the targets are compared with where the softmax is sampled; None: with all symbols."""
    labels: NDArray[np.uint32] | None = None  # (B, T)
    """The number of the label under which each input is read; None: 0, no label, for all."""


class StepMetrics(NamedTuple):
    """The figures of one step, over the streams of all processes."""

    nats_per_symbol: float
    gradient_norm: float


class UnfitTensors(ValueError):
    """Tensors that are not those of this learner."""


class Learner(ABC):
    """A network, its optimizer, the state of its streams and the average of its weights.

    Where several processes divide the streams among them, each has the same weights and the state
    of its own streams; a checkpoint has the state of all.

    Names in a checkpoint: `model.NAME` for each tensor of the model file, its AdamW moments
    `optimizer.NAME.exp_avg`, `.exp_avg_sq` and `.step` (), `average.NAME` and `average.steps` () if
    weights are averaged, and `state.LAYER.PART` (B, H).
    """

    prefetches: ClassVar[bool] = False
    """Whether a thread should prepare the next batch while a step is taken."""

    def __init__(
        self,
        configuration: TrainingConfiguration,
        group: ProcessGroup = ALONE,
        betas: tuple[float, float] = BETAS,
    ) -> None:
        self.configuration = configuration
        self.group = group
        self.betas = betas
        self.share = group.share(configuration.batch_size)
        """The streams that this process reads."""

    @abstractmethod
    def take_step(self, batch: Batch, learning_rate: float, step: int) -> StepMetrics:
        """Take one optimizer step on one truncated-BPTT window.

        The state's values flow into the next window; its gradients stop here. `step` counts from 0
        and keys the dropout masks.

        Raises NonFiniteLoss, before any weight changes, if the gradient is not finite; ProcessLost
        if another process is gone.
        """

    @abstractmethod
    def weights(self, *, averaged: bool = False) -> dict[str, NDArray[np.float32]]:
        """Return the weights, or their average, by the model file's names.

        The arrays may change with the next step.
        """

    @property
    def has_average(self) -> bool:
        """Whether the weights are averaged."""
        return self.configuration.averaging > 0

    @abstractmethod
    def score(
        self,
        inputs: NDArray[np.uint32],
        targets: NDArray[np.uint32],
        state: Any | None = None,
        *,
        averaged: bool = False,
        labels: NDArray[np.uint32] | None = None,
    ) -> tuple[NDArray[np.float32], Any]:
        """Return the nats (S, T) of targets (S, T) after inputs (S, T), and the state after them.

        state: what an earlier call returned; None is zero. labels (S, T): those of the inputs; None
        is 0 for all. Nothing is dropped, no softmax sampled. A probability that is not a number
        gives NaN.
        """

    @abstractmethod
    def arrays(self) -> Tensors:
        """Return what a checkpoint holds, with the state of this process's streams.

        Moments are zeros before the first step. The arrays may change with the next step.
        """

    @abstractmethod
    def load(self, tensors: Tensors) -> None:
        """Take arrays of the names, shapes and types of `arrays`."""

    @abstractmethod
    def release(self) -> None:
        """Free all memory but the weights'; no further step can be taken."""

    def tensors(self) -> Tensors:
        """Copy everything that a checkpoint holds; every process must call it."""
        return {
            name: self.group.all_gather(array, self.share)
            if name.startswith("state.") and self.group.size > 1
            else array.copy()
            for name, array in self.arrays().items()
        }

    def restore(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Continue from a checkpoint's tensors.

        A checkpoint from before the first step may lack the moments.
        Raises UnfitTensors, before anything changes, if a tensor is missing, unknown or does not
        fit.
        """
        present = self.arrays()
        given = {name: array for name, array in tensors.items() if name != OLD_GENERATOR}
        if not any(name.startswith("optimizer.") for name in given):
            given |= {
                name: np.zeros_like(array)
                for name, array in present.items()
                if name.startswith("optimizer.")
            }
        if unknown := given.keys() - present.keys():
            raise UnfitTensors(f"the tensor {min(unknown)!r} does not belong to this run")
        if missing := present.keys() - given.keys():
            raise UnfitTensors(f"the tensor {min(missing)!r} is missing")
        self.load({name: self._fitting(name, given[name], like) for name, like in present.items()})

    @property
    def is_finite(self) -> bool:
        """Whether all numbers, the optimizer's included, are finite in all processes."""
        is_finite = all(bool(np.isfinite(array).all()) for array in self.arrays().values())
        return not self.group.any(not is_finite)

    def _fitting(self, name: str, array: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
        """Check that an array can replace another; of a state, return the rows of this process."""
        shape, fits = like.shape, array.dtype == like.dtype
        if name.startswith("state."):
            shape = (self.share.of, *shape[1:])
            fits = array.dtype.kind == "f"  # its type follows the precision it was computed in
        if array.shape != shape or not fits:
            raise UnfitTensors(
                f"the tensor {name!r} should be {shape} of {like.dtype}, "
                f"is {array.shape} of {array.dtype}"
            )
        return array[self.share.rows].astype(like.dtype) if name.startswith("state.") else array


def make_learner(
    configuration: TrainingConfiguration,
    group: ProcessGroup = ALONE,
    betas: tuple[float, float] = BETAS,
    *,
    weights: Weights | None = None,
) -> Learner:
    """Make the learner of a run's backend, with a state of zeros.

    group: the processes that divide the streams among them. betas: those of AdamW. weights: the
    initial ones by the model file's names; None: drawn.
    """
    if configuration.backend == "torch":
        from ricorda.torch.learner import TorchLearner

        return TorchLearner(configuration, group, betas, weights)
    from ricorda.training.kernel_learner import KernelLearner

    return KernelLearner(configuration, group, betas, weights)


def decays(name: str, dimensions: int) -> bool:
    """Whether weight decay applies: to matrices, except embeddings, whose rows are not mixed."""
    return dimensions > 1 and not name.startswith(("embedding", "labels"))


def average_share(decay: float, steps: int) -> float:
    """Return the share of the new weights in their average, which has taken in `steps` steps.

    An exponential moving average (Polyak & Juditsky, 1992): after step n it keeps
    min(decay, (1 + n) / (10 + n)) of itself. It forgets the first steps soon, and so needs no
    correction for where it began.
    """
    return 1.0 - min(decay, (2 + steps) / (11 + steps))


def require_finite(nats: float, norm: float) -> None:
    """Raise NonFiniteLoss if the gradient's norm is not finite."""
    if not math.isfinite(norm):
        raise NonFiniteLoss(
            f"the loss is {nats:g} and its gradient has norm {norm:g}: "
            "try a lower --learning-rate or --precision float32"
        )
