"""The configuration of a network: its defaults, what follows from it, and that it cannot change."""

import dataclasses
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from ricorda.model import ModelConfiguration
from ricorda.model.cells import CellName

SMALL = ModelConfiguration(cell="lstm", vocabulary_size=3, hidden_size=4)


def test_what_is_not_given_has_these_values() -> None:
    assert dataclasses.asdict(SMALL) == {
        "cell": "lstm",
        "vocabulary_size": 3,
        "hidden_size": 4,
        "num_layers": 1,
        "embedding_size": "onehot",
        "nonlinearity": "tanh",
        "documents": False,
        "num_labels": 0,
    }


@pytest.mark.parametrize(
    "cell, nonlinearity, bounded",
    [("rnn", "tanh", True), ("rnn", "relu", False), ("gru", "relu", True), ("lstm", "tanh", True)],
)
def test_only_relu_leaves_states_without_bounds(
    cell: CellName, nonlinearity: Literal["tanh", "relu"], bounded: bool
) -> None:
    configuration = dataclasses.replace(SMALL, cell=cell, nonlinearity=nonlinearity)
    assert configuration.is_bounded is bounded


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL.hidden_size = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    "name, too_small, smallest, largest, too_large",
    [
        ("vocabulary_size", 0, 1, 1_114_112, 1_114_113),
        ("hidden_size", 0, 1, 65_536, 65_537),
        ("num_layers", 0, 1, 64, 65),
        ("embedding_size", 0, 1, 65_536, 65_537),
        ("num_labels", -1, 0, 65_536, 65_537),
    ],
)
def test_a_size_has_a_range(
    name: str, too_small: int, smallest: int, largest: int, too_large: int
) -> None:
    def sized(size: int) -> ModelConfiguration:
        changes: dict[str, Any] = {name: size}
        return dataclasses.replace(SMALL, **changes)

    for size in (smallest, largest):
        assert getattr(sized(size), name) == size
    for size in (too_small, too_large):
        with pytest.raises(ValidationError, match=name):
            sized(size)


def test_each_field_is_described() -> None:
    fields = TypeAdapter(ModelConfiguration).json_schema()["properties"]
    assert all(field.get("description") for field in fields.values())
