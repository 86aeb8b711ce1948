"""A step that several learners share, each some of the streams, is the step of one with all."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kernels.learning.conftest import Learning, LearningCase

Array = NDArray[np.float32]
MakeCase = Callable[..., LearningCase]
DROPPED: dict[str, Any] = {"dropout": 0.3, "input_dropout": 0.2, "recurrent_dropout": 0.25}


def part_of(case: LearningCase, first: int, count: int, **options: Any) -> Learning:
    """A learner of some of a case's streams."""
    part = object.__new__(LearningCase)
    part.__dict__.update(case.__dict__)
    rows = slice(first, first + count)
    part.streams = count
    part.inputs, part.targets = case.inputs[rows].copy(), case.targets[rows].copy()
    part.state = [each[rows].copy() for each in case.state]
    part.restart = case.restart[rows].copy()
    part.labels = None if case.labels is None else case.labels[rows].copy()
    return Learning(part, first_stream=first, all_streams=case.streams, **options)


def step_together(parts: Sequence[Learning], **options: Any) -> tuple[float, float]:
    """One step of all, their gradients added up."""
    numbers = sum(weight.size for weight in parts[0].weights)
    flats = [np.zeros(numbers, np.float32) for _ in parts]
    window = {name: options.pop(name) for name in ("key", "negatives") if name in options}
    nats = sum(
        part.kernel.gradients(
            part.case.inputs,
            part.case.targets,
            part.state,
            part.case.restart,
            flat,
            labels=part.case.labels,
            **window,
        )
        for part, flat in zip(parts, flats, strict=True)
    )
    total: Array = np.sum(flats, axis=0, dtype=np.float32)
    norms = set()
    for part in parts:
        part.number += 1
        norms.add(part.kernel.apply(part.state, total, number=part.number, **options))
    assert len(norms) == 1
    return nats, norms.pop()


@pytest.mark.parametrize(
    "shape",
    [
        {"cell": "lstm", "num_layers": 2, "streams": 5},
        {"cell": "gru", "streams": 4},
        {"cell": "rnn", "streams": 3, "embedding_size": "onehot"},
        {"cell": "lstm", "streams": 3, "steps": 2, "vocabulary_size": 50},  # without a table
        {"cell": "gru", "streams": 5, "vocabulary_size": 4, "documents": True, "num_labels": 6},
    ],
)
def test_shares_take_the_whole_step(make_case: MakeCase, shape: dict[str, Any]) -> None:
    case = make_case(**shape)
    dropped = {k: v for k, v in DROPPED.items() if shape.get("embedding_size") != "onehot"}
    options = {**dropped, "clip_norm": 0.5, "weight_decay": 0.1, "averaged": True}
    whole = case.learner(**options)
    middle = case.streams // 2
    parts = [
        part_of(case, 0, middle, **options),
        part_of(case, middle, case.streams - middle, **options, threads=2),
    ]
    for number in range(3):
        how = {"learning_rate": 0.01, "key": 7 + number, "average_share": 0.1}
        nats, norm = whole.step(**how)
        assert step_together(parts, **how) == pytest.approx((nats, norm), rel=1e-5)
    for part in parts:
        for mine, its in zip(whole.arrays(), part.arrays(), strict=True):
            if mine.shape == its.shape:
                np.testing.assert_allclose(its, mine, rtol=1e-3, atol=2e-5)
    for one, other in zip(parts[0].weights, parts[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for layer, state in enumerate(whole.state):
        both = np.concatenate([part.state[layer] for part in parts])
        np.testing.assert_allclose(both, state, rtol=1e-3, atol=2e-5)


def test_masks_follow_the_place_among_all_streams(make_case: MakeCase) -> None:
    case = make_case(streams=2)
    case.inputs[1], case.targets[1] = case.inputs[0], case.targets[0]
    for part in case.state:
        part[1] = part[0]
    case.restart[:] = 0
    flats = [np.zeros(sum(w.size for w in case.weights.values()), np.float32) for _ in range(2)]
    for first, flat in enumerate(flats):
        part = part_of(case, first, 1, dropout=0.5)
        part.kernel.gradients(
            part.case.inputs, part.case.targets, part.state, part.case.restart, flat, key=3
        )
    assert not np.array_equal(flats[0], flats[1])


def test_gradients_change_nothing_and_apply_needs_them(make_case: MakeCase) -> None:
    case = make_case()
    learner = case.learner()
    before = [array.copy() for array in learner.arrays()]
    flat = np.zeros(sum(weight.size for weight in learner.weights), np.float32)
    with pytest.raises(ValueError, match="apply must follow gradients"):
        learner.kernel.apply(learner.state, flat, learning_rate=0.1, number=1)
    learner.kernel.gradients(case.inputs, case.targets, learner.state, case.restart, flat)
    for array, old in zip(learner.arrays(), before, strict=True):
        np.testing.assert_array_equal(array, old)
    flat[0] = np.nan
    assert np.isnan(learner.kernel.apply(learner.state, flat, learning_rate=0.1, number=1))
    for array, old in zip(learner.arrays(), before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_what_does_not_fit_is_refused(make_case: MakeCase) -> None:
    case = make_case(streams=3)
    learner = case.learner()
    short = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="flat"):
        learner.kernel.gradients(case.inputs, case.targets, learner.state, case.restart, short)
    with pytest.raises(ValueError, match="all_streams"):
        case.learner(first_stream=2, all_streams=4)
    with pytest.raises(ValueError, match="first_stream"):
        case.learner(first_stream=-1)
