"""The stated errors of exp, tanh and sigmoid."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda import _kernels


@pytest.fixture(scope="module")
def arguments() -> NDArray[np.float32]:
    """Dense where the functions bend, all sizes down to the smallest, zero and the far ends."""
    tiny = np.logspace(-44, 1, 20_000)
    return np.concatenate(
        [
            np.linspace(-20, 20, 200_001),
            tiny,
            -tiny,
            np.linspace(-87, 87, 20_001),
            [0.0, -0.0, 1e30, -1e30],
        ]
    ).astype(np.float32)


def test_tanh(kernels: str, arguments: NDArray[np.float32]) -> None:
    expected = np.tanh(arguments.astype(np.float64))
    error = np.abs(_kernels.activation("tanh", arguments, kernels) - expected)
    assert error.max() < 4e-7
    ordinary = np.abs(expected) > 1e-37
    assert (error[ordinary] / np.abs(expected[ordinary])).max() < 5e-7


def test_sigmoid(kernels: str, arguments: NDArray[np.float32]) -> None:
    expected = 0.5 + 0.5 * np.tanh(0.5 * arguments.astype(np.float64))
    assert np.abs(_kernels.activation("sigmoid", arguments, kernels) - expected).max() < 3e-7


def test_exp(kernels: str, arguments: NDArray[np.float32]) -> None:
    inside = arguments[np.abs(arguments) <= 87]
    expected = np.exp(inside.astype(np.float64))
    error = np.abs(_kernels.activation("exp", inside, kernels) - expected) / expected
    assert error.max() < 3e-7


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid"])
def test_what_is_no_number_stays_none(kernels: str, name: str) -> None:
    values = np.full(5, np.nan, np.float32)
    assert np.isnan(_kernels.activation(name, values, kernels)).all()


def test_the_far_ends(kernels: str) -> None:
    ends = np.array([-np.inf, np.inf], np.float32)
    np.testing.assert_allclose(_kernels.activation("tanh", ends, kernels), [-1, 1], atol=4e-7)
    np.testing.assert_allclose(_kernels.activation("sigmoid", ends, kernels), [0, 1], atol=3e-7)
    low, high = _kernels.activation("exp", ends, kernels)
    assert 0 <= low < 2e-38
    assert high > 1e38


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="name must be one of exp, tanh, sigmoid, not 'relu'"):
        _kernels.activation("relu", np.zeros(1, np.float32))
