"""One step: what it computes, what it carries, what it refuses."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ricorda.errors import NonFiniteLoss
from ricorda.model import ModelConfiguration, RecurrentLanguageModel
from ricorda.training import Batch, Budget, TrainingConfiguration, train_step
from ricorda.training.learner import make_learner, take_step
from ricorda.training.plan.schedule import learning_rate
from ricorda.training.process_group import ProcessGroup
from ricorda.training.step import make_optimizer, restarted

MODEL = ModelConfiguration(cell="lstm", vocabulary_size=5, hidden_size=6, embedding_size=4)


def configuration(**changes: object) -> TrainingConfiguration:
    settings: dict[str, object] = {
        "model": MODEL,
        "budget": Budget(steps=10),
        "batch_size": 3,
        "window": 7,
        "learning_rate": 0.01,
    }
    return TrainingConfiguration(**(settings | changes))  # type: ignore[arg-type]


def make_model() -> RecurrentLanguageModel:
    return RecurrentLanguageModel(MODEL, generator=torch.Generator().manual_seed(1))


def make_batch(restart: torch.Tensor | None = None) -> Batch:
    ids = torch.randint(5, (3, 8), generator=torch.Generator().manual_seed(2))
    return Batch(ids[:, :-1], ids[:, 1:], restart)


def gradient_norm(model: RecurrentLanguageModel) -> float:
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    return math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))


def test_a_step_follows_the_gradient_of_the_mean_cross_entropy() -> None:
    model, reference, batch = make_model(), make_model(), make_batch()
    settings = configuration(clip_norm=1e9)
    metrics, state = train_step(
        model, make_optimizer(model, settings), batch, model.initial_state(3), settings
    )
    logits, expected_state = reference(batch.inputs)
    loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
    loss.backward()
    make_optimizer(reference, settings).step()
    assert metrics.nats_per_symbol == pytest.approx(loss.item())
    norm = gradient_norm(reference)
    assert metrics.gradient_norm == pytest.approx(norm)
    for one, other in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(state[0], tuple(part.detach() for part in expected_state[0]))
    assert not any(part.requires_grad for part in state[0])


def test_the_state_is_carried_into_the_step() -> None:
    model, settings, batch = make_model(), configuration(), make_batch()
    ones = [tuple(torch.ones_like(part) for part in layer) for layer in model.initial_state(3)]
    expected = F.cross_entropy(model(batch.inputs, ones)[0].flatten(0, 1), batch.targets.flatten())
    metrics, _ = train_step(model, make_optimizer(model, settings), batch, ones, settings)
    assert metrics.nats_per_symbol == pytest.approx(expected.item())


def test_a_restarted_row_starts_from_zero_and_the_others_go_on() -> None:
    state = [(torch.ones(3, 6), torch.full((3, 6), 2.0))]
    after = restarted(state, torch.tensor([0.0, 1.0, 0.0]))
    for before, part in zip(state[0], after[0], strict=True):
        assert torch.equal(part[[0, 2]], before[[0, 2]])
        assert not part[1].any()
    assert restarted(state, None) is state


def test_a_long_gradient_is_shortened() -> None:
    model = make_model()
    settings = configuration(clip_norm=1e-3)
    train_step(
        model, make_optimizer(model, settings), make_batch(), model.initial_state(3), settings
    )
    norm = gradient_norm(model)
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_numbers_gone_wrong_change_no_weight() -> None:
    model, settings = make_model(), configuration()
    with torch.no_grad():
        model.output.bias[0] = math.nan
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(NonFiniteLoss, match="lower --learning-rate"):
        train_step(
            model, make_optimizer(model, settings), make_batch(), model.initial_state(3), settings
        )
    for one, other in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True, atol=0, rtol=0)


def test_weight_decay_is_for_matrices_of_layers() -> None:
    model = make_model()
    decaying, others = make_optimizer(model, configuration(weight_decay=0.5)).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert decaying["weight_decay"] == 0.5
    assert others["weight_decay"] == 0.0
    assert {names[id(parameter)] for parameter in decaying["params"]} == {
        "layers.0.weight_ih",
        "layers.0.weight_hh",
        "output.weight",
    }
    assert len(decaying["params"]) + len(others["params"]) == len(names)


def test_bfloat16_stays_near_float32() -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        model, settings = make_model(), configuration(precision=precision)
        metrics, _ = train_step(
            model, make_optimizer(model, settings), make_batch(), model.initial_state(3), settings
        )
        losses.append(metrics.nats_per_symbol)
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_the_learning_rate_warms_up_and_falls_to_its_floor() -> None:
    settings = configuration(learning_rate=0.1, warmup_steps=10, final_learning_rate=0.01)
    rates = [learning_rate(step, 110, settings) for step in range(111)]
    assert rates[0] == pytest.approx(0.1 / 11)
    assert all(one < other for one, other in itertools.pairwise(rates[:11]))
    assert rates[10] == pytest.approx(0.1)
    assert rates[60] == pytest.approx(0.1 * (0.01 + 0.99 * 0.5))
    assert all(one > other for one, other in itertools.pairwise(rates[10:]))
    assert rates[110] == pytest.approx(0.001)


def test_the_warm_up_does_not_depend_on_the_number_of_steps() -> None:
    settings = configuration(warmup_steps=5)
    for step in range(5):
        assert learning_rate(step, None, settings) == learning_rate(step, 1000, settings)


def test_dropout_makes_training_differ() -> None:
    batch, settings = make_batch(), configuration()
    losses = []
    for dropout in (0.0, 0.5):
        model = RecurrentLanguageModel(
            MODEL, dropout=dropout, generator=torch.Generator().manual_seed(1)
        )
        metrics, _ = train_step(
            model, make_optimizer(model, settings), batch, model.initial_state(3), settings
        )
        losses.append(metrics.nats_per_symbol)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("kernels", ["auto", "off"])
def test_the_moments_forget_by_the_betas(kernels: Any) -> None:
    settings = configuration(clip_norm=1e9, kernels=kernels)
    learner, batch = make_learner(settings), make_batch()
    reference = RecurrentLanguageModel(MODEL)
    reference.load_state_dict(learner.model.state_dict())
    logits, _ = reference(batch.inputs)
    F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()).backward()
    take_step(learner, batch, 0.01, settings)
    for one, other in zip(learner.model.parameters(), reference.parameters(), strict=True):
        moments, gradient = learner.optimizer.state[one], other.grad
        assert gradient is not None
        torch.testing.assert_close(moments["exp_avg"], 0.1 * gradient, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(moments["exp_avg_sq"], 0.01 * gradient**2, rtol=1e-3, atol=1e-9)


class OneOfTwo(ProcessGroup):
    """One of two processes, whose gradients nobody adds up."""

    size = 2

    def exchange(self, count: int) -> Any:
        return None

    def average(self, exchange: Any, nats: float) -> float:
        return nats


def test_a_process_with_more_streams_counts_for_more() -> None:
    ids = torch.randint(5, (3, 8), generator=torch.Generator().manual_seed(2))
    settings = configuration(batch_size=5, clip_norm=1e9)
    figures = []
    for ranks in (ProcessGroup(), OneOfTwo()):
        model = make_model()
        batch = Batch(ids[:, :-1], ids[:, 1:], None)
        metrics, _ = train_step(
            model,
            make_optimizer(model, settings),
            batch,
            model.initial_state(3),
            settings,
            ranks=ranks,
        )
        figures.append(metrics)
    alone, part = figures
    assert part.nats_per_symbol == pytest.approx(alone.nats_per_symbol * 3 / 5)
    # What adds the gradients up divides them by two.
    assert part.gradient_norm == pytest.approx(alone.gradient_norm * 2 * 3 / 5)
