"""The kernels' learner: what a step changes, in which place, and alone or with others."""

from typing import Any

import numpy as np
import pytest

from ricorda.engine import ReferenceBackend
from ricorda.errors import NonFiniteLoss
from ricorda.training.kernel_learner import KernelLearner, learns_bfloat16
from ricorda.training.learner import Batch, Tensors
from ricorda.training.process_group import ProcessGroup, StepFlags
from tests.training.learners import (
    DROPPING,
    NETWORKS,
    assert_equal,
    assert_near,
    batch,
    learn,
    settings,
)
from tests.training.threads import in_threads

pytest.importorskip("ricorda._kernels")
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))


@every_network
@pytest.mark.parametrize("options", [{}, DROPPING], ids=["plain", "dropping"])
def test_a_checkpoint_in_between_changes_no_bit(
    network: dict[str, Any], options: dict[str, Any]
) -> None:
    configuration = settings(network, **options)
    whole, stopped, resumed = (KernelLearner(configuration) for _ in range(3))
    learn(whole, range(6))
    learn(stopped, range(3))
    resumed.restore(stopped.tensors())
    learn(resumed, range(3, 6))
    assert_equal(resumed.tensors(), whole.tensors())


def test_a_step_changes_arrays_in_their_place() -> None:
    learner = KernelLearner(settings(averaging=0.9))
    learn(learner, range(1))
    before = learner.arrays()
    copies = learner.tensors()
    learn(learner, range(1, 2))
    after = learner.arrays()
    for name, array in after.items():
        assert array is before[name]
        assert not np.array_equal(array, copies[name])


def test_windows_may_change_their_size() -> None:
    learner = KernelLearner(settings())
    narrow = settings(window=4)
    losses = [
        learner.take_step(batch(step, each), 0.01, step).nats_per_symbol
        for step, each in enumerate((settings(), narrow, settings()))
    ]
    other = KernelLearner(settings())
    expected = [
        other.take_step(batch(0, settings()), 0.01, 0).nats_per_symbol,
        float(_score(other, batch(1, narrow)).mean()),
    ]
    assert losses[:2] == pytest.approx(expected, rel=1e-5)
    assert losses[2] < 3


def _score(learner: KernelLearner, window: Batch) -> Any:
    """Score a window after the learner's own state, by the engine."""
    arrays = learner.arrays()
    state = np.stack([[arrays["state.0.0"]], [arrays["state.0.1"]]])
    return learner.score(window.inputs, window.targets, state)[0]


def test_a_batch_may_be_a_view() -> None:
    ids = np.random.default_rng(1).integers(11, size=(3, 8), dtype=np.uint32)
    one, other = KernelLearner(settings()), KernelLearner(settings())
    one.take_step(Batch(ids[:, :-1], ids[:, 1:], None), 0.01, 0)
    other.take_step(Batch(ids[:, :-1].copy(), ids[:, 1:].copy(), None), 0.01, 0)
    assert_equal(one.tensors(), other.tensors())


def test_scores_take_labels_and_begin_anew_at_boundaries() -> None:
    learner = KernelLearner(settings({"documents": True, "num_labels": 4}))
    learn(learner, range(3))  # labels begin alike
    random = np.random.default_rng(1)
    ids = random.integers(11, size=(2, 201), dtype=np.uint32)
    ids[1], ids[:, 100] = ids[0], 10
    ids[1, :100] = 3
    labels = np.tile(np.arange(201, dtype=np.uint32) % 4, (2, 1))
    nats, _ = learner.score(ids[:, :-1], ids[:, 1:], labels=labels[:, :-1])
    np.testing.assert_array_equal(nats[0, 100:], nats[1, 100:])
    assert not np.array_equal(nats[0, :99], nats[1, :99])
    reference = ReferenceBackend(learner.configuration.model, learner.weights())
    expected, _ = reference.score(
        ids[:, :-1], ids[:, 1:], reference.zero_state(2), labels=labels[:, :-1]
    )
    np.testing.assert_allclose(nats, expected.nats, rtol=1e-4, atol=1e-5)


def test_labels_are_learned_apart() -> None:
    """The label alone says which symbol follows."""
    configuration = settings({"num_labels": 3}, learning_rate=0.05)
    learner, random = KernelLearner(configuration), np.random.default_rng(1)
    nats = 0.0
    for step in range(150):
        labels = random.integers(3, size=(3, 7), dtype=np.uint32)
        inputs = random.integers(11, size=(3, 7), dtype=np.uint32)
        nats = learner.take_step(Batch(inputs, labels, None, labels=labels), 0.05, step)[0]
    assert nats < 0.1


def test_numbers_that_are_not_finite_change_nothing() -> None:
    configuration = settings(averaging=0.9, dropout=0.2)
    learner, straight = KernelLearner(configuration), KernelLearner(configuration)
    for each in (learner, straight):
        learn(each, range(2))
    bias = learner.weights()["output.bias"]
    before = bias[0]
    bias[0] = np.nan
    with pytest.raises(NonFiniteLoss, match="lower --learning-rate"):
        learn(learner, range(2, 3))
    bias[0] = before
    assert_equal(learner.tensors(), straight.tensors())
    for each in (learner, straight):
        learn(each, range(2, 4))
    assert_equal(learner.tensors(), straight.tensors())
    assert learner.tensors()["average.steps"] == 4


@pytest.mark.parametrize("option", ["dropout", "input_dropout", "recurrent_dropout"])
def test_dropout_follows_the_seed_and_the_step(option: str) -> None:
    weights = KernelLearner(settings()).tensors()
    losses = []
    for seed, share in ((1, 0.5), (1, 0.5), (2, 0.5), (1, 0.0)):
        changes: dict[str, Any] = {option: share, "seed": seed}
        learner = KernelLearner(settings(**changes))
        learner.restore(weights)
        window = batch(0, learner.configuration)
        losses.append([learner.take_step(window, 0.0, step).nats_per_symbol for step in range(3)])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert losses[0] != losses[3]
    assert len(set(losses[0])) == 3


@pytest.mark.skipif(not learns_bfloat16(), reason="no AVX512_BF16")
def test_bfloat16_learns_what_float32_learns() -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        learner = KernelLearner(settings({"hidden_size": 24}, precision=precision))
        window = batch(0, learner.configuration)
        losses[precision] = [
            learner.take_step(window, 0.02, step).nats_per_symbol for step in range(60)
        ]
        assert all(array.dtype == np.float32 for array in learner.weights().values())
    assert losses["float32"] != losses["bfloat16"]
    assert losses["bfloat16"][-1] < 0.5 * losses["bfloat16"][0]
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], atol=0.15)


@pytest.mark.parametrize("decay", [0.15, 0.5, 0.99])
def test_weights_are_averaged_over_the_steps(decay: float) -> None:
    learner = KernelLearner(settings(averaging=decay))
    expected = {name: array.astype(float) for name, array in learner.weights().items()}
    for step in range(1, 31):
        learn(learner, range(step, step + 1))
        kept = min(decay, (1 + step) / (10 + step))
        for name, array in learner.weights().items():
            expected[name] = kept * expected[name] + (1 - kept) * array
    averaged = learner.weights(averaged=True)
    assert averaged.keys() == expected.keys()
    for name, array in averaged.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-5)


class SecondOfTwo(ProcessGroup):
    """The second of two processes; the first one's gradients and weights are zero."""

    rank, size = 1, 2

    @property
    def is_first(self) -> bool:
        return True  # so that it keeps its weights


def test_a_process_counts_by_its_part_of_a_batch_that_does_not_divide() -> None:
    configuration = settings(batch_size=5, clip_norm=1e9)
    part, alone = (
        KernelLearner(configuration, SecondOfTwo()),
        KernelLearner(settings(clip_norm=1e9)),
    )
    assert part.share.count == 3
    window = batch(1, settings())
    ours, whole = (learner.take_step(window, 0.01, 0) for learner in (part, alone))
    assert ours.nats_per_symbol == pytest.approx(whole.nats_per_symbol * 3 / 5, rel=1e-5)
    assert ours.gradient_norm == pytest.approx(whole.gradient_norm * 3 / 5, rel=1e-5)


@every_network
@pytest.mark.parametrize("processes, batch_size", [(2, 4), (3, 5)])
@pytest.mark.parametrize("options", [{}, DROPPING], ids=["plain", "dropping"])
def test_processes_learn_what_one_learns(
    network: dict[str, Any], options: dict[str, Any], processes: int, batch_size: int
) -> None:
    configuration = settings(network, batch_size=batch_size, **options)

    def work(group: ProcessGroup) -> tuple[list[float], Tensors, StepFlags]:
        learner = KernelLearner(configuration, group)
        group.set_flags(StepFlags(spent=group.is_first, signal_number=None))
        losses = learn(learner, range(4))
        return losses, learner.tensors(), group.flags(StepFlags)

    alone = KernelLearner(configuration)
    losses = learn(alone, range(4))
    found = in_threads(processes, work)
    for ours, tensors, flags in found:
        assert ours == pytest.approx(losses, rel=1e-5)
        assert_equal(tensors, found[0][1])
        assert flags.spent
    tensors, expected = found[0][1], alone.tensors()
    states = [name for name in expected if name.startswith("state.")]
    assert_near(
        {name: tensors[name] for name in states}, {name: expected[name] for name in states}, 1e-3
    )
    for name, array in alone.weights().items():
        distance = np.linalg.norm(tensors[f"model.{name}"] - array)
        assert distance <= 1e-3 * np.linalg.norm(array) + 1e-6, name


def test_a_checkpoint_is_resumed_by_another_number_of_processes() -> None:
    configuration = settings(batch_size=4, averaging=0.9, dropout=0.2)
    whole, stopped = KernelLearner(configuration), KernelLearner(configuration)
    learn(whole, range(6))
    learn(stopped, range(3))
    tensors = stopped.tensors()

    def work(group: ProcessGroup) -> Tensors:
        learner = KernelLearner(configuration, group)
        learner.restore(tensors)
        assert_equal(learner.tensors(), tensors)
        learn(learner, range(3, 6))
        return learner.tensors()

    found = in_threads(2, work)
    assert_equal(found[0], found[1])
    assert_near(found[0], whole.tensors(), 1e-3)


def test_all_processes_have_the_weights_of_the_first() -> None:
    def work(group: ProcessGroup) -> Tensors:
        seed = 1 if group.is_first else 2  # as if the processors rounded differently
        return KernelLearner(settings(batch_size=4, seed=seed), group).tensors()

    first, second = in_threads(2, work)
    assert_equal(first, second)
    assert_equal(first, KernelLearner(settings(batch_size=4, seed=1)).tensors())


def test_released_it_keeps_the_weights() -> None:
    learner = KernelLearner(settings(averaging=0.9))
    learn(learner, range(2))
    before = {name: array.copy() for name, array in learner.weights().items()}
    learner.release()
    assert_equal(learner.weights(), before)
