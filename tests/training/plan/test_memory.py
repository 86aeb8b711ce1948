"""The memory that a training needs, counted by hand."""

from dataclasses import replace
from typing import Any

import pytest

from ricorda.engine import kernels_are_built
from ricorda.model import ModelConfiguration
from ricorda.training import Budget, TrainingConfiguration
from ricorda.training.plan.machine import TORCH_LOGITS, memory_need

pytestmark = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")

MEGABYTE = 1_000_000


def settings(**changes: Any) -> TrainingConfiguration:
    configuration = TrainingConfiguration(
        model=ModelConfiguration(
            cell="lstm", vocabulary_size=60, hidden_size=1024, num_layers=8, embedding_size=64
        ),
        budget=Budget(steps=1),
        batch_size=16,
        window=64,
        learning_rate=0.01,
        threads=2,
    )
    return replace(configuration, **changes)


PARAMETERS = 60 * 64 + 4 * 1024 * (64 + 1024 + 2) + 7 * 4 * 1024 * (2048 + 2) + 60 * 1025


def test_every_copy_of_the_weights_is_counted() -> None:
    need = memory_need(settings(), 10**6)
    # weights, two moments, two orientations for the products, a gradient of each thread
    assert need.learner == pytest.approx(7 * 4 * PARAMETERS, rel=0.02)
    # the best model's file, and a copy of weights and moments for a checkpoint
    assert need.saving == 4 * 4 * PARAMETERS
    # hidden values, cells and their gradients, gates: 7 H numbers of each symbol and layer
    assert need.window == pytest.approx(4 * 16 * 64 * 8 * 7 * 1024, rel=0.5)
    assert need.total == sum(need)


@pytest.mark.parametrize(
    "changes, learner, saving",
    [
        ({"averaging": 0.9}, 8, 5),
        ({"threads": 1}, 6, 4),
        ({"precision": "bfloat16"}, 6, 4),
        ({"recurrent_dropout": 0.1}, 7.5, 4),
        ({"backend": "torch"}, 4, 4),
    ],
    ids=str,
)
def test_each_setting_counts_its_copies(
    changes: dict[str, Any], learner: float, saving: float
) -> None:
    need = memory_need(settings(**changes), 10**6)
    assert need.learner == pytest.approx(learner * 4 * PARAMETERS, rel=0.03)
    assert need.saving == saving * 4 * PARAMETERS


def test_processes_have_their_own_copies_and_share_the_window() -> None:
    alone, together = (memory_need(settings(processes=count), 10**6) for count in (1, 2))
    assert together.learner == 2 * alone.learner
    assert together.base > 2 * alone.base  # torch.distributed connects them
    assert together.saving == alone.saving


def test_pytorch_is_counted_where_it_is_imported() -> None:
    kernels, pytorch = (memory_need(settings(backend=each), 10**6) for each in ("kernels", "torch"))
    assert kernels.base <= 100 * MEGABYTE
    assert pytorch.base >= 300 * MEGABYTE


def test_the_logits_are_as_many_as_pytorchs_learner_has_at_once() -> None:
    output_loss = pytest.importorskip("ricorda.torch.output_loss")
    assert output_loss.MOST_LOGITS == TORCH_LOGITS


def test_labels_are_counted_with_their_copies() -> None:
    model = settings().model
    need, labelled = (
        memory_need(settings(model=replace(model, documents=True, num_labels=count)), 10**6)
        for count in (0, 200)
    )
    row = 4 * 1024
    # weights, two moments, the gradient; and a table, with gradients of each of two threads
    assert labelled.learner - need.learner == 4 * 200 * row * (4 + 3)
    assert labelled.saving - need.saving == 4 * 4 * 200 * row
    many = replace(model, documents=True, num_labels=5000)  # of which a window has 16 * 64
    counted = memory_need(settings(model=many), 10**6).learner - need.learner
    assert counted == 4 * row * (4 * 5000 + 3 * 1024)


def test_states_that_are_reset_are_counted() -> None:
    model = settings().model
    plain, documents = (
        memory_need(settings(model=replace(model, documents=each)), 10**6).window
        for each in (False, True)
    )
    # of each layer and stream the hidden state's gradient and both parts of the state, and of 512
    # symbols of each thread the hidden states
    assert documents - plain == 4 * 8 * 1024 * (3 * 16 + 2 * 512)


def test_a_short_text_has_a_short_window() -> None:
    assert memory_need(settings(), 32).window < 0.7 * memory_need(settings(), 64).window
