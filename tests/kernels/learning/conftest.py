"""Random networks that learn: the kernels' learner beside PyTorch in float64."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ricorda import _kernels
from ricorda.engine.native import shape_arguments
from ricorda.model.configuration import ModelConfiguration
from ricorda.torch.language_model import RecurrentLanguageModel
from tests.kernels.conftest import INSTRUCTION_SETS

EVERY_SET: list[dict[str, Any]] = [{"kernels": name} for name in INSTRUCTION_SETS]
"""The learner's options, once for each instruction set of this machine."""

NEAR = 1e-5  # some times the largest rounding error of a unit's input
Array = NDArray[np.float32]


def restarted(
    state: Sequence[tuple[Tensor, ...]], restart: Tensor | None
) -> list[tuple[Tensor, ...]]:
    """Return the state with zeros in the rows that restart."""
    if restart is None:
        return list(state)
    keep = (1.0 - restart)[:, None]  # (B, 1)
    return [tuple(part * keep for part in layer) for layer in state]


def long(ids: NDArray[np.uint32]) -> Tensor:
    """Turn ids into those that PyTorch takes."""
    return torch.from_numpy(ids.astype(np.int64))


class LearningCase:
    """A random network, a window for it, and the state that the window begins with."""

    def __init__(
        self, random: np.random.Generator, *, streams: int = 3, steps: int = 7, **shape: Any
    ) -> None:
        defaults: dict[str, Any] = {
            "cell": "lstm",
            "vocabulary_size": 11,
            "hidden_size": 6,
            "embedding_size": 4,
        }
        self.configuration = ModelConfiguration(**(defaults | shape))
        self.streams, self.steps = streams, steps
        self.weights = {
            name: random.uniform(-bound, bound, size).astype(np.float32)
            for name, size in self.configuration.tensor_shapes().items()
            for bound in [1.0 if name == "embedding.weight" else size[-1] ** -0.5]
        }
        vocabulary = self.configuration.vocabulary_size
        self.inputs, self.targets = random.integers(0, vocabulary, (2, streams, steps), np.uint32)
        labels = self.configuration.num_labels
        self.labels = random.integers(0, labels, (streams, steps), np.uint32) if labels else None
        parts = self.configuration.state_parts * self.configuration.num_layers
        self.state = list(
            random.uniform(-1, 1, (parts, streams, self.configuration.hidden_size)).astype(
                np.float32
            )
        )
        self.restart = random.integers(0, 2, streams).astype(np.float32)

    def model(self) -> RecurrentLanguageModel:
        """The same network in PyTorch, in float64."""
        model = RecurrentLanguageModel(self.configuration)
        model.load_tensors(self.weights)
        return model.double()

    def stay_off_the_kinks(self) -> None:
        """Make every other unit on and the rest off whatever comes in, up to 128 units."""
        for name, weight in self.weights.items():
            if ".weight_hh" in name or (".weight_ih" in name and ".0." not in name):
                # At most 2.5 from the state before, and from the layer below.
                self.weights[name] = weight * np.float32(0.02)
            elif ".bias_ih" in name:
                self.weights[name] = weight + np.resize(np.array([6, -6], np.float32), weight.size)

    def is_near_a_kink(self) -> bool:
        """Whether rounding may turn a rectified unit on or off: an input of one is next to zero."""
        if self.configuration.nonlinearity != "relu":
            return False
        weights = {name: weight.astype(np.float64) for name, weight in self.weights.items()}
        symbols = weights.get("embedding.weight", np.eye(self.configuration.vocabulary_size))
        inputs, keep, least = symbols[self.inputs], 1.0 - self.restart[:, np.newaxis], np.inf
        for layer, part in enumerate(self.state):
            state, states = part * keep, []
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            w, u, b, c = (weights[f"layers.{layer}.{name}"] for name in names)
            for time in range(self.steps):
                total = inputs[:, time] @ w.T + b + state @ u.T + c
                least, state = min(least, np.abs(total).min()), np.maximum(total, 0)
                states.append(state)
            inputs = np.stack(states, axis=1)
        return bool(least < NEAR)

    def layers_of(self, parts: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
        """A list of states' parts, layer by layer."""
        each = self.configuration.state_parts
        return [tuple(parts[i : i + each]) for i in range(0, len(parts), each)]

    def loss(self, model: RecurrentLanguageModel) -> tuple[Tensor, list[Array]]:
        """The window's mean nats as PyTorch computes them, and the state after it."""
        state = self.layers_of([torch.from_numpy(part).double() for part in self.state])
        restart = torch.from_numpy(self.restart).double()
        logits, after = model(long(self.inputs), restarted(state, restart))
        loss = F.cross_entropy(logits.flatten(0, 1), long(self.targets).flatten())
        return loss, [part.detach().numpy() for layer in after for part in layer]

    def expected(self) -> tuple[float, dict[str, NDArray[np.float64]], list[Array]]:
        """PyTorch's loss, its gradients by the parameters' names, and the state after it."""
        model = self.model()
        loss, state = self.loss(model)
        names, parameters = zip(*model.named_parameters(), strict=True)
        gradients = torch.autograd.grad(loss, parameters)
        return loss.item(), {n: g.numpy() for n, g in zip(names, gradients, strict=True)}, state

    def learner(self, **options: Any) -> "Learning":
        return Learning(self, **options)


class Learning:
    """The kernels' learner with arrays of its own: weights, moments, averages, state."""

    def __init__(self, case: LearningCase, *, averaged: bool = False, **options: Any) -> None:
        self.case = case
        self.names = list(case.weights)
        self.weights = [weight.copy() for weight in case.weights.values()]
        self.first = [np.zeros_like(weight) for weight in self.weights]
        self.second = [np.zeros_like(weight) for weight in self.weights]
        self.averages = [weight.copy() for weight in self.weights] if averaged else []
        self.state = [part.copy() for part in case.state]
        self.number = 0
        nothing: list[Array | None] = [None] * len(self.weights)
        averages = self.averages or nothing
        self.kernel = make_kernel(
            case,
            parameters=list(zip(self.weights, self.first, self.second, averages, strict=True)),
            **options,
        )

    def step(self, *, learning_rate: float = 0.01, **options: Any) -> tuple[float, float]:
        """Learn the case's window; the state stays the one after it."""
        self.number += 1
        return self.kernel.step(
            self.case.inputs,
            self.case.targets,
            self.state,
            self.case.restart,
            learning_rate=learning_rate,
            number=self.number,
            **{"labels": self.case.labels} | options,
        )

    def gradients(self) -> dict[str, Array]:
        """Those of the last step, by the parameters' names."""
        gradients = {name: np.empty_like(w) for name, w in self.case.weights.items()}
        for number, name in enumerate(gradients):
            self.kernel.copy_gradient(number, gradients[name])
        return gradients

    def arrays(self) -> list[Array]:
        """Everything that a step changes."""
        return [*self.weights, *self.first, *self.second, *self.averages, *self.state]


def make_kernel(case: LearningCase, **options: Any) -> _kernels.Learner:
    """The kernels' learner of a case's shape."""
    size = {"streams": case.streams, "steps": case.steps}
    return _kernels.Learner(**(shape_arguments(case.configuration) | size | options))


@pytest.fixture
def make_case(random: np.random.Generator) -> Callable[..., LearningCase]:
    """Make a random network and a window for it."""

    def make(**shape: Any) -> LearningCase:
        return LearningCase(random, **shape)

    return make


@pytest.fixture
def make_smooth(make_case: Callable[..., LearningCase]) -> Callable[..., LearningCase]:
    """The same of a case whose gradients do not depend on rounding, with at most 10,000 units."""

    def make(**shape: Any) -> LearningCase:
        case = make_case(**shape)
        while case.is_near_a_kink():
            case = make_case(**shape)
        return case

    return make
