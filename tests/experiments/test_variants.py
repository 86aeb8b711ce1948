"""What a comparison trains: one option varied, everything else planned once."""

from dataclasses import replace
from typing import Any

import pytest

from ricorda.errors import ConfigurationError
from ricorda.experiments.variants import (
    LARGEST_SIZE,
    MEASURES,
    Match,
    Planner,
    Variant,
    matched_size,
    varied_option,
)
from ricorda.model.cells import CELLS
from ricorda.model.configuration import ModelConfiguration
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.forecast import Plan
from ricorda.training.plan.planner import Machine, choose

SPEEDS = iter(range(1, 10**6))


def plan(**options: Any) -> Plan:
    """Plan as on a machine whose measured speed is another one each time."""
    machine = Machine("cpu", 1, frozenset(), operations=1e11 + 1e10 * next(SPEEDS))
    configuration = choose(
        TrainingOptions(backend="kernels", **options),
        training_size=1_000_000,
        vocabulary_size=65,
        machine=machine,
    )
    return Plan(configuration, 1000)


def variants(name: str, values: list[Any], match: Match = "time", **options: Any) -> list[Variant]:
    return Planner(name, match, {"minutes": 1.0, **options}, plan).variants(values, {})


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("target", [10, 3_000, 250_000, 4_000_000])
def test_the_matched_size_is_the_nearest(cell: Any, target: int) -> None:
    model = ModelConfiguration(cell=cell, vocabulary_size=65, hidden_size=1, embedding_size=8)

    def parameters(model: ModelConfiguration) -> float:
        return model.parameters

    found = matched_size(model, parameters, target)
    misses: dict[int, int] = {}
    for size in range(1, LARGEST_SIZE + 1):  # a network without recurrent weights is wide
        count = replace(model, hidden_size=size).parameters
        misses[size] = abs(count - target)
        if count > 1.03 * target:  # all larger ones miss by more
            break
    nearest = min(misses, key=misses.__getitem__)
    assert misses[found] <= max(misses[nearest], 0.02 * target)
    if found % 8:
        assert found == nearest


@pytest.mark.parametrize("match", MEASURES)
def test_all_cells_are_matched_with_the_first(match: Match) -> None:
    found = variants("cell", list(CELLS), match)
    measured: list[float] = [getattr(each, match) for each in found]
    assert measured == pytest.approx([measured[0]] * len(found), rel=0.03)
    for name in ("dropout", "recurrent_dropout", "weight_decay", "batch_size", "window"):
        assert len({each.options[name] for each in found}) == 1, name


@pytest.mark.parametrize("match", MEASURES)
def test_a_cell_without_recurrent_weights_is_matched_without_their_dropout(match: Match) -> None:
    lstm, *others = variants("cell", ["lstm", "mingru", "minlstm"], match, minutes=30.0)
    assert lstm.options["recurrent_dropout"] > 0
    assert [each.options["recurrent_dropout"] for each in others] == [0.0, 0.0]
    assert {each.options["dropout"] for each in others} == {lstm.options["dropout"]}


def test_at_matched_time_each_cell_has_its_own_plan() -> None:
    found = {each.label: each.options for each in variants("cell", ["lstm", "gru"])}
    assert found["lstm"]["learning_rate"] > found["gru"]["learning_rate"]
    assert found["lstm"]["hidden_size"] % 64 == found["gru"]["hidden_size"] % 64 == 0


@pytest.mark.parametrize(
    "name, values", [("dropout", [0.0, 0.3]), ("batch_size", [8, 64]), ("averaging", [0.0, 0.9])]
)
def test_only_the_varied_option_differs(name: str, values: list[Any]) -> None:
    first, second = (each.options for each in variants(name, values))
    assert {key for key in first if first[key] != second[key]} == {name}


def test_options_that_were_given_are_kept() -> None:
    found = variants("cell", ["lstm", "rnn"], hidden_size=24, dropout=0.25, threads=3)
    for each in found:
        wanted = {"hidden_size": 24, "dropout": 0.25, "threads": 3, "minutes": 1.0}
        assert wanted.items() <= each.options.items()


def test_a_value_that_is_added_keeps_the_known_ones() -> None:
    before = variants("cell", ["lstm", "gru"], "parameters")
    known = {each.label: each for each in before}
    planner = Planner("cell", "parameters", {"minutes": 1.0}, plan)
    after = planner.variants(["rnn", "gru", "lstm"], known)
    assert after[1:] == before[::-1]
    assert after[0].parameters == pytest.approx(before[0].parameters, rel=0.03)


@pytest.mark.parametrize(
    "cells, vary, message",
    [
        (None, None, "expected one option to vary, got none"),
        (["lstm", "gru"], {"dropout": [0.1, 0.2]}, "got dropout and cell"),
        (["lstm"], None, "at least two different values of cell, got lstm"),
        (["lstm", "lstm"], None, "at least two different values"),
        (["lstm", "none"], None, f"expected cells among {', '.join(CELLS)}, got none"),
        (None, {"minutes": [1, 2]}, "--vary minutes: the minutes of all trainings"),
        (None, {"seed": [1, 2]}, "--vary seed"),
        (None, {"out": ["a", "b"]}, "expected an option of `ricorda train`"),
    ],
)
def test_what_cannot_be_varied_is_refused(cells: Any, vary: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        varied_option(cells, vary)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("hidden_size", {}, "chooses the hidden sizes"),
        ("cell", {"from_model": "m.safetensors"}, "the size of the network is that of --from"),
    ],
)
def test_what_cannot_be_matched_is_refused(name: str, options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Planner(name, "parameters", options, plan)


def test_a_text_without_a_validation_part_is_refused() -> None:
    planner = Planner("cell", "time", {}, lambda **options: Plan(plan().configuration, 0))
    with pytest.raises(ConfigurationError, match="a text with a validation part"):
        planner.variants(["lstm", "gru"], {})
