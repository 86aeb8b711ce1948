"""The loss, every gradient and the state after a window, against PyTorch in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda import _kernels
from tests.kernels.learning.conftest import EVERY_SET

MakeCase = Callable[..., Any]
Gradients = dict[str, NDArray[Any]]
BFLOAT16_ROUNDING = 2.0**-8  # the largest relative error of rounding to 8 significant bits

every_cell = pytest.mark.parametrize(
    "cell",
    [
        {"cell": "rnn"},
        {"cell": "rnn", "nonlinearity": "relu"},
        {"cell": "gru"},
        {"cell": "lstm"},
        {"cell": "cifg"},
        {"cell": "mingru"},
        {"cell": "minlstm"},
    ],
    ids=["rnn", "relu", "gru", "lstm", "cifg", "mingru", "minlstm"],
)
needs_bfloat16 = pytest.mark.skipif(
    not _kernels.learns_bfloat16(), reason="this processor does not multiply bfloat16"
)


def assert_near(gradients: Gradients, expected: Gradients, share: float = 1e-5) -> None:
    """Each gradient is what is expected, within a share of its largest entry.

    One of a few numbers may be next to nothing because larger ones cancel: a tenth of the largest
    entry of all is what counts then.
    """
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        scale = max(np.abs(expected[name]).max(), 0.1 * largest)
        error = np.abs(gradient - expected[name]).max()
        assert error <= share * scale + 1e-12, f"{name}: {error:g} of {scale:g}"


def check(case: Any, *variants: dict[str, Any], share: float = 1e-5) -> None:
    """Take one step whose update is all but none, and compare what it computed.

    variants: options of the learner; the same is expected with each.
    """
    nats, gradients, state = case.expected()
    squares = sum(float((gradient**2).sum()) for gradient in gradients.values())
    for options in variants or ({},):
        learner = case.learner(**options)
        actual, norm = learner.step(learning_rate=0.0)
        assert actual == pytest.approx(nats, rel=2e-6, abs=1e-6), options
        assert norm == pytest.approx(squares**0.5, rel=share), options
        assert_near(learner.gradients(), gradients, share)
        for part, expected in zip(learner.state, state, strict=True):
            np.testing.assert_allclose(part, expected, rtol=2e-6, atol=5e-6, err_msg=str(options))


@every_cell
@pytest.mark.parametrize("embedding", ["onehot", 1, 5])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_any_shape(
    make_smooth: MakeCase, cell: dict[str, str], embedding: Any, layers: int
) -> None:
    for hidden, streams, steps in [(1, 1, 1), (5, 3, 9), (33, 2, 20)]:
        shape = {"hidden_size": hidden, "streams": streams, "steps": steps}
        case = make_smooth(**cell, embedding_size=embedding, num_layers=layers, **shape)
        check(case, *EVERY_SET)


@every_cell
def test_a_vocabulary_larger_than_the_window(make_smooth: MakeCase, cell: dict[str, str]) -> None:
    for layers in (1, 2):
        case = make_smooth(
            **cell, vocabulary_size=100, embedding_size=5, num_layers=layers, steps=13, streams=2
        )
        check(case, *EVERY_SET)


@every_cell
def test_whole_vectors(make_smooth: MakeCase, cell: dict[str, str]) -> None:
    case = make_smooth(**cell, hidden_size=128, embedding_size=32, vocabulary_size=65, steps=12)
    check(case, *EVERY_SET)


@every_cell
def test_a_large_one_on_every_core(make_case: MakeCase, cell: dict[str, str]) -> None:
    size = {"hidden_size": 256, "embedding_size": 48, "vocabulary_size": 80, "num_layers": 2}
    case = make_case(**cell, **size, streams=32, steps=24)
    if "nonlinearity" in cell:  # among 400,000 one would be near enough for rounding to cross it
        case.stay_off_the_kinks()
    check(case, {"threads": 2})


def test_more_symbols_than_are_summed_together(make_case: MakeCase) -> None:
    check(make_case(streams=3, steps=301, embedding_size="onehot"))  # not a divisor of 512
    check(make_case(streams=600, steps=2))
    check(make_case(streams=1, steps=1030, vocabulary_size=2000, cell="gru"))


@every_cell
@pytest.mark.parametrize("streams", [1, 2, 5])
def test_groups_of_unequal_size(make_case: MakeCase, cell: dict[str, str], streams: int) -> None:
    case = make_case(
        **cell, streams=streams, steps=-(-160 // streams), hidden_size=72, vocabulary_size=65
    )
    if "nonlinearity" in cell:  # one of 11,520 was near enough, once
        case.stay_off_the_kinks()
    check(case, *({"threads": threads} for threads in (1, 2, 3)))


def test_many_symbols_and_nothing_else(make_case: MakeCase) -> None:
    for embedding in ("onehot", 1):
        check(
            make_case(
                vocabulary_size=50_000,
                hidden_size=1,
                embedding_size=embedding,
                streams=1,
                steps=1,
            ),
            share=1e-4,  # the one unit's gradient is a sum of 50,000 terms that cancel
        )


def test_one_symbol(make_case: MakeCase, kernels: str) -> None:
    learner = make_case(vocabulary_size=1, embedding_size="onehot").learner(kernels=kernels)
    nats, norm = learner.step()
    assert abs(nats) < 1e-6
    assert norm < 1e-6


def test_no_gradient_without_an_error(make_case: MakeCase, kernels: str) -> None:
    """Where a symbol is predicted with certainty, nothing is left to learn."""
    case = make_case(vocabulary_size=3)
    case.weights["output.bias"][:] = [80, 0, 0]
    case.targets[:] = 0
    nats, norm = case.learner(kernels=kernels).step()
    assert abs(nats) < 1e-6
    assert norm < 1e-6


def relative(gradients: Gradients, expected: Gradients) -> dict[str, float]:
    """The distance of each gradient, in Euclid's norm, as a share of its length."""
    return {
        name: float(np.linalg.norm(gradient - expected[name]) / np.linalg.norm(expected[name]))
        for name, gradient in gradients.items()
    }


@needs_bfloat16
@every_cell
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("hidden, streams, steps", [(6, 3, 7), (33, 2, 20), (128, 16, 32)])
def test_bfloat16_is_float32_but_for_the_rounding_of_factors(
    make_case: MakeCase, cell: dict[str, str], layers: int, hidden: int, streams: int, steps: int
) -> None:
    """Both factors of a product are rounded, sums and states are not.

    On its way to a gradient a number goes through each layer's products with the input and the
    recurrent weights, forwards and backwards, through those of the output layer, and through the
    sum that is the gradient: 4 layers + 3 products of two rounded factors. Were every rounding at
    its worst, and all of the same sign, the error would be that many times twice the rounding. They
    are neither, and recurrent weights of this size shrink an error from step to step more than a
    step adds to it. Rectified units stay off their kinks, where one precision might have them on
    and the other off.
    """
    shape = {"num_layers": layers, "hidden_size": hidden, "streams": streams, "steps": steps}
    case = make_case(**cell, **shape, vocabulary_size=65)
    if case.configuration.nonlinearity == "relu":
        case.stay_off_the_kinks()
    learners = [case.learner(precision=precision) for precision in ("float32", "bfloat16")]
    nats = [learner.step(learning_rate=0.0)[0] for learner in learners]
    assert 0 < abs(nats[1] - nats[0]) < BFLOAT16_ROUNDING * nats[0]
    distances = relative(learners[1].gradients(), learners[0].gradients())
    bound = (4 * layers + 3) * 2 * BFLOAT16_ROUNDING
    print({name: round(d / bound, 3) for name, d in distances.items()})
    assert all(0 < distance < bound for distance in distances.values()), distances
    for one, other in zip(learners[1].state, learners[0].state, strict=True):
        np.testing.assert_allclose(one, other, atol=(layers + 1) * 4 * BFLOAT16_ROUNDING)
