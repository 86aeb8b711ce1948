"""The learner whose steps the C++ kernels take, each in one call.

The call goes forwards and backwards, clips, updates by AdamW and averages the weights. It works in
place on NumPy arrays that belong to the learner: weights, moments, averages and the carried state.

Where several processes share the streams, a step is two calls: one computes the gradient as one
flat array, which is added up over the processes, the other updates. Every process then has the same
weights. Dropout masks follow a stream's place among all, so they do not depend on the processes.
"""

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ricorda import draws
from ricorda.draws import Purpose
from ricorda.engine import make_backend
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.negatives import Negatives
from ricorda.training.initialization import initial_weights
from ricorda.training.learner import (
    BETAS,
    CHUNK,
    Batch,
    Learner,
    StepMetrics,
    Tensors,
    Weights,
    average_share,
    require_finite,
)
from ricorda.training.process_group import ALONE, FLAGS, ProcessGroup

try:
    from ricorda import _kernels
except ImportError:  # installed without a compiler
    _kernels = None  # type: ignore[assignment]

Floats = NDArray[np.float32]

CACHE_LINE = 64  # bytes


def learns_bfloat16() -> bool:
    """Whether the kernels are built, and this processor multiplies bfloat16."""
    return _kernels is not None and _kernels.learns_bfloat16()


def prefers_bfloat16() -> bool:
    """Whether the kernels are built, and learn faster in bfloat16 than in float32."""
    return _kernels is not None and _kernels.prefers_bfloat16()


class _StepInput(TypedDict):
    """What a step takes beside its symbols: their labels, and what is drawn at random."""

    labels: NDArray[np.uint32] | None
    key: int
    negatives: tuple[NDArray[np.uint32], Floats] | None


class _Update(TypedDict):
    """How a gradient changes the weights."""

    learning_rate: float
    number: int
    average_share: float


class KernelLearner(Learner):
    """A learner on the processor, without PyTorch."""

    def __init__(
        self,
        configuration: TrainingConfiguration,
        group: ProcessGroup = ALONE,
        betas: tuple[float, float] = BETAS,
        weights: Weights | None = None,
    ) -> None:
        super().__init__(configuration, group, betas)
        initial = initial_weights(configuration) if weights is None else weights
        self._weights = {
            name: _aligned(initial[name]) for name in configuration.model.tensor_shapes()
        }
        if group.size > 1:
            self._take_weights_of_the_first()
        shapes = [array.shape for array in self._weights.values()]
        self._moments = [(_zeros(*shape), _zeros(*shape)) for shape in shapes]
        self._steps = np.zeros((), np.float32)
        self._average: dict[str, Floats] = {}
        self._averaged_steps = np.zeros((), np.int64)
        if self.has_average:
            self._average = {name: _aligned(array) for name, array in self._weights.items()}
        network = configuration.model
        size = (self.share.count, network.hidden_size)
        self._state = [
            [_zeros(*size) for _ in range(network.state_parts)] for _ in range(network.num_layers)
        ]
        self._drops = any(
            (configuration.dropout, configuration.input_dropout, configuration.recurrent_dropout)
        )
        self._kernel: _kernels.Learner | None = None
        self._shape = (0, 0)
        self._values: Floats | None = None

    def take_step(self, batch: Batch, learning_rate: float, step: int) -> StepMetrics:
        """Take one optimizer step on one truncated-BPTT window."""
        kernel = self._kernel_for(batch)
        state = [part for layer in self._state for part in layer]
        window = (_ids(batch.inputs), _ids(batch.targets), state, batch.restart)
        given: _StepInput = {
            "labels": None if batch.labels is None else _ids(batch.labels),
            "key": self._mask_key(step),
            "negatives": _negatives(batch.negatives),
        }
        update = self._update(learning_rate)
        if self.group.size == 1:
            nats, norm = kernel.step(*window, **given, **update)
        else:
            values = self._step_values()
            gradient, loss = np.split(values, [-1 - FLAGS])
            loss[0] = kernel.gradients(*window, gradient, **given)
            self.group.reduce_step(values)
            nats, norm = float(loss[0]), kernel.apply(state, gradient, **update)
        require_finite(nats, norm)
        self._steps += 1
        self._averaged_steps += self.has_average
        return StepMetrics(nats, norm)

    def weights(self, *, averaged: bool = False) -> dict[str, Floats]:
        """Return the weights, or their average; these are the learner's own arrays."""
        return self._average if averaged else self._weights

    def score(
        self,
        inputs: NDArray[np.uint32],
        targets: NDArray[np.uint32],
        state: Any | None = None,
        *,
        averaged: bool = False,
        labels: NDArray[np.uint32] | None = None,
    ) -> tuple[Floats, Any]:
        """Return the nats (S, T) of targets after inputs, computed by the engine."""
        configuration = self.configuration
        backend = make_backend(
            configuration.model,
            self.weights(averaged=averaged),
            configuration.precision,
            threads=configuration.threads,
        )
        state = backend.zero_state(len(inputs)) if state is None else state
        nats = np.empty(inputs.shape, np.float32)
        for first in range(0, inputs.shape[1], CHUNK):
            columns = slice(first, first + CHUNK)
            scored, state = backend.score(
                inputs[:, columns],
                targets[:, columns],
                state,
                labels=None if labels is None else labels[:, columns],
            )
            nats[:, columns] = scored.nats
        return nats, state

    def arrays(self) -> Tensors:
        """Return the learner's own arrays under their names in a checkpoint."""
        arrays: Tensors = {f"model.{name}": array for name, array in self._weights.items()}
        for name, (mean, square) in zip(self._weights, self._moments, strict=True):
            arrays[f"optimizer.{name}.exp_avg"] = mean
            arrays[f"optimizer.{name}.exp_avg_sq"] = square
            arrays[f"optimizer.{name}.step"] = self._steps
        arrays |= {f"average.{name}": array for name, array in self._average.items()}
        if self.has_average:
            arrays["average.steps"] = self._averaged_steps
        for layer, parts in enumerate(self._state):
            arrays |= {f"state.{layer}.{number}": part for number, part in enumerate(parts)}
        return arrays

    def load(self, tensors: Tensors) -> None:
        """Copy arrays into the learner's own."""
        for name, array in self.arrays().items():
            array[...] = tensors[name]

    def release(self) -> None:
        """Free all memory but the weights'; no further step can be taken."""
        self._kernel = self._values = None
        self._moments, self._average, self._state = [], {}, []

    def _update(self, learning_rate: float) -> _Update:
        """Return how the next gradient changes the weights."""
        share = 0.0
        if self.has_average:
            share = average_share(self.configuration.averaging, int(self._averaged_steps))
        number = int(self._steps) + 1
        return {"learning_rate": learning_rate, "number": number, "average_share": share}

    def _mask_key(self, step: int) -> int:
        """Return the key of a step's dropout masks; 0 where nothing drops."""
        return draws.key(self.configuration.seed, Purpose.DROPOUT, step) if self._drops else 0

    def _step_values(self) -> Floats:
        """Return memory for what is summed over the processes: gradient (P,), loss and flags."""
        if self._values is None:
            self._values = _zeros(self.configuration.model.parameters + 1 + FLAGS)
        return self._values

    def _take_weights_of_the_first(self) -> None:
        """Give all processes the first one's weights.

        They draw the same numbers, but on another kind of processor linear algebra may round
        otherwise.
        """
        for array in self._weights.values():
            if not self.group.is_first:
                array[...] = 0.0
            self.group.all_reduce(array)

    def _kernel_for(self, batch: Batch) -> "_kernels.Learner":
        """Return the kernels for windows of this shape; they keep their memory between steps."""
        shape = (batch.inputs.shape[0], batch.inputs.shape[1])
        if self._kernel is None or self._shape != shape:
            self._kernel, self._shape = self._new_kernel(*shape), shape
        return self._kernel

    def _new_kernel(self, streams: int, steps: int) -> "_kernels.Learner":
        from ricorda.engine.native import shape_arguments  # which needs the kernels

        configuration = self.configuration
        return _kernels.Learner(
            **shape_arguments(configuration.model),
            parameters=[
                (weights, *moments, self._average.get(name))
                for (name, weights), moments in zip(
                    self._weights.items(), self._moments, strict=True
                )
            ],
            streams=streams,
            steps=steps,
            precision=configuration.precision,
            threads=configuration.threads,
            first_stream=self.share.first,
            all_streams=self.share.of,
            **self._settings(),
        )

    def _settings(self) -> dict[str, Any]:
        """Return the kernels' numeric settings: those that the configuration has, and the betas."""
        given = {
            name: getattr(self.configuration, name)
            for name in _kernels.learning_settings()
            if hasattr(self.configuration, name)
        }
        return given | {"first_beta": self.betas[0], "second_beta": self.betas[1]}


def _zeros(*shape: int) -> Floats:
    return _aligned(np.zeros(shape, np.float32))


def _aligned(array: Floats) -> Floats:
    """Copy an array to memory that begins with a cache line, where vector loads are fastest."""
    memory = np.empty(array.nbytes + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    copy = memory[first : first + array.nbytes].view(np.float32).reshape(array.shape)
    copy[...] = array
    return copy


def _ids(ids: NDArray[Any]) -> NDArray[np.uint32]:
    """Return symbols as the kernels take them."""
    return np.ascontiguousarray(ids, np.uint32)


def _negatives(negatives: Negatives | None) -> tuple[NDArray[np.uint32], Floats] | None:
    """Return the negatives as the kernels take them."""
    return None if negatives is None else (_ids(negatives.ids), negatives.log_probabilities)
