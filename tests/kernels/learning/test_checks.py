"""Whatever is passed to what learns, a wrong shape, type, id or setting is an exception."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ricorda import _kernels

MakeCase = Callable[..., Any]
NETWORK: dict[str, Any] = {
    "cell": "lstm",
    "nonlinearity": "tanh",
    "vocabulary_size": 5,
    "hidden_size": 6,
    "num_layers": 1,
    "embedding_size": 4,
    "streams": 2,
    "steps": 3,
}
SIZES = [(5, 4), (24, 4), (24, 6), (24,), (24,), (5, 6), (5,)]
IDS = np.zeros((2, 3), np.uint32)
PART = np.zeros((2, 6), np.float32)


def parameters(*, dtype: Any = np.float32, average: bool = True) -> list[Any]:
    def array(size: tuple[int, ...]) -> Any:
        return np.zeros(size, dtype)

    return [(*(array(size) for _ in range(3)), array(size) if average else None) for size in SIZES]


def make(**changes: Any) -> _kernels.Learner:
    return _kernels.Learner(**({"parameters": parameters()} | NETWORK | changes))


@pytest.mark.parametrize("change", [
    {"cell": "transformer"},
    {"nonlinearity": "sine"},
    {"vocabulary_size": 0},
    {"vocabulary_size": -1},
    {"vocabulary_size": 6},
    {"hidden_size": 0},
    {"hidden_size": 2**31 - 1},
    {"num_layers": 0},
    {"num_layers": 2},
    {"embedding_size": -1},
    {"embedding_size": 0},
    {"streams": 0},
    {"steps": 0},
    {"streams": 2**31 - 1, "steps": 2**31 - 1},
    {"threads": 0},
    {"precision": "float16"},
    {"precision": "int8"},
    {"kernels": "abacus"},
    {"dropout": 1.0},
    {"dropout": -0.1},
    {"dropout": float("nan")},
    {"input_dropout": 1.5},
    {"recurrent_dropout": 1.0},
    {"weight_decay": -1.0},
    {"weight_decay": float("inf")},
    {"clip_norm": 0.0},
    {"clip_norm": float("nan")},
    {"first_beta": 1.0},
    {"second_beta": -0.5},
    {"epsilon": -1.0},
    {"parameters": []},
    {"parameters": parameters()[:-1]},
    {"parameters": [*parameters()[:-1], parameters()[0]]},
])  # fmt: skip
def test_values(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make(**change)


READ_ONLY = parameters()
READ_ONLY[2][0].flags.writeable = False


@pytest.mark.parametrize("change", [
    {"hidden_size": 2**31},
    {"hidden_size": 6.5},
    {"cell": None},
    {"parameters": parameters(dtype=np.float64)},
    {"parameters": [tuple(array[::2] for array in each) for each in parameters()]},
    {"parameters": READ_ONLY},
    {"parameters": None},
    {"parameters": [each[:3] for each in parameters()]},
    {"unknown": 1},
])  # fmt: skip
def test_types(change: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        make(**change)


def test_recurrent_weights_that_are_not_there_cannot_be_dropped() -> None:
    with pytest.raises(ValueError, match="must be 0 for a cell without recurrent weights"):
        make(cell="mingru", recurrent_dropout=0.1)


def test_bfloat16_where_it_is_not_had(kernels: str) -> None:
    if _kernels.learns_bfloat16(kernels):
        make(precision="bfloat16", kernels=kernels)
        return
    assert not _kernels.prefers_bfloat16(kernels)
    with pytest.raises(ValueError, match="AVX512_BF16"):
        make(precision="bfloat16", kernels=kernels)


@pytest.mark.parametrize("change, error", [
    ({"inputs": IDS + np.uint32(5)}, IndexError),
    ({"inputs": IDS - np.uint32(1)}, IndexError),
    ({"targets": IDS + np.uint32(2**31)}, IndexError),
    ({"inputs": IDS.astype(np.int32)}, TypeError),
    ({"inputs": IDS.astype(np.int64)}, TypeError),
    ({"inputs": IDS.astype(np.float32)}, TypeError),
    ({"inputs": np.zeros((2, 6), np.uint32)[:, ::2]}, TypeError),
    ({"inputs": IDS[0]}, TypeError),
    ({"inputs": IDS[:1]}, ValueError),
    ({"targets": np.zeros((3, 2), np.uint32)}, ValueError),
    ({"state": [PART]}, ValueError),
    ({"state": [PART, PART, PART]}, ValueError),
    ({"state": [PART, PART[:1]]}, ValueError),
    ({"state": [PART, PART.ravel()]}, ValueError),
    ({"state": [PART, PART.astype(np.float64)]}, TypeError),
    ({"state": [PART, np.zeros((2, 12), np.float32)[:, ::2]]}, TypeError),
    ({"state": PART[0, 0]}, TypeError),
    ({"restart": np.zeros(3, np.float32)}, ValueError),
    ({"restart": np.zeros(2, np.float64)}, TypeError),
    ({"number": 0}, ValueError),
    ({"number": -5}, ValueError),
    ({"number": 2**63}, TypeError),
    ({"learning_rate": float("nan")}, ValueError),
    ({"learning_rate": "fast"}, TypeError),
    ({"average_share": 1.5}, ValueError),
    ({"average_share": float("nan")}, ValueError),
    ({"key": -1}, TypeError),
    ({"key": 2**64}, TypeError),
])  # fmt: skip
def test_steps(change: dict[str, Any], error: type[Exception]) -> None:
    learner = make()
    good: dict[str, Any] = {
        "inputs": IDS,
        "targets": IDS,
        "state": [PART.copy(), PART.copy()],
        "learning_rate": 0.01,
        "number": 1,
    }
    with pytest.raises(error):
        learner.step(**(good | change))
    learner.step(**good)


@pytest.mark.parametrize("number, size, error", [
    (-1, (5, 4), ValueError),
    (7, (5, 4), ValueError),
    (0, (5, 5), ValueError),
    (0, None, TypeError),
])  # fmt: skip
def test_copied_gradients(
    number: int, size: tuple[int, ...] | None, error: type[Exception]
) -> None:
    array: Any = None if size is None else np.zeros(size, np.float32)
    with pytest.raises(error):
        make().copy_gradient(number, array)


def test_the_arrays_stay_alive_with_the_learner() -> None:
    learner = make()  # nobody else holds its parameters
    state = [PART.copy(), PART.copy()]
    for number in range(1, 4):
        nats, _ = learner.step(IDS, IDS, state, learning_rate=0.1, number=number)
    assert nats < np.log(5)


@pytest.mark.parametrize("keep", [0.0, -1.0, 1.5, float("nan")])
def test_shares_to_keep(keep: float) -> None:
    with pytest.raises(ValueError, match="keep"):
        _kernels.drop(np.zeros(3, np.float32), 0, 0, keep)
