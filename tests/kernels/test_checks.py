"""Whatever is passed in, a wrong shape, type or id is an exception."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ricorda import _kernels

MakeCase = Callable[..., Any]


@pytest.fixture
def network(make_case: MakeCase) -> _kernels.Network:
    made: _kernels.Network = make_case(cell="lstm", hidden_size=6, vocabulary_size=5).network()
    return made


IDS = np.zeros((2, 3), np.uint32)
STATE = np.zeros((2, 1, 2, 6), np.float32)
WIDE_STATE = np.zeros((2, 1, 2, 12), np.float32)[..., ::2]


@pytest.mark.parametrize("ids, state, error", [
    (IDS + np.uint32(5), STATE, IndexError),
    (np.array([[0, 1, 2], [0, 1, 2**32 - 1]], np.uint32), STATE, IndexError),
    (IDS.astype(np.int64), STATE, TypeError),
    (IDS.astype(np.uint8), STATE, TypeError),
    (IDS[0], STATE, TypeError),
    (IDS[np.newaxis], STATE, TypeError),
    (IDS[:, ::2], STATE, TypeError),
    (IDS.tolist(), STATE, TypeError),
    (IDS[:1], STATE, ValueError),
    (IDS, STATE[:1], ValueError),
    (IDS, STATE[..., :5].copy(), ValueError),
    (IDS, np.zeros((2, 2, 2, 6), np.float32), ValueError),
    (IDS, STATE.astype(np.float64), TypeError),
    (IDS, STATE[0], TypeError),
    (IDS, WIDE_STATE, TypeError),
    (IDS, None, TypeError),
])  # fmt: skip
def test_ids_and_states(
    network: _kernels.Network, ids: Any, state: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        network.forward(ids, state)
    with pytest.raises(error):
        network.score(ids, IDS, state)
    if len(ids) == 1:
        with pytest.raises(error):
            network.trace(ids, state)


@pytest.mark.parametrize("targets, error", [
    (IDS + np.uint32(5), IndexError),
    (IDS[:, :2].copy(), ValueError),
    (IDS.astype(np.int32), TypeError),
])  # fmt: skip
def test_targets(network: _kernels.Network, targets: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        network.score(IDS, targets, STATE)


def test_numbers_out_of_range(network: _kernels.Network) -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        network.forward(IDS, STATE, 0)
    with pytest.raises(ValueError, match="top must be at least 0, not -1"):
        network.score(IDS, IDS, STATE, -1)
    with pytest.raises(ValueError, match="trace reads one stream"):
        network.trace(IDS, STATE)
    with pytest.raises(TypeError):
        network.forward(IDS, STATE, 2**40)


SHAPE: dict[str, Any] = {
    "cell": "gru",
    "nonlinearity": "tanh",
    "vocabulary_size": 5,
    "hidden_size": 6,
    "num_layers": 1,
    "embedding_size": 0,
}


@pytest.mark.parametrize("wrong, message", [
    ({"cell": "tcn"}, "cell must be one of rnn, gru, lstm, cifg, mingru, minlstm, not 'tcn'"),
    ({"nonlinearity": "elu"}, "nonlinearity must be one of tanh, relu"),
    ({"precision": "float16"}, "precision must be one of float32, bfloat16, int8"),
    ({"kernels": "mmx"}, "kernels must be one of"),
    ({"vocabulary_size": 0}, "vocabulary_size must be at least 1, not 0"),
    ({"hidden_size": -4}, "hidden_size must be at least 1, not -4"),
    ({"num_layers": 0}, "num_layers must be at least 1, not 0"),
    ({"embedding_size": -1}, "embedding_size must be at least 0, not -1"),
    ({"hidden_size": 2**30}, "sizes must be at most"),
    ({"num_layers": 2}, "the tensor layers.1.weight_ih is missing"),
    ({"hidden_size": 7}, r"layers.0.weight_ih must have the shape \(21, 5\), not \(18, 5\)"),
    ({"embedding_size": 3}, "the tensor embedding.weight is missing"),
])  # fmt: skip
def test_networks(make_case: MakeCase, wrong: dict[str, Any], message: str) -> None:
    tensors = make_case(cell="gru", hidden_size=6, vocabulary_size=5).tensors
    with pytest.raises(ValueError, match=message):
        _kernels.Network(tensors=tensors, **SHAPE | wrong)


def test_tensors(make_case: MakeCase) -> None:
    tensors = make_case(cell="gru", hidden_size=6, vocabulary_size=5).tensors
    for wrong in (
        tensors["output.weight"].astype(np.float64),
        np.asfortranarray(tensors["output.weight"]),
        tensors["output.weight"].tolist(),
    ):
        with pytest.raises(ValueError, match=r"output.weight must be a contiguous float32 array"):
            _kernels.Network(tensors=tensors | {"output.weight": wrong}, **SHAPE)
    with pytest.raises(TypeError):
        _kernels.Network(tensors=list(tensors), **SHAPE)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong, error", [
    ({"ids": np.array([5], np.uint32)}, IndexError),
    ({"ids": np.zeros(0, np.uint32)}, ValueError),
    ({"ids": np.zeros(1, np.int64)}, TypeError),
    ({"ids": np.zeros((1, 1), np.uint32)}, TypeError),
    ({"before": np.array([5], np.uint32)}, IndexError),
    ({"stops": [[]]}, ValueError),
    ({"stops": [[1, 5]]}, IndexError),
    ({"stops": [[-1]]}, TypeError),
    ({"state": STATE}, ValueError),
    ({"seed": -1}, TypeError),
    ({"seed": 2**64}, TypeError),
    ({"sampling": _kernels.SamplingSettings(top_k=-1)}, ValueError),
    ({"sampling": _kernels.SamplingSettings(constraint=(1, [0, 0], [], [], [0]))}, ValueError),
    ({"sampling": None}, TypeError),
])  # fmt: skip
def test_streams(network: _kernels.Network, wrong: dict[str, Any], error: type[Exception]) -> None:
    right: dict[str, Any] = {
        "ids": np.zeros(1, np.uint32),
        "sampling": _kernels.SamplingSettings(),
        "length": 3,
        "seed": 1,
    }
    session = _kernels.Session(network)
    session.add(**right)
    with pytest.raises(error):
        session.add(**right | wrong)
    assert len(session) == 1


def test_sessions(network: _kernels.Network) -> None:
    session = _kernels.Session(network)
    for call in (session.remove, session.save):
        with pytest.raises(IndexError, match="no stream has the number 3"):
            call(3)
    with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
        session.advance(0)
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        session.advance(1, 0)
    with pytest.raises(TypeError):
        _kernels.Session(None)  # type: ignore[arg-type]
    assert session.advance(5) == []


def test_reading(random: np.random.Generator, kernels: str) -> None:
    for count in (0, 16, 64, 80, 1008):
        values = random.integers(-9, 10, count).astype(np.float32)  # sums without rounding
        assert _kernels.read(values, 2, kernels) == values.sum()
    with pytest.raises(ValueError, match="multiple of 16"):
        _kernels.read(np.zeros(17, np.float32))
    with pytest.raises(ValueError, match="times must be at least 1, not 0"):
        _kernels.read(np.zeros(16, np.float32), 0)


def test_results_outlive_the_network(make_case: MakeCase) -> None:
    case = make_case(cell="rnn", hidden_size=6)
    network = case.network()
    logits, state = network.forward(case.ids(1, 4), case.state(1))
    kept = logits.copy()
    session = _kernels.Session(network)
    session.add(case.ids(1), _kernels.SamplingSettings(), 5, 1)
    del network
    gc.collect()
    np.testing.assert_array_equal(logits, kept)
    (progress,) = session.advance(9)
    assert len(progress[1]) == 5
    assert state.flags.writeable
