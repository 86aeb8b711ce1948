"""The options of a training: their defaults, their ranges and their words."""

import dataclasses
import re
from typing import Any

import pytest
from pydantic import ValidationError

from ricorda.model import ModelConfiguration
from ricorda.training import Run
from ricorda.training.configuration import Budget, Schedule, TrainingConfiguration
from ricorda.training.evaluation import EvaluationResult
from ricorda.training.fine_tuning import Start
from ricorda.training.options import TrainingOptions
from ricorda.training.process_group import Share

NETWORK = ModelConfiguration(cell="lstm", vocabulary_size=3, hidden_size=4)
REQUIRED: dict[str, Any] = {
    "model": NETWORK,
    "budget": Budget(steps=1),
    "batch_size": 1,
    "window": 1,
    "learning_rate": 0.01,
}
SCHEDULE: dict[str, Any] = {
    "digest": "",
    "validation_digest": None,
    "steps": 1,
    "warmup_steps": 0,
    "plans": [],
    "evaluated": [],
}


def test_what_is_not_given_has_these_values() -> None:
    given = {
        name: value
        for name, value in dataclasses.asdict(TrainingOptions()).items()
        if value is not None
    }
    assert given == {
        "input_dropout": 0.0,
        "clip_norm": 1.0,
        "averaging": 0.0,
        "initialisation": "orthogonal",
        "forget_bias": 0.0,
        "adaptive_validation": False,
        "early_samples": False,
        "log": (),
        "keep": 2,
        "seed": 1,
        "device": "auto",
        "precision": "auto",
        "backend": "auto",
        "vocabulary": "characters",
        "min_count": 1,
        "newlines": "auto",
        "decompress": "auto",
        "documents": "auto",
        "test_fraction": 0.0,
        "max_restarts": 3,
        "collective_timeout": 120.0,
    }


def test_a_configuration_that_says_no_more_has_these_values() -> None:
    configuration = TrainingConfiguration(**REQUIRED)
    chosen = {
        "dropout": 0.0,
        "recurrent_dropout": 0.0,
        "weight_decay": 0.01,
        "softmax_candidates": 0,
        "device": "cpu",
        "precision": "float32",
        "backend": "kernels",
        "threads": 1,
        "processes": 1,
        "warmup_steps": 100,
        "final_learning_rate": 0.01,
        "reset_probability": 0.01,
        "evaluations": 20,
        "schedule": None,
    }
    assert {name: getattr(configuration, name) for name in chosen} == chosen


RANGES: dict[str, tuple[Any, Any, Any, Any]] = {
    "minutes": (0.0009, 0.001, 10_000_000, 10_000_001),
    "epochs": (9e-7, 1e-6, 1_000_000_000, 1_000_000_001),
    "steps": (0, 1, 1_000_000_000_000, 1_000_000_000_001),
    "batch_size": (0, 1, 65_536, 65_537),
    "window": (0, 1, 1_048_576, 1_048_577),
    "learning_rate": (9e-10, 1e-9, 10, 10.1),
    "weight_decay": (-0.1, 0, 100, 101),
    "clip_norm": (9e-7, 1e-6, 1_000_000_000, 1_000_000_001),
    "dropout": (-0.01, 0, 0.99, 0.991),
    "input_dropout": (-0.01, 0, 0.99, 0.991),
    "recurrent_dropout": (-0.01, 0, 0.99, 0.991),
    "averaging": (-0.01, 0, 0.999999, 0.9999999),
    "softmax_candidates": (-1, 0, 1_000_000_000, 1_000_000_001),
    "forget_bias": (-101, -100, 100, 101),
    "patience": (0, 1, 1_000_000_000_000, 1_000_000_000_001),
    "keep": (0, 1, 1_000_000, 1_000_001),
    "seed": (-1, 0, 9_223_372_036_854_775_807, 9_223_372_036_854_775_808),
    "threads": (0, 1, 1024, 1025),
    "processes": (0, 1, 1024, 1025),
    "hidden_size": (0, 1, 65_536, 65_537),
    "num_layers": (0, 1, 64, 65),
    "embedding_size": (0, 1, 65_536, 65_537),
    "min_count": (0, 1, 1_000_000_000, 1_000_000_001),
    "validation_fraction": (-0.01, 0, 0.99, 0.991),
    "test_fraction": (-0.01, 0, 0.99, 0.991),
    "max_restarts": (-1, 0, 1000, 1001),
    "collective_timeout": (0.9, 1, 1_000_000, 1_000_001),
}
"""By option: too small, the smallest, the largest, too large."""


@pytest.mark.parametrize("name", RANGES)
def test_an_option_has_a_range(name: str) -> None:
    too_small, smallest, largest, too_large = RANGES[name]
    for value in (smallest, largest):
        assert getattr(TrainingOptions(**{name: value}), name) == value
    for value in (too_small, too_large):
        with pytest.raises(ValidationError, match=name):
            TrainingOptions(**{name: value})


def test_each_option_that_is_a_number_has_a_range() -> None:
    numbers = {
        field.name
        for field in dataclasses.fields(TrainingOptions)
        if re.search(r"\b(int|float)\b", str(field.type))
    }
    assert numbers >= {"seed", "keep", "hidden_size"}
    assert numbers <= RANGES.keys()


@pytest.mark.parametrize(
    "name, smallest, largest",
    [
        ("threads", 1, None),
        ("processes", 1, None),
        ("warmup_steps", 0, None),
        ("final_learning_rate", 0, 1),
        ("reset_probability", 0, 1),
        ("evaluations", 1, None),
    ],
)
def test_what_a_configuration_adds_has_a_range(
    name: str, smallest: int, largest: int | None
) -> None:
    for value in (smallest, largest):
        if value is not None:
            assert getattr(TrainingConfiguration(**REQUIRED | {name: value}), name) == value
    for value in (smallest - 1, largest and largest + 1):
        if value is not None:
            with pytest.raises(ValidationError, match=name):
                TrainingConfiguration(**REQUIRED | {name: value})


def test_a_schedule_has_steps() -> None:
    assert Schedule(**SCHEDULE).steps == 1
    for change in ({"steps": 0}, {"warmup_steps": -1}):
        with pytest.raises(ValidationError, match=next(iter(change))):
            Schedule(**SCHEDULE | change)


@pytest.mark.parametrize(
    "budget, words",
    [
        (Budget(steps=1), "1 step"),
        (Budget(steps=300), "300 steps"),
        (Budget(minutes=1), "1 minute"),
        (Budget(minutes=0.5), "0.5 minutes"),
        (Budget(epochs=1), "1 epoch"),
        (Budget(epochs=2.5), "2.5 epochs"),
    ],
)
def test_a_budget_in_words(budget: Budget, words: str) -> None:
    assert str(budget) == words


@pytest.mark.parametrize("kind", [Run, Start, Share, EvaluationResult])
def test_results_cannot_be_changed(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen


@pytest.mark.parametrize("value", [TrainingOptions(), TrainingConfiguration(**REQUIRED), NETWORK])
def test_settings_cannot_be_changed(value: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.hidden_size = 5
