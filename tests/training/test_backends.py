"""Both learners give the same losses, and each continues the other's run."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ricorda.errors import NonFiniteLoss
from ricorda.training.learner import Batch, Learner, make_learner
from tests.training.learners import (
    DROPPING,
    NETWORKS,
    assert_equal,
    assert_near,
    batch,
    labels_of,
    learn,
    settings,
)

pytest.importorskip("torch")
pytest.importorskip("ricorda._kernels")
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
every_backend = pytest.mark.parametrize("backend", ["kernels", "torch"])

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"weight_decay": 0.0},
    "decay and clipping": {"weight_decay": 0.3, "clip_norm": 0.02},
    "averaging": {"averaging": 0.9},
    "sampled": {"softmax_candidates": 5},
    "dropping": DROPPING,
}


def both(network: dict[str, Any] | None = None, **options: Any) -> Iterator[Learner]:
    """Make a learner of each backend, the kernels' first."""
    for backend in ("kernels", "torch"):
        yield make_learner(settings(network, backend=backend, **options))


@every_network
@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_several_steps_are_the_same(network: dict[str, Any], options: dict[str, Any]) -> None:
    ours, theirs = both(network, **options)
    assert learn(ours, range(6)) == pytest.approx(learn(theirs, range(6)), rel=1e-5)
    # Adam divides by gradients: where they are next to nothing, their rounding is magnified.
    for averaged in (False, True)[: 1 + ours.has_average]:
        others = theirs.weights(averaged=averaged)
        for name, array in ours.weights(averaged=averaged).items():
            distance = np.linalg.norm(array - others[name])
            assert distance < 1e-4 * np.linalg.norm(others[name]) + 1e-7, name


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
@pytest.mark.parametrize("embedding_size", [4, "onehot"])
def test_documents_and_labels_are_the_same_in_every_cell(cell: str, embedding_size: Any) -> None:
    network = {"cell": cell, "embedding_size": embedding_size, "num_layers": 2, "documents": True}
    ours, theirs = both({**network, "num_labels": 4}, window=40)
    before = ours.weights()["labels.weight"].copy()
    assert learn(ours, range(6)) == pytest.approx(learn(theirs, range(6)), rel=1e-5)
    assert_near(ours.weights(), theirs.weights(), 1e-3)
    change = ours.weights()["labels.weight"] - before
    assert change.any(axis=1).all()


def test_the_metrics_are_the_same() -> None:
    ours, theirs = (each.take_step(batch(0, settings()), 0.01, 0) for each in both())
    assert ours.nats_per_symbol == pytest.approx(theirs.nats_per_symbol, rel=1e-6)
    assert ours.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-5)


@every_network
@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_checkpoints_have_the_same_layout(network: dict[str, Any], averaging: float) -> None:
    for steps in (0, 3):
        ours, theirs = both(network, averaging=averaging)
        learn(ours, range(steps))
        learn(theirs, range(steps))
        one, other = ours.tensors(), theirs.tensors()
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert (array.shape, array.dtype) == (other[name].shape, other[name].dtype), name


@every_network
@pytest.mark.parametrize("first_by_kernels", [True, False])
@pytest.mark.parametrize("options", [{"averaging": 0.9, "weight_decay": 0.1}, DROPPING])
def test_one_continues_where_the_other_stopped(
    network: dict[str, Any], options: dict[str, Any], *, first_by_kernels: bool
) -> None:
    whole, _ = both(network, **options)
    learn(whole, range(6))
    stopped, resumed = both(network, **options)
    if not first_by_kernels:
        stopped, resumed = resumed, stopped
    learn(stopped, range(3))
    tensors = stopped.tensors()
    resumed.restore(tensors)
    assert_equal(resumed.tensors(), tensors)
    learn(resumed, range(3, 6))
    assert_near(resumed.tensors(), whole.tensors(), 1e-3)


@every_backend
@every_network
def test_a_checkpoint_in_between_changes_no_bit(network: dict[str, Any], backend: str) -> None:
    configuration = settings(network, backend=backend, **DROPPING)
    whole, stopped, resumed = (make_learner(configuration) for _ in range(3))
    learn(whole, range(6))
    learn(stopped, range(3))
    resumed.restore(stopped.tensors())
    learn(resumed, range(3, 6))
    assert_equal(resumed.tensors(), whole.tensors())


@every_backend
def test_the_state_is_carried_into_the_step(backend: str) -> None:
    learner = make_learner(settings(backend=backend))
    window = batch(0, learner.configuration)
    first = learner.take_step(window, 0.0, 0).nats_per_symbol
    second = learner.take_step(window, 0.0, 1).nats_per_symbol
    again = learner.take_step(window._replace(restart=np.ones(3, np.float32)), 0.0, 2)
    assert second != pytest.approx(first, rel=1e-6)
    assert again.nats_per_symbol == pytest.approx(first, rel=1e-6)


@every_backend
def test_numbers_that_are_not_finite_change_nothing(backend: str) -> None:
    learner = make_learner(settings(averaging=0.9, backend=backend))
    learn(learner, range(2))
    broken = learner.tensors()
    broken["model.output.bias"][0] = np.nan
    learner.restore(broken)
    with pytest.raises(NonFiniteLoss, match="lower --learning-rate"):
        learn(learner, range(2, 3))
    assert_equal(learner.tensors(), broken)


@every_backend
def test_the_moments_forget_by_the_betas(backend: str) -> None:
    learner = make_learner(settings(clip_norm=1e9, backend=backend))
    window = batch(0, learner.configuration)
    learner.take_step(window, 0.0, 0)
    once = learner.tensors()
    learner.take_step(window._replace(restart=np.ones(3, np.float32)), 0.0, 1)
    twice = learner.tensors()
    for name in learner.weights():  # the same gradient twice
        mean, square = (f"optimizer.{name}.{kind}" for kind in ("exp_avg", "exp_avg_sq"))
        gradient = once[mean] / 0.1
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(once[square], 0.01 * gradient**2, atol=1e-5 * scale**2)
        np.testing.assert_allclose(twice[mean], 0.19 * gradient, atol=1e-5 * scale)
        np.testing.assert_allclose(twice[square], 0.0199 * gradient**2, atol=1e-5 * scale**2)


@every_backend
def test_a_long_gradient_is_shortened(backend: str) -> None:
    learner = make_learner(settings(clip_norm=1e-3, backend=backend))
    assert learner.take_step(batch(0, learner.configuration), 0.0, 0).gradient_norm > 1e-2
    tensors = learner.tensors()
    means = [tensors[name] for name in tensors if name.endswith("exp_avg")]
    norm = sum(float((mean**2).sum()) for mean in means) ** 0.5 / 0.1
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_windows_may_change_their_size() -> None:
    ours, theirs = both()
    for step, window in enumerate((7, 4, 7)):
        each = batch(step, settings(window=window))
        assert ours.take_step(each, 0.01, step).nats_per_symbol == pytest.approx(
            theirs.take_step(each, 0.01, step).nats_per_symbol, rel=1e-5
        )


@every_network
def test_scores_are_the_same(network: dict[str, Any]) -> None:
    ours, theirs = both(network)
    random = np.random.default_rng(3)
    vocabulary_size = ours.configuration.model.vocabulary_size
    symbols = random.integers(vocabulary_size, size=(4, 151), dtype=np.uint32)
    inputs, targets = symbols[:, :-1], symbols[:, 1:]
    learn(ours, range(2))  # after which the labels' rows differ
    theirs.restore(ours.tensors())
    labels = labels_of(inputs, ours.configuration)
    expected, _ = theirs.score(inputs, targets, labels=labels)
    nats, _ = ours.score(inputs, targets, labels=labels)
    np.testing.assert_allclose(nats, expected, rtol=1e-4, atol=1e-5)
    one, other = (None, None) if labels is None else (labels[:, :70], labels[:, 70:])
    for learner in (ours, theirs):
        first, state = learner.score(inputs[:, :70], targets[:, :70], labels=one)
        second, _ = learner.score(inputs[:, 70:], targets[:, 70:], state, labels=other)
        np.testing.assert_allclose(np.hstack([first, second]), expected, rtol=1e-4, atol=1e-5)


@every_backend
def test_bfloat16_stays_near_float32(backend: str) -> None:
    from ricorda.training.kernel_learner import learns_bfloat16

    if backend == "kernels" and not learns_bfloat16():
        pytest.skip("no AVX512_BF16")
    losses = []
    for precision in ("float32", "bfloat16"):
        learner = make_learner(settings({"cell": "gru"}, precision=precision, backend=backend))
        losses.append(learn(learner, range(1))[0])
        assert all(array.dtype == np.float32 for array in learner.weights().values())
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@every_backend
def test_a_batch_of_one_symbol(backend: str) -> None:
    learner = make_learner(settings(batch_size=1, window=1, backend=backend))
    ids = np.array([[3]], np.uint32)
    assert learner.take_step(Batch(ids, ids, None), 0.01, 0).nats_per_symbol > 0
