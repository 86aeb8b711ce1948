"""What a step does with its gradients: clipping, AdamW, averaging, and the same bits each time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ricorda import _kernels
from ricorda.torch.language_model import RecurrentLanguageModel
from ricorda.training.learner import average_share, decays

MakeCase = Callable[..., Any]
PRECISIONS = ["float32", "bfloat16"] if _kernels.learns_bfloat16() else ["float32"]
SHAPES: list[dict[str, Any]] = [
    {"cell": "lstm", "num_layers": 2},
    {"cell": "gru", "embedding_size": "onehot", "hidden_size": 17},
    {"cell": "rnn", "vocabulary_size": 50, "streams": 2, "steps": 3},
]


def parameters_for(model: RecurrentLanguageModel, case: Any) -> list[torch.nn.Parameter]:
    """The model's parameters in float32, in the order of the case's weights."""
    model.float()
    named = dict(model.named_parameters())
    return [named[name] for name in case.weights]


def adamw(model: RecurrentLanguageModel, weight_decay: float) -> torch.optim.AdamW:
    """PyTorch's optimizer with the groups of a training."""
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if decays(n, p.dim())], "weight_decay": weight_decay},
        {"params": [p for n, p in named if not decays(n, p.dim())], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.03, betas=(0.9, 0.99), fused=True)


@pytest.mark.parametrize("shape", SHAPES, ids=["lstm", "gru", "rnn"])
@pytest.mark.parametrize("clip_norm, weight_decay", [(1e9, 0.0), (0.05, 0.5)])
def test_several_steps_are_those_of_adamw(
    make_case: MakeCase,
    kernels: str,
    shape: dict[str, Any],
    clip_norm: float,
    weight_decay: float,
) -> None:
    """PyTorch's optimizer is given the kernels' own gradients, so that nothing else can differ."""
    case = make_case(**shape)
    learner = case.learner(kernels=kernels, clip_norm=clip_norm, weight_decay=weight_decay)
    model = case.model()
    parameters = parameters_for(model, case)
    optimizer = adamw(model, weight_decay)
    for number in range(1, 6):
        for group in optimizer.param_groups:
            group["lr"] = 0.03 / number
        _, norm = learner.step(learning_rate=0.03 / number)
        gradients = learner.gradients().values()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        clipped = torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        assert norm == pytest.approx(float(clipped), rel=1e-5)
        optimizer.step()
        for name, ours, theirs in zip(case.weights, learner.weights, parameters, strict=True):
            np.testing.assert_allclose(ours, theirs.detach(), rtol=2e-6, atol=1e-6, err_msg=name)
    for i, parameter in enumerate(parameters):
        kept = optimizer.state[parameter]
        for moments, kind in ((learner.first, "exp_avg"), (learner.second, "exp_avg_sq")):
            scale = float(kept[kind].abs().max())
            np.testing.assert_allclose(moments[i], kept[kind], rtol=1e-5, atol=1e-6 * scale)


def test_only_matrices_of_layers_decay(make_case: MakeCase) -> None:
    case = make_case(num_layers=2)
    decayed, plain = (case.learner(weight_decay=decay) for decay in (0.5, 0.0))
    decayed.step(learning_rate=0.01)
    plain.step(learning_rate=0.01)
    for name, one, other in zip(case.weights, decayed.weights, plain.weights, strict=True):
        if decays(name, other.ndim):
            np.testing.assert_allclose(other - one, 0.005 * case.weights[name], atol=1e-6)
        else:
            np.testing.assert_array_equal(one, other)


def test_the_average_moves_by_its_share(make_case: MakeCase, kernels: str) -> None:
    case = make_case(hidden_size=21)
    learner = case.learner(averaged=True, kernels=kernels)
    expected = [average.astype(float) for average in learner.averages]
    for step in range(6):
        share = average_share(0.9, step)
        learner.step(average_share=share)
        for number, weight in enumerate(learner.weights):
            expected[number] += share * (weight - expected[number])
            np.testing.assert_allclose(
                learner.averages[number], expected[number], rtol=1e-5, atol=1e-6
            )
    assert not np.array_equal(learner.averages[1], learner.weights[1])


def test_averaging_changes_no_weight(make_case: MakeCase) -> None:
    case = make_case()
    averaged, plain = case.learner(averaged=True), case.learner()
    for _ in range(3):
        averaged.step(average_share=0.3)
        plain.step()
    for one, other in zip(averaged.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_an_update_nothing_changes(make_case: MakeCase) -> None:
    learner = make_case().learner(averaged=True)
    before = [array.copy() for array in learner.arrays()]
    _, norm = learner.step(update=False, average_share=0.5)
    assert norm > 0
    for one, other in zip(learner.arrays(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_steps_have_the_same_bits(
    make_case: MakeCase, cell: str, precision: str, threads: int
) -> None:
    case = make_case(
        cell=cell, hidden_size=70, vocabulary_size=60, embedding_size=20, streams=5, steps=40
    )
    options = {"dropout": 0.2, "input_dropout": 0.1, "recurrent_dropout": 0.3, "averaged": True}
    if "layers.0.weight_hh" not in case.weights:
        del options["recurrent_dropout"]
    learners = [case.learner(precision=precision, threads=threads, **options) for _ in range(2)]
    for key in (3, 2**63):
        results = [learner.step(key=key, average_share=0.1) for learner in learners]
        assert results[0] == results[1]
    for one, other in zip(learners[0].arrays(), learners[1].arrays(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_steps_memorize_a_window(make_case: MakeCase, precision: str) -> None:
    case = make_case(cell="gru", hidden_size=24, vocabulary_size=7, streams=2, steps=12)
    learner = case.learner(precision=precision)
    case.restart[:] = 1
    case.inputs[:, 0] = [0, 1]  # Nobody could tell two windows apart that begin alike.
    losses = [learner.step(learning_rate=0.03)[0] for _ in range(150)]
    assert losses[0] > 1.5
    assert losses[-1] < 0.1


def test_rows_that_restart_do_not_read_the_state(make_case: MakeCase) -> None:
    case = make_case(num_layers=2, streams=3)
    case.restart[:] = [1, 0, 1]
    results = case.learner().step()
    for part in case.state:
        part[[0, 2]] = 7.5
    assert case.learner().step() == results
    case.restart[:] = 0
    assert case.learner().step() != results
