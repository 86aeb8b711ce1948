"""What the engine returns: nobody changes it, and what holds arrays is equal to itself alone."""

from typing import Any

import pytest

from ricorda.engine.accuracy import Accuracy
from ricorda.engine.classification import Classification
from ricorda.engine.constraints import Constraint
from ricorda.engine.documents import Document
from ricorda.engine.embedding import Embedding
from ricorda.engine.generation import GenerationSettings, Piece, Prompt, WrittenSymbol
from ricorda.engine.results import Distribution, Trace
from ricorda.engine.sampling import SamplingSettings
from ricorda.engine.scoring import Figures, Scores
from ricorda.engine.texts import WrittenText

OF_ARRAYS: list[Any] = [
    Classification,
    Distribution,
    Document,
    Embedding,
    Piece,
    Prompt,
    Scores,
    Trace,
]
OF_VALUES: list[Any] = [Accuracy, Constraint, Figures, GenerationSettings, SamplingSettings]
OF_VALUES += [WrittenSymbol, WrittenText]


@pytest.mark.parametrize("kind", OF_ARRAYS + OF_VALUES)
def test_a_result_cannot_be_changed(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen


@pytest.mark.parametrize("kind", OF_ARRAYS)
def test_arrays_are_not_compared(kind: Any) -> None:
    """The comparison of two arrays is an array, which is neither true nor false."""
    assert kind.__eq__ is object.__eq__
    assert kind.__hash__ is object.__hash__


@pytest.mark.parametrize("kind", OF_VALUES)
def test_values_are_compared(kind: Any) -> None:
    assert kind.__dataclass_params__.eq
