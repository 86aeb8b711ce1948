"""Random networks, and every instruction set of this machine."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda import _kernels
from ricorda.engine import ReferenceBackend
from ricorda.engine.native import make_network
from ricorda.model.configuration import ModelConfiguration

Tensors = dict[str, NDArray[np.float32]]
collect_ignore = [] if find_spec("torch") else ["learning"]
INSTRUCTION_SETS = [name for name, _ in _kernels.instruction_sets()]


@pytest.fixture(params=INSTRUCTION_SETS)
def kernels(request: pytest.FixtureRequest) -> str:
    """Each instruction set that this machine has."""
    name: str = request.param
    return name


class Case:
    """A network with random weights, its kernels and its reference in float64."""

    def __init__(self, random: np.random.Generator, **shape: Any) -> None:
        shape.setdefault("vocabulary_size", 65)
        self.configuration = ModelConfiguration(**shape)
        self.tensors = random_tensors(self.configuration, random)
        self.reference = ReferenceBackend(self.configuration, self.tensors, np.float64)
        self._random = random

    def network(self, kernels: str = "", precision: str = "float32") -> _kernels.Network:
        return make_network(self.configuration, self.tensors, precision, kernels)

    def ids(self, *shape: int) -> NDArray[np.uint32]:
        return self._random.integers(0, self.configuration.vocabulary_size, shape, np.uint32)

    def state(self, streams: int) -> NDArray[np.float32]:
        c = self.configuration
        shape = (c.state_parts, c.num_layers, streams, c.hidden_size)
        return self._random.uniform(-1, 1, shape).astype(np.float32)


def random_tensors(configuration: ModelConfiguration, random: np.random.Generator) -> Tensors:
    """Weights of the usual size, so that rounding errors do not grow from step to step."""
    tensors = {}
    for name, shape in configuration.tensor_shapes().items():
        size = 1.0 if name == "embedding.weight" else configuration.hidden_size**-0.5
        tensors[name] = random.uniform(-size, size, shape).astype(np.float32)
    return tensors


@pytest.fixture
def make_case(random: np.random.Generator) -> Callable[..., Case]:
    """Make a network of a given shape with random weights."""

    def make(**shape: Any) -> Case:
        return Case(random, **shape)

    return make
