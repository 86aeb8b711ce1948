"""The same step as `training.step`, taken by the C++ kernels in one call.

Forwards, loss, backwards, clipping, AdamW and the averaging of weights, without PyTorch's operators
between them. What it changes are the tensors of the model, of the optimizer's state, of the carried
state and of the average, in their place, so that checkpoints need not know who took the steps.
Dropout masks are the kernels' own: they depend on one random number a step.

Where several processes share the streams, the step is two calls: one gives the gradients as one row
of numbers, which are added up between the processes, the other updates. Every process then has the
same weights. Masks follow a stream's place among all, so they do not depend on the processes.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ricorda.torch.cells.base import State
from ricorda.torch.language_model import RecurrentLanguageModel
from ricorda.training.average import WeightAverage
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.process_group import ALONE, Exchange, ProcessGroup
from ricorda.training.step import Batch, StepMetrics, non_finite

try:
    from ricorda import _kernels
except ImportError:  # installed without a compiler
    _kernels = None  # type: ignore[assignment]


_Window = tuple[
    NDArray[np.uint32], NDArray[np.uint32], list[NDArray[np.float32]], NDArray[np.float32] | None
]


_Drawn = tuple[NDArray[np.uint32], NDArray[np.float32]]


class _Update(TypedDict):
    learning_rate: float
    number: int
    average_share: float


def applies_to(configuration: TrainingConfiguration) -> bool:
    """Whether the kernels can take a run's steps: built, not switched off, on the processor."""
    return (
        _kernels is not None
        and configuration.kernels == "auto"
        and configuration.device == "cpu"
        and (configuration.precision == "float32" or learns_bfloat16())
    )


def learns_bfloat16() -> bool:
    """Whether the kernels are built, and this processor multiplies bfloat16."""
    return _kernels is not None and _kernels.learns_bfloat16()


class Moments:
    """What AdamW remembers of each parameter, in the layout of torch.optim.AdamW's state.

    PyTorch's own optimizer takes more than a second to import, longer than a small text to learn.
    """

    def __init__(self, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self.betas = betas
        """The shares of the gradient's mean and of its square's that a step keeps."""
        self.state: dict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        """By parameter: exp_avg, exp_avg_sq, and step, how many there were."""


class FusedStep:
    """One learner's kernels, with all their memory, which they use again in each step."""

    def __init__(
        self,
        model: RecurrentLanguageModel,
        moments: Moments,
        average: WeightAverage | None,
        configuration: TrainingConfiguration,
        ranks: ProcessGroup = ALONE,
    ) -> None:
        self._model = model
        self._ranks = ranks
        self._share = ranks.share(configuration.batch_size)
        self._exchange: Exchange | None = None
        self._average = average
        self._configuration = configuration
        self._betas = moments.betas
        self._steps = _begin(model, moments)
        self._draws_masks = any(
            (configuration.dropout, configuration.input_dropout, configuration.recurrent_dropout)
        )
        self._learner: _kernels.Learner | None = None
        self._shape = (0, 0)
        self._parameters = [
            (
                _memory(parameter),
                _memory(moments.state[parameter]["exp_avg"]),
                _memory(moments.state[parameter]["exp_avg_sq"]),
                None if average is None else _memory(average.tensors[name]),
            )
            for name, parameter in model.named_parameters()
        ]

    def take(self, batch: Batch, state: Sequence[State], learning_rate: float) -> StepMetrics:
        """Learn one window; the state's tensors are changed in place.

        Raises NonFiniteLoss, before any weight changes, if the gradient is not finite.
        """
        share = 0.0
        if self._average is not None:
            share = 1.0 - self._average.next_kept()
        drawn: _Drawn | None = None
        if batch.candidates is not None:
            ids, log_probabilities = (part.numpy() for part in batch.candidates)
            drawn = (ids.astype(np.uint32), log_probabilities)
        window = (
            np.ascontiguousarray(batch.inputs.numpy(), np.uint32),
            np.ascontiguousarray(batch.targets.numpy(), np.uint32),
            [_memory(part) for layer in state for part in layer],
            None if batch.restart is None else batch.restart.numpy(),
        )
        update: _Update = {
            "learning_rate": learning_rate,
            "number": int(self._steps) + 1,
            "average_share": share,
        }
        if self._ranks.size == 1:
            nats, norm = self._kernel(batch).step(
                *window, key=self._mask_key(), negatives=drawn, **update
            )
        else:
            nats, norm = self._take_together(self._kernel(batch), window, drawn, update)
        if not np.isfinite(norm):
            raise non_finite(nats, norm)
        self._steps += 1
        if self._average is not None:
            self._average.steps += 1
        return StepMetrics(nats, norm)

    def _take_together(
        self,
        kernel: "_kernels.Learner",
        window: "_Window",
        drawn: _Drawn | None,
        update: "_Update",
    ) -> tuple[float, float]:
        """Take the step in two calls, between which the gradients of all are added up."""
        if self._exchange is None:
            count = sum(weights.size for weights, *_ in self._parameters)
            self._exchange = self._ranks.exchange(count)
        gradient = _memory(self._exchange.gradient)
        nats = kernel.gradients(*window, gradient, key=self._mask_key(), negatives=drawn)
        nats = self._ranks.average(self._exchange, nats)
        return nats, kernel.apply(window[2], gradient, **update)

    def _mask_key(self) -> int:
        """A random number for this step's dropout masks; none is drawn where nothing drops."""
        if not self._draws_masks:
            return 0
        return int(torch.randint(2**63 - 1, (), generator=self._model.generator))

    def _kernel(self, batch: Batch) -> "_kernels.Learner":
        """The kernels' learner for windows of this shape."""
        shape = (batch.inputs.shape[0], batch.inputs.shape[1])
        if self._learner is None or self._shape != shape:
            self._shape = shape
            self._learner = self._new_learner(*shape)
        return self._learner

    def _new_learner(self, streams: int, steps: int) -> "_kernels.Learner":
        configuration, network = self._configuration, self._configuration.model
        embedding = network.embedding_size
        return _kernels.Learner(
            cell=network.cell,
            nonlinearity=network.nonlinearity,
            vocabulary_size=network.vocabulary_size,
            hidden_size=network.hidden_size,
            num_layers=network.num_layers,
            embedding_size=0 if embedding == "onehot" else embedding,
            parameters=self._parameters,
            streams=streams,
            steps=steps,
            precision=configuration.precision,
            threads=configuration.threads,
            dropout=configuration.dropout,
            input_dropout=configuration.input_dropout,
            recurrent_dropout=configuration.recurrent_dropout,
            weight_decay=configuration.weight_decay,
            clip_norm=configuration.clip_norm,
            first_beta=self._betas[0],
            second_beta=self._betas[1],
            first_stream=self._share.first,
            all_streams=self._share.of,
        )


def _begin(model: RecurrentLanguageModel, moments: Moments) -> Tensor:
    """Give every parameter its moments where it has none yet; returns one count for all."""
    steps = torch.zeros(())
    for parameter in model.parameters():
        own = moments.state[parameter]
        if own:
            steps.fill_(float(own["step"]))
        else:
            own["exp_avg"] = torch.zeros_like(parameter)
            own["exp_avg_sq"] = torch.zeros_like(parameter)
        own["step"] = steps
    return steps


def _memory(tensor: Tensor) -> NDArray[np.float32]:
    """The tensor's own memory as an array."""
    array: NDArray[np.float32] = tensor.detach().numpy()
    return array
