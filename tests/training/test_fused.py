"""A step by the kernels is a step by PyTorch, and one goes on where the other stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ricorda
from ricorda.errors import NonFiniteLoss
from ricorda.model import ModelConfiguration
from ricorda.training import Batch, Budget, TrainingConfiguration, fused
from ricorda.training.checkpoint.record import read_record
from ricorda.training.learner import make_learner, take_step
from ricorda.training.learner_state import Learner
from ricorda.training.process_group import Exchange, ProcessGroup

pytest.importorskip("ricorda._kernels")

NETWORKS: list[dict[str, Any]] = [
    {"cell": "rnn", "num_layers": 3},
    {"cell": "rnn", "nonlinearity": "relu", "embedding_size": "onehot"},
    {"cell": "gru", "num_layers": 2, "hidden_size": 20},
    {"cell": "lstm", "num_layers": 2},
    {"cell": "lstm", "vocabulary_size": 50, "hidden_size": 16},
]
every_network = pytest.mark.parametrize(
    "network", NETWORKS, ids=["rnn", "relu", "gru", "lstm", "many symbols"]
)


def configuration(network: dict[str, Any] | None = None, **changes: Any) -> TrainingConfiguration:
    shape: dict[str, Any] = {
        "cell": "lstm",
        "vocabulary_size": 11,
        "hidden_size": 6,
        "embedding_size": 4,
    }
    settings: dict[str, Any] = {
        "model": ModelConfiguration(**(shape | (network or {}))),
        "budget": Budget(steps=10),
        "batch_size": 3,
        "window": 7,
        "learning_rate": 0.01,
    }
    return TrainingConfiguration(**(settings | changes))


def by_pytorch(network: dict[str, Any] | None = None, **changes: Any) -> TrainingConfiguration:
    return configuration(network, kernels="off", **changes)


def batch(number: int, settings: TrainingConfiguration) -> Batch:
    """The window of a step; each third restarts a row."""
    generator = torch.Generator().manual_seed(number)
    size = (2, settings.batch_size, settings.window)
    inputs, targets = torch.randint(settings.model.vocabulary_size, size, generator=generator)
    restart = torch.eye(settings.batch_size)[0] if number % 3 == 2 else None
    return Batch(inputs, targets, restart)


def learn(learner: Learner, settings: TrainingConfiguration, steps: range) -> list[float]:
    """Take steps at a falling rate; returns each one's nats."""
    return [
        take_step(learner, batch(number, settings), 0.02 / (1 + number), settings).nats_per_symbol
        for number in steps
    ]


def values(learner: Learner) -> dict[str, torch.Tensor]:
    """Everything that a step changes, by name."""
    found = {name: p.detach() for name, p in learner.model.named_parameters()}
    for name, parameter in learner.model.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            found[f"{name}.{key}"] = learner.optimizer.state[parameter][key]
    found |= {
        f"state.{layer}.{part}": value.detach()
        for layer, parts in enumerate(learner.state)
        for part, value in enumerate(parts)
    }
    if learner.average is not None:
        found |= {f"average.{name}": value for name, value in learner.average.tensors.items()}
    return found


def assert_near(one: Learner, other: Learner, share: float = 1e-5) -> None:
    """Everything equal, within a share of each tensor's largest entry."""
    ours, theirs = values(one), values(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        scale = max(float(theirs[name].abs().max()), 1e-6)
        distance = float((value - theirs[name]).abs().max())
        assert distance <= share * scale, f"{name}: {distance:g} of {scale:g}"


def assert_equal(one: Learner, other: Learner) -> None:
    ours, theirs = values(one), values(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def going_on(learner: Learner, settings: TrainingConfiguration) -> Learner:
    """A new learner that goes on from what a learner's checkpoint holds."""
    other = make_learner(settings)
    other.restore(learner.tensors())
    return other


@every_network
@pytest.mark.parametrize("options", [
    {"weight_decay": 0.0},
    {"weight_decay": 0.3, "clip_norm": 0.02},
    {"averaging": 0.9},
], ids=["plain", "decay and clipping", "averaging"])  # fmt: skip
def test_several_steps_are_those_of_pytorch(
    network: dict[str, Any], options: dict[str, Any]
) -> None:
    learners = [make_learner(each(network, **options)) for each in (configuration, by_pytorch)]
    ours = learn(learners[0], configuration(network, **options), range(6))
    theirs = learn(learners[1], by_pytorch(network, **options), range(6))
    assert ours == pytest.approx(theirs, rel=1e-5)
    # Adam divides by gradients: where they are next to nothing, their rounding is magnified.
    for one, other in zip(
        learners[0].model.parameters(), learners[1].model.parameters(), strict=True
    ):
        assert float(((one - other).norm() / other.norm()).detach()) < 1e-4


def test_the_metrics_are_those_of_pytorch() -> None:
    ours, theirs = [
        take_step(make_learner(each()), batch(0, each()), 0.01, each())
        for each in (configuration, by_pytorch)
    ]
    assert ours.nats_per_symbol == pytest.approx(theirs.nats_per_symbol, rel=1e-6)
    assert ours.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-5)


def test_switched_off_the_kernels_take_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("ricorda.training.fused._kernels.Learner", refuse)
    with pytest.raises(AssertionError):
        learn(make_learner(configuration()), configuration(), range(1))
    learner = make_learner(by_pytorch())
    learn(learner, by_pytorch(), range(1))
    assert isinstance(learner.optimizer, torch.optim.AdamW)
    assert learner.fused is None


def test_the_option_of_a_run_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "text.txt"
    text.write_text("abcd efgh\n" * 60)
    taken: list[int] = []
    original = fused.FusedStep.take

    def take(self: fused.FusedStep, *arguments: Any) -> Any:
        taken.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(fused.FusedStep, "take", take)
    for kernels, steps in (("off", 0), ("auto", 4)):
        run = ricorda.train(
            text,
            quiet=True,
            out=tmp_path / kernels,
            steps=4,
            hidden_size=5,
            batch_size=2,
            window=8,
            kernels=kernels,
            device="cpu",
            precision="float32",
        )
        assert len(taken) == steps
        assert read_record(ricorda.runs.RunFolder(run.folder)).training.kernels == kernels


@pytest.mark.parametrize("change, applies", [
    ({}, True),
    ({"kernels": "off"}, False),
    ({"device": "cuda"}, False),
    ({"precision": "bfloat16"}, fused.learns_bfloat16()),
])  # fmt: skip
def test_where_they_apply(change: dict[str, Any], *, applies: bool) -> None:
    assert fused.applies_to(configuration(**change)) == applies


def test_without_the_kernels_pytorch_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_kernels", None)
    assert not fused.learns_bfloat16()
    assert isinstance(make_learner(configuration()).optimizer, torch.optim.AdamW)


@every_network
def test_the_moments_are_laid_out_as_adamws(network: dict[str, Any]) -> None:
    ours, theirs = [make_learner(each(network)) for each in (configuration, by_pytorch)]
    learn(ours, configuration(network), range(3))
    learn(theirs, by_pytorch(network), range(3))
    for one, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        mine, his = ours.optimizer.state[one], theirs.optimizer.state[other]
        assert mine.keys() == his.keys()
        for key, value in mine.items():
            assert value.shape == his[key].shape
            assert value.dtype == his[key].dtype
        assert float(mine["step"]) == float(his["step"]) == 3


DROPPING = {"dropout": 0.2, "input_dropout": 0.1, "recurrent_dropout": 0.3, "averaging": 0.9}


@every_network
@pytest.mark.parametrize("options", [{}, DROPPING], ids=["plain", "dropping"])
def test_a_checkpoint_between_changes_no_bit(
    network: dict[str, Any], options: dict[str, Any]
) -> None:
    if network.get("embedding_size") == "onehot":
        options = {name: value for name, value in options.items() if name != "input_dropout"}
    settings = configuration(network, **options)
    straight, stopped = make_learner(settings), make_learner(settings)
    learn(straight, settings, range(6))
    learn(stopped, settings, range(3))
    goes_on = going_on(stopped, settings)
    learn(goes_on, settings, range(3, 6))
    assert_equal(straight, goes_on)


@every_network
@pytest.mark.parametrize("first_by_kernels", [True, False])
def test_one_goes_on_where_the_other_stopped(
    network: dict[str, Any], *, first_by_kernels: bool
) -> None:
    options = {"averaging": 0.9, "weight_decay": 0.1}
    first, second = (configuration(network, **options), by_pytorch(network, **options))
    if not first_by_kernels:
        first, second = second, first
    straight, stopped = make_learner(first), make_learner(first)
    learn(straight, first, range(6))
    learn(stopped, first, range(3))
    goes_on = going_on(stopped, second)
    learn(goes_on, second, range(3, 6))
    assert isinstance(goes_on.optimizer, fused.Moments) != first_by_kernels
    assert_near(straight, goes_on, 1e-4)
    steps = [float(state["step"]) for state in goes_on.optimizer.state.values()]
    assert steps == [6.0] * len(steps)


def test_a_step_changes_tensors_in_their_place() -> None:
    settings = configuration(averaging=0.9)
    learner = make_learner(settings)
    learn(learner, settings, range(1))
    before = values(learner)
    places = {name: value.data_ptr() for name, value in before.items()}
    copies = {name: value.clone() for name, value in before.items()}
    learn(learner, settings, range(1, 2))
    after = values(learner)
    assert {name: value.data_ptr() for name, value in after.items()} == places
    assert not any(torch.equal(after[name], copy) for name, copy in copies.items())


def test_windows_may_change_their_size() -> None:
    settings, narrow = configuration(), configuration(window=4)
    ours, theirs = make_learner(settings), make_learner(by_pytorch())
    for number, each in enumerate((settings, narrow, settings)):
        window = batch(number, each)
        for learner, how in ((ours, settings), (theirs, by_pytorch())):
            take_step(learner, window, 0.01, how)
    assert_near(ours, theirs, 1e-4)


def test_a_batch_may_be_a_view() -> None:
    settings = configuration()
    ids = torch.randint(11, (3, 8), generator=torch.Generator().manual_seed(1))
    one, other = make_learner(settings), make_learner(settings)
    view = Batch(ids[:, :-1], ids[:, 1:], None)
    take_step(one, view, 0.01, settings)
    take_step(
        other, Batch(view.inputs.contiguous(), view.targets.contiguous(), None), 0.01, settings
    )
    assert_equal(one, other)


def test_numbers_gone_wrong_change_nothing() -> None:
    settings = configuration(averaging=0.9, dropout=0.2)
    learner, straight = make_learner(settings), make_learner(settings)
    for each in (learner, straight):
        learn(each, settings, range(2))
    with torch.no_grad():
        bias = learner.model.output.bias.clone()
        learner.model.output.bias[0] = torch.nan
    generator = learner.model.generator
    assert generator is not None
    random_state = generator.get_state()
    with pytest.raises(NonFiniteLoss, match="lower --learning-rate"):
        learn(learner, settings, range(2, 3))
    with torch.no_grad():
        learner.model.output.bias.copy_(bias)
    generator.set_state(random_state)
    assert_equal(learner, straight)
    for each in (learner, straight):
        learn(each, settings, range(2, 4))
    assert_equal(learner, straight)
    assert learner.average is not None
    assert learner.average.steps == 4


@pytest.mark.parametrize("option", ["dropout", "input_dropout", "recurrent_dropout"])
def test_dropout_follows_the_models_generator(option: str) -> None:
    losses = []
    for seed, share in ((1, 0.5), (1, 0.5), (2, 0.5), (1, 0.0)):
        changes: dict[str, Any] = {option: share}
        settings = configuration(**changes)
        learner = make_learner(settings)
        learner.model.generator = torch.Generator().manual_seed(seed)
        losses.append(learn(learner, settings, range(3)))
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert losses[0] != losses[3]
    assert len(set(losses[0])) == 3


@pytest.mark.skipif(not fused.learns_bfloat16(), reason="no AVX512_BF16")
def test_bfloat16_learns_what_float32_learns() -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        settings = configuration({"hidden_size": 24}, precision=precision)
        learner = make_learner(settings)
        window = batch(0, settings)
        losses[precision] = [
            take_step(learner, window, 0.02, settings).nats_per_symbol for _ in range(60)
        ]
        assert all(p.dtype == torch.float32 for p in learner.model.parameters())
    assert losses["float32"] != losses["bfloat16"]
    assert losses["bfloat16"][-1] < 0.5 * losses["bfloat16"][0]
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], atol=0.15)


class SecondOfTwo(ProcessGroup):
    """The second of two processes; the first one's gradients are nothing."""

    rank, size = 1, 2

    def exchange(self, count: int) -> Exchange:
        return Exchange(torch.zeros(count))


def test_a_process_counts_by_its_part_of_a_batch_that_does_not_divide() -> None:
    settings = configuration(batch_size=5, clip_norm=1e9)
    metrics = []
    for whole in (settings, replace(settings, batch_size=3)):
        model = make_learner(settings).model
        ranks = SecondOfTwo() if whole is settings else ProcessGroup()
        step = fused.FusedStep(model, fused.Moments(), None, whole, ranks)
        own = batch(1, replace(settings, batch_size=3))
        metrics.append(step.take(own, model.initial_state(3), 0.01))
    part, alone = metrics
    assert part.nats_per_symbol == pytest.approx(alone.nats_per_symbol * 3 / 5, rel=1e-5)
    assert part.gradient_norm == pytest.approx(alone.gradient_norm * 3 / 5, rel=1e-5)
