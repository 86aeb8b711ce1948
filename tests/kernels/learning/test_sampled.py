"""A sampled softmax: each target against itself and the symbols drawn, in PyTorch's float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.kernels.learning.conftest import EVERY_SET, LearningCase, long, restarted
from tests.kernels.learning.test_gradients import (
    BFLOAT16_ROUNDING,
    assert_near,
    every_cell,
    needs_bfloat16,
    relative,
)
from tests.kernels.learning.test_shares import part_of, step_together

MakeCase = Callable[..., LearningCase]
Drawn = tuple[NDArray[np.uint32], NDArray[np.float32]]


def drawn(random: np.random.Generator, vocabulary_size: int, count: int) -> Drawn:
    """So many symbols, each with a probability of its own."""
    ids = np.sort(random.permutation(vocabulary_size)[:count]).astype(np.uint32)
    return ids, np.log(random.uniform(0.05, 1.0, count)).astype(np.float32)


def expected(case: LearningCase, negatives: Drawn) -> tuple[float, dict[str, NDArray[Any]]]:
    """The mean nats and their gradients, by all logits, those that count for nothing left out."""
    model = case.model()
    state = case.layers_of([torch.from_numpy(part).double() for part in case.state])
    restart = torch.from_numpy(case.restart).double()
    logits, _ = model(long(case.inputs), restarted(state, restart))
    logits, targets = logits.flatten(0, 1), case.targets.flatten().astype(np.int64)  # (N, V), (N,)
    kinds = torch.zeros(logits.shape, dtype=torch.float64)  # of each symbol, how many it stands for
    kinds[:, long(negatives[0])] = torch.from_numpy(negatives[1]).double().neg().exp()
    rows = torch.arange(len(targets))
    kinds[rows, torch.from_numpy(targets)] = 1.0
    loss = ((kinds * logits.exp()).sum(1).log() - logits[rows, torch.from_numpy(targets)]).mean()
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    return loss.item(), {n: g.numpy() for n, g in zip(names, gradients, strict=True)}


def check(case: LearningCase, negatives: Drawn, *variants: dict[str, Any]) -> None:
    """Compare a step with each variant of the learner's options."""
    nats, gradients = expected(case, negatives)
    squares = sum(float((gradient**2).sum()) for gradient in gradients.values())
    for options in variants:
        learner = case.learner(**options)
        actual, norm = learner.step(learning_rate=0.0, negatives=negatives)
        assert actual == pytest.approx(nats, rel=2e-6, abs=1e-6), options
        assert norm == pytest.approx(squares**0.5, rel=1e-5), options
        assert_near(learner.gradients(), gradients)


@every_cell
@pytest.mark.parametrize("count", [0, 1, 7, 16, 39])
def test_the_loss_and_every_gradient(
    make_smooth: MakeCase, random: np.random.Generator, cell: dict[str, str], count: int
) -> None:
    for shape in ({"embedding_size": "onehot"}, {"embedding_size": 5, "num_layers": 2}):
        case = make_smooth(**cell, **shape, vocabulary_size=40, hidden_size=17)
        check(case, drawn(random, 40, count), *EVERY_SET)


@pytest.mark.parametrize("streams, steps", [(5, 3), (3, 301), (600, 2)])
def test_large_and_small_windows(
    make_case: MakeCase, random: np.random.Generator, streams: int, steps: int
) -> None:
    case = make_case(streams=streams, steps=steps, vocabulary_size=3000, hidden_size=24)
    variants = [options | {"threads": threads} for options in EVERY_SET for threads in (1, 2, 3)]
    check(case, drawn(random, 3000, 200), *variants)


def test_where_all_are_drawn_it_is_the_softmax(make_case: MakeCase, kernels: str) -> None:
    case = make_case(vocabulary_size=70, hidden_size=20)
    options: dict[str, Any] = {"averaged": True, "weight_decay": 0.1, "kernels": kernels}
    exact, sampled = case.learner(**options), case.learner(**options)
    everything = (np.arange(70, dtype=np.uint32), np.zeros(70, np.float32))
    for _ in range(4):
        actual = exact.step(average_share=0.1)
        assert sampled.step(average_share=0.1, negatives=everything) == pytest.approx(actual)
    for one, other in zip(exact.arrays(), sampled.arrays(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_rows_that_are_left_out_have_no_gradient_and_are_updated(
    make_case: MakeCase, random: np.random.Generator
) -> None:
    """AdamW goes on with the moments of earlier steps, and decays, as if the gradient were zero."""
    case = make_case(vocabulary_size=400, hidden_size=8)
    learner = case.learner(weight_decay=0.5)
    learner.step(learning_rate=0.01)
    before, moment = learner.weights[-2].copy(), learner.first[-2].copy()
    negatives = drawn(random, 400, 20)
    learner.step(learning_rate=0.01, negatives=negatives)
    gradients = learner.gradients()
    taken = np.union1d(negatives[0], case.targets)
    left_out = np.setdiff1d(np.arange(400), taken)
    assert not gradients["output.weight"][left_out].any()
    assert not gradients["output.bias"][left_out].any()
    assert gradients["output.weight"][taken].any(axis=1).all()
    second = learner.second[-2][left_out] / (1 - 0.99**2)
    step = moment[left_out] * 0.9 / (1 - 0.9**2) / (np.sqrt(second) + 1e-8)
    np.testing.assert_allclose(
        learner.weights[-2][left_out],
        before[left_out] * (1 - 0.01 * 0.5) - 0.01 * step,
        rtol=1e-4,
        atol=1e-6,
    )


def test_steps_of_any_kind_may_follow_each_other(
    make_case: MakeCase, random: np.random.Generator, kernels: str
) -> None:
    """More rows, fewer, all: what a step computes depends on no other."""
    case = make_case(vocabulary_size=500, hidden_size=20)
    draws: list[Drawn | None] = [drawn(random, 500, count) for count in (10, 300, 20, 480)]
    draws[2:2] = [None, drawn(random, 500, 0)]
    learner = case.learner(kernels=kernels)
    for negatives in draws:
        new = case.learner(kernels=kernels)
        assert learner.step(learning_rate=0.0, negatives=negatives, update=False) == new.step(
            learning_rate=0.0, negatives=negatives, update=False
        )
        ours, theirs = learner.gradients(), new.gradients()
        for name, gradient in ours.items():
            np.testing.assert_array_equal(gradient, theirs[name])


def test_shares_take_the_whole_step(make_case: MakeCase, random: np.random.Generator) -> None:
    case = make_case(streams=5, steps=6, vocabulary_size=300, hidden_size=12)
    options = {"dropout": 0.3, "clip_norm": 0.5, "weight_decay": 0.1}
    whole = case.learner(**options)
    parts = [part_of(case, 0, 2, **options), part_of(case, 2, 3, **options, threads=2)]
    for number in range(3):
        negatives = drawn(random, 300, 40)
        how: dict[str, Any] = {"learning_rate": 0.01, "key": 7 + number}
        actual = whole.step(negatives=negatives, **how)
        together = step_together(parts, negatives=negatives, **how)
        assert together == pytest.approx(actual, rel=1e-5)
    for part in parts:
        for mine, its in zip(whole.weights, part.weights, strict=True):
            np.testing.assert_allclose(its, mine, rtol=1e-3, atol=2e-5)


@needs_bfloat16
def test_bfloat16_is_float32_but_for_rounding(
    make_case: MakeCase, random: np.random.Generator
) -> None:
    case = make_case(streams=16, steps=32, vocabulary_size=2000, hidden_size=64)
    negatives = drawn(random, 2000, 150)
    learners = [case.learner(precision=precision) for precision in ("float32", "bfloat16")]
    nats = [each.step(learning_rate=0.0, negatives=negatives)[0] for each in learners]
    assert 0 < abs(nats[1] - nats[0]) < BFLOAT16_ROUNDING * nats[0]
    distances = relative(learners[1].gradients(), learners[0].gradients())
    bound = (4 * 1 + 3) * 2 * BFLOAT16_ROUNDING  # as without sampling
    assert all(0 < distance < bound for distance in distances.values()), distances


def test_a_logit_that_is_no_number_changes_nothing(make_case: MakeCase) -> None:
    case = make_case(vocabulary_size=50)
    case.weights["output.bias"][case.targets[0, 0]] = np.nan
    learner = case.learner()
    before = [array.copy() for array in learner.arrays()]
    _, norm = learner.step(negatives=(np.arange(5, dtype=np.uint32), np.zeros(5, np.float32)))
    assert np.isnan(norm)
    for array, old in zip(learner.arrays(), before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("ids, logarithms, error", [
    ([0, 11], [0, 0], IndexError),
    ([-1, 3], [0, 0], IndexError),
    ([3, 2], [0, 0], ValueError),
    ([3, 3], [0, 0], ValueError),
    ([3, 4], [0], ValueError),
    ([3, 4], [0, 0.1], ValueError),
    ([3, 4], [0, np.nan], ValueError),
    ([3, 4], [0, -np.inf], ValueError),
])  # fmt: skip
def test_what_does_not_fit_is_refused(
    make_case: MakeCase, ids: list[int], logarithms: list[float], error: type[Exception]
) -> None:
    learner = make_case().learner()
    negatives = (np.array(ids, np.int64).astype(np.uint32), np.array(logarithms, np.float32))
    with pytest.raises(error):
        learner.step(negatives=negatives)
    with pytest.raises(TypeError):
        learner.step(negatives=(negatives[0].astype(np.int32), negatives[1]))
