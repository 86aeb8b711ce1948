"""The space that a search explores, around the planner's settings."""

from dataclasses import replace
from typing import Any

import pytest

from ricorda.experiments.search_space import DIMENSIONS, planned_parameters, search_space
from ricorda.model.cells import CellName
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.planner import Machine, choose

MACHINE = Machine(device="cpu", threads=1, bfloat16=frozenset())


def planned(cell: CellName = "lstm", size: int = 100_000, **options: Any) -> TrainingConfiguration:
    return choose(
        TrainingOptions(cell=cell, backend="kernels", **options),
        training_size=size,
        vocabulary_size=60,
        machine=MACHINE,
    )


@pytest.mark.parametrize("size", [300, 20_000, 1_000_000, 10**9])
@pytest.mark.parametrize("minutes", [0.1, 3.0, 300.0])
def test_the_planners_settings_are_in_the_space(size: int, minutes: float) -> None:
    plans = [planned(cell, size, minutes=minutes) for cell in ("lstm", "rnn")]
    space = search_space(plans, [], ["lstm", "rnn"])
    for plan in plans:
        for dimension in space:
            value = planned_parameters(plan, space)[dimension.name]
            assert 0 <= dimension.place(value) <= 1, dimension
            if dimension.step is not None:
                assert (value - dimension.low) % dimension.step == 0


def test_both_ends_of_a_dimension_lie_at_its_ends() -> None:
    for dimension in search_space([planned()], [], ["lstm", "gru"]):
        ends = dimension.choices or (dimension.low, dimension.high)
        assert (dimension.place(ends[0]), dimension.place(ends[-1])) == pytest.approx((0, 1))
        assert [tick.place for tick in dimension.ticks()] == sorted(
            tick.place for tick in dimension.ticks()
        )


def test_an_option_that_is_given_is_not_searched() -> None:
    space = search_space([planned()], ["dropout", "window"], ["lstm"])
    assert {each.name for each in space} == set(DIMENSIONS) - {"dropout", "window"}


@pytest.mark.parametrize("cells", [["mingru"], ["lstm", "minlstm"]])
def test_what_does_not_apply_to_a_cell_is_not_searched(cells: list[CellName]) -> None:
    space = search_space([planned(cell) for cell in cells], [], cells)
    assert set(DIMENSIONS) - {each.name for each in space} == {"recurrent_dropout"}


def test_the_space_of_a_known_plan() -> None:
    model = replace(planned().model, hidden_size=192)
    plan = replace(planned(), model=model, batch_size=16, window=64, learning_rate=0.01)
    found = {each.name: each for each in search_space([plan], [], ["lstm"])}
    assert (found["learning_rate"].low, found["learning_rate"].high) == (0.0025, 0.04)
    assert (found["hidden_size"].low, found["hidden_size"].high) == (96, 384)
    assert found["batch_size"].choices == (8, 16, 32)
    assert found["window"].choices == (32, 64, 128, 256)
