"""Small networks with random weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine import Model, ReferenceBackend
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary

Tensors = dict[str, NDArray[np.float32]]


def random_tensors(configuration: ModelConfiguration, seed: int = 1) -> Tensors:
    """Weights large enough that states move and distributions are far from uniform."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(0, 0.7, shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }


@pytest.fixture(scope="session")
def tensors_of() -> Callable[..., Tensors]:
    return random_tensors


@pytest.fixture
def model() -> Model:
    """A model of eight characters."""
    vocabulary = CharacterVocabulary("\nabcdeé世", "\n")
    configuration = ModelConfiguration(cell="gru", vocabulary_size=8, hidden_size=8)
    backend = ReferenceBackend(configuration, random_tensors(configuration))
    return Model(configuration, vocabulary, backend, {"source": "a test"})


@pytest.fixture
def byte_model() -> Model:
    """A model of bytes that writes mostly the bytes of a, é, € and 😀."""
    configuration = ModelConfiguration(cell="lstm", vocabulary_size=256, hidden_size=8)
    tensors = random_tensors(configuration)
    tensors["output.bias"] -= 10
    tensors["output.bias"][list("aé€😀".encode())] += 13
    return Model(configuration, ByteVocabulary(10), ReferenceBackend(configuration, tensors))


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """Make a model of given symbols; what is given further describes the network."""

    def make(symbols: str, seed: int = 1, **network: Any) -> Model:
        vocabulary = CharacterVocabulary("".join(sorted(symbols)), symbols[0])
        shape: dict[str, Any] = {"cell": "lstm", "hidden_size": 8} | network
        configuration = ModelConfiguration(vocabulary_size=vocabulary.size, **shape)
        backend = ReferenceBackend(configuration, random_tensors(configuration, seed), np.float64)
        return Model(configuration, vocabulary, backend)

    return make
