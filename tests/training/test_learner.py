"""The interface of learners: what a checkpoint holds, and which tensors are refused."""

from collections.abc import Callable

import numpy as np
import pytest

from ricorda.training.kernel_learner import KernelLearner
from ricorda.training.learner import Tensors, UnfitTensors, average_share, decays, make_learner
from ricorda.training.process_group import ProcessGroup
from tests.training.learners import assert_equal, learn, settings
from tests.training.threads import in_threads

AVERAGED = settings(averaging=0.9)


def changed(**changes: object) -> Tensors:
    """Return a learner's tensors, some replaced, or left out for None."""
    tensors = KernelLearner(AVERAGED).tensors()
    for name, array in changes.items():
        if array is None:
            del tensors[name]
        else:
            tensors[name] = np.asarray(array)
    return tensors


UNFIT: dict[str, tuple[Callable[[], Tensors], str]] = {
    "a weight is missing": (
        lambda: changed(**{"model.output.bias": None}),
        "'model.output.bias' is missing",
    ),
    "a moment is missing": (
        lambda: changed(**{"optimizer.output.bias.exp_avg": None}),
        "'optimizer.output.bias.exp_avg' is missing",
    ),
    "one too many": (
        lambda: changed(**{"model.other": np.zeros(3)}),
        "'model.other' does not belong",
    ),
    "another shape": (
        lambda: changed(**{"model.output.bias": np.zeros(12, np.float32)}),
        r"should be \(11,\) of float32, is \(12,\)",
    ),
    "another type": (
        lambda: changed(**{"model.output.bias": np.zeros(11, np.float64)}),
        "is .* of float64",
    ),
    "another number of streams": (
        lambda: changed(**{"state.0.1": np.zeros((4, 6), np.float32)}),
        r"should be \(3, 6\)",
    ),
    "a state of integers": (
        lambda: changed(**{"state.0.1": np.zeros((3, 6), np.int32)}),
        "of int32",
    ),
    "no average": (
        lambda: KernelLearner(settings()).tensors(),
        "'average.embedding.weight' is missing",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_tensors_that_do_not_fit_change_nothing(kind: str) -> None:
    make, message = UNFIT[kind]
    learner = KernelLearner(AVERAGED)
    learn(learner, range(1))
    before = learner.tensors()
    with pytest.raises(UnfitTensors, match=message):
        learner.restore(make())
    assert_equal(learner.tensors(), before)


def test_a_checkpoint_before_the_first_step_may_lack_the_moments() -> None:
    learner = KernelLearner(AVERAGED)
    first = learner.tensors()
    learn(learner, range(2))
    learner.restore({name: a for name, a in first.items() if not name.startswith("optimizer.")})
    assert_equal(learner.tensors(), first)


def test_an_old_generator_is_ignored_and_a_state_of_another_type_is_read() -> None:
    learner, other = KernelLearner(AVERAGED), KernelLearner(AVERAGED)
    learn(learner, range(2))
    tensors = learner.tensors()
    tensors["model-generator"] = np.zeros(16, np.uint8)
    halves = {
        name: array.astype(np.float16) if name.startswith("state.") else array
        for name, array in tensors.items()
    }
    other.restore(halves)
    restored = other.tensors()
    assert restored["state.0.0"].dtype == np.float32
    np.testing.assert_array_equal(restored["state.0.0"], halves["state.0.0"])


def test_tensors_are_a_copy() -> None:
    learner = KernelLearner(AVERAGED)
    tensors = learner.tensors()
    before = {name: array.copy() for name, array in tensors.items()}
    learn(learner, range(1))
    assert_equal(tensors, before)


def test_a_number_that_is_not_finite_is_seen_by_all_processes() -> None:
    def work(group: ProcessGroup) -> tuple[bool, bool]:
        learner = KernelLearner(AVERAGED, group)
        before = learner.is_finite
        if not group.is_first:
            learner.arrays()["optimizer.output.bias.exp_avg"][0] = np.inf
        return before, learner.is_finite

    assert in_threads(2, work) == [(True, False), (True, False)]


def test_the_backend_decides_who_learns() -> None:
    assert isinstance(make_learner(settings()), KernelLearner)


def test_weight_decay_is_for_matrices_of_layers() -> None:
    shapes = settings().model.tensor_shapes()
    decaying = {name for name, shape in shapes.items() if decays(name, len(shape))}
    assert decaying == {"layers.0.weight_ih", "layers.0.weight_hh", "output.weight"}


@pytest.mark.parametrize("decay, steps, share", [(0.9, 0, 9 / 11), (0.9, 10**6, 0.1), (0.0, 5, 1)])
def test_the_average_forgets_the_first_steps_soon(decay: float, steps: int, share: float) -> None:
    assert average_share(decay, steps) == pytest.approx(share)
