"""Steps that go wrong leave nothing behind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ricorda import _kernels

MakeCase = Callable[..., Any]
PRECISIONS = ["float32", "bfloat16"] if _kernels.learns_bfloat16() else ["float32"]
SHAPES: list[dict[str, Any]] = [
    {"cell": "rnn", "num_layers": 2},
    {"cell": "rnn", "nonlinearity": "relu"},
    {"cell": "gru", "num_layers": 2, "embedding_size": "onehot"},
    {"cell": "lstm", "num_layers": 2},
    {"cell": "cifg", "num_layers": 2},
    {"cell": "mingru", "num_layers": 2},
    {"cell": "minlstm", "num_layers": 2},
    {"cell": "lstm", "vocabulary_size": 40},  # more than the window's symbols
    {"cell": "gru", "hidden_size": 16, "embedding_size": 16},  # nothing padded
    {
        "cell": "lstm",
        "hidden_size": 70,
        "streams": 5,
        "steps": 40,
        "vocabulary_size": 60,
    },  # two groups
]
NAMES = [
    *("rnn", "relu", "gru", "lstm", "cifg", "mingru", "minlstm"),
    *("many symbols", "whole", "groups"),
]

every_precision = pytest.mark.parametrize("precision", PRECISIONS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=NAMES)


@every_precision
@every_shape
@pytest.mark.parametrize("dropping", [False, True])
def test_a_good_step_after_a_bad_one_is_as_if_it_had_not_been(
    make_case: MakeCase, shape: dict[str, Any], precision: str, dropping: bool
) -> None:
    """Neither weights nor memory in between keep anything of a number that is none."""
    case = make_case(**shape)
    names = ["dropout", "recurrent_dropout"] if dropping else []
    if dropping and "layers.0.weight_hh" not in case.weights:
        names.remove("recurrent_dropout")
    options = {"precision": precision, "averaged": True, "threads": 2, **dict.fromkeys(names, 0.3)}
    learner, fresh = case.learner(**options), case.learner(**options)
    for weight in [*learner.weights, learner.state[-1]]:
        good = weight.copy()
        weight[...] = np.nan
        before = [array.copy() for array in learner.arrays()]
        _, norm = learner.step(key=1, average_share=0.5)
        assert not np.isfinite(norm)
        for one, other in zip(learner.arrays(), before, strict=True):
            np.testing.assert_array_equal(one, other)
        weight[...] = good
        learner.weights[-1][0] += np.inf
        assert not np.isfinite(learner.step(key=1)[1])
        learner.weights[-1][0] = fresh.weights[-1][0]
    learner.number = 0
    results = [each.step(key=2, average_share=0.5) for each in (learner, fresh)]
    assert results[0] == results[1]
    for one, other in zip(learner.arrays(), fresh.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)


@every_precision
@every_shape
def test_a_single_number_that_is_none_is_noticed(
    make_case: MakeCase,
    random: np.random.Generator,
    kernels: str,
    shape: dict[str, Any],
    precision: str,
) -> None:
    if precision == "bfloat16" and not _kernels.learns_bfloat16(kernels):
        pytest.skip(f"{kernels} does not multiply bfloat16")
    case = make_case(**shape)
    case.restart[:] = 0
    case.inputs.flat[: case.configuration.vocabulary_size] = np.arange(
        min(case.configuration.vocabulary_size, case.inputs.size)
    )
    learner = case.learner(precision=precision, kernels=kernels)
    for name, array in zip(
        [*case.weights, *("state" for _ in learner.state)],
        [*learner.weights, *learner.state],
        strict=True,
    ):
        rows = len(array)
        if name in ("embedding.weight",):
            rows = min(rows, case.inputs.size)  # those that the window reads
        place = (int(random.integers(rows)), *(int(random.integers(n)) for n in array.shape[1:]))
        if name == "layers.0.weight_ih" and case.configuration.embedding_size == "onehot":
            place = (place[0], int(case.inputs.flat[0]))
        good, array[place] = array[place].copy(), np.nan
        _, norm = learner.step(update=False)
        assert not np.isfinite(norm), f"{name}{place}"
        array[place] = good
    assert np.isfinite(learner.step(update=False)[1])


@every_precision
def test_a_gradient_too_long_for_float32_changes_nothing(
    make_case: MakeCase, precision: str
) -> None:
    """A sum of squares is taken in float64, so that only what is infinite counts as such."""
    case = make_case(cell="rnn", nonlinearity="relu")
    case.weights["embedding.weight"] *= np.float32(1e19)
    case.weights["output.weight"] *= np.float32(1e19)
    learner = case.learner(precision=precision)
    before = [array.copy() for array in learner.arrays()]
    nats, norm = learner.step()
    assert nats > 1e30
    if not np.isfinite(norm):
        for one, other in zip(learner.arrays(), before, strict=True):
            np.testing.assert_array_equal(one, other)
    else:
        assert all(np.isfinite(weight).all() for weight in learner.weights)
