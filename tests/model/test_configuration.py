"""The configuration of a network: its defaults, what follows from it, and that it cannot change."""

import dataclasses
from typing import Literal

import pytest
from pydantic import TypeAdapter

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


def test_each_field_is_described() -> None:
    fields = TypeAdapter(ModelConfiguration).json_schema()["properties"]
    assert all(field.get("description") for field in fields.values())
