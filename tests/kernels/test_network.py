"""Logits and states against float64, and the same bits however the work is cut."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda import _kernels
from tests.kernels.conftest import INSTRUCTION_SETS

MakeCase = Callable[..., Any]
LARGEST_ERROR = {"float32": 1e-5, "bfloat16": 0.03, "int8": 0.1}

CELLS = {
    "rnn": {"cell": "rnn"},
    "relu": {"cell": "rnn", "nonlinearity": "relu"},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "cifg": {"cell": "cifg"},
    "mingru": {"cell": "mingru"},
    "minlstm": {"cell": "minlstm"},
}

cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
precisions = pytest.mark.parametrize("precision", LARGEST_ERROR)


@cells
@pytest.mark.parametrize("hidden_size", [1, 7, 33, 128])
@pytest.mark.parametrize("streams, steps", [(1, 9), (3, 5), (13, 2)])
def test_logits_and_states_equal_float64(
    make_case: MakeCase, cell: dict[str, Any], hidden_size: int, streams: int, steps: int
) -> None:
    check_against_float64(make_case(hidden_size=hidden_size, **cell), streams, steps)


@cells
def test_a_large_layer(make_case: MakeCase, cell: dict[str, Any]) -> None:
    check_against_float64(make_case(hidden_size=1000, vocabulary_size=200, **cell), 2, 3)


@cells
@pytest.mark.parametrize("shape", [
    {"num_layers": 3},
    {"num_layers": 2, "embedding_size": 5},
    {"embedding_size": 40},
    {"vocabulary_size": 1},
    {"vocabulary_size": 2},
    {"vocabulary_size": 500, "embedding_size": 1},
])  # fmt: skip
def test_depths_embeddings_and_vocabularies(
    make_case: MakeCase, cell: dict[str, Any], shape: dict[str, int]
) -> None:
    check_against_float64(make_case(hidden_size=20, **cell, **shape), 4, 6)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_an_embedding_too_large_for_a_table(make_case: MakeCase, cell: str) -> None:
    symbols, width = 25_000, 4 * 48
    case = make_case(cell=cell, hidden_size=40, embedding_size=3, vocabulary_size=symbols)
    for precision in LARGEST_ERROR:
        assert case.network(precision=precision).bytes < 4 * symbols * width
    check_against_float64(case, 2, 3)


def check_against_float64(case: Any, streams: int, steps: int) -> None:
    """Each instruction set and precision, with one input and what is expected of it."""
    ids, state = case.ids(streams, steps), case.state(streams)
    expected_logits, expected_state = case.reference.forward(ids, state)
    largest = 1.0
    if case.configuration.nonlinearity == "relu":  # whose states may grow
        largest = max(1, np.abs(expected_logits).max(), np.abs(expected_state).max())
    for kernels, (precision, error) in product(INSTRUCTION_SETS, LARGEST_ERROR.items()):
        network = case.network(kernels, precision)
        assert (network.instruction_set, network.precision) == (kernels, precision)
        logits, new_state = network.forward(ids, state)
        near: dict[str, Any] = {"rtol": 0, "atol": error * largest}
        near["err_msg"] = f"{kernels}, {precision}"
        np.testing.assert_allclose(logits, expected_logits, **near)
        np.testing.assert_allclose(new_state, expected_state, **near)
        assert logits.dtype == new_state.dtype == np.float32


@precisions
@pytest.mark.parametrize("cell", ["gru", "lstm", "cifg"])
def test_a_lower_precision_is_not_the_same(
    make_case: MakeCase, kernels: str, precision: str, cell: str
) -> None:
    """Bounds the error from below too: a path that fell back to float32 would be slow."""
    case = make_case(cell=cell, hidden_size=64)
    ids, state = case.ids(1, 20), case.state(1)
    logits, _ = case.network(kernels, precision).forward(ids, state)
    exact, _ = case.reference.forward(ids, state)
    assert (np.abs(logits - exact).max() > 1e-5) == (precision != "float32")


@cells
@precisions
def test_whole_sequences_chunks_and_steps_give_the_same_bits(
    make_case: MakeCase, kernels: str, cell: dict[str, Any], precision: str
) -> None:
    case = make_case(hidden_size=33, num_layers=2, embedding_size=9, **cell)
    network, ids, state = case.network(kernels, precision), case.ids(2, 150), case.state(2)
    whole, last = network.forward(ids, state)
    for chunk in (1, 64, 97):
        logits, after = in_chunks(network, ids, state, chunk)
        np.testing.assert_array_equal(logits, whole)
        np.testing.assert_array_equal(after, last)


def in_chunks(
    network: _kernels.Network, ids: NDArray[np.uint32], state: NDArray[np.float32], chunk: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    parts = []
    for begin in range(0, ids.shape[1], chunk):
        part = np.ascontiguousarray(ids[:, begin : begin + chunk])
        logits, state = network.forward(part, state)
        parts.append(logits)
    return np.concatenate(parts, axis=1), state


@cells
@precisions
@pytest.mark.parametrize("threads", [1, 2])
def test_a_stream_has_the_same_bits_alone_and_in_any_batch(
    make_case: MakeCase, kernels: str, cell: dict[str, Any], precision: str, threads: int
) -> None:
    case = make_case(hidden_size=49, num_layers=2, **cell)
    network, ids, state = case.network(kernels, precision), case.ids(70, 11), case.state(70)
    together, last = network.forward(ids, state, threads)
    for size in (1, 2, 5, 6, 7, 23, 70):
        first = 70 - size
        some, after = network.forward(ids[first:], state[:, :, first:].copy(), threads)
        np.testing.assert_array_equal(some, together[first:])
        np.testing.assert_array_equal(after, last[:, :, first:])


def test_the_state_passed_in_is_not_changed(make_case: MakeCase, kernels: str) -> None:
    case = make_case(cell="lstm", hidden_size=10)
    state = case.state(3)
    before = state.copy()
    case.network(kernels).forward(case.ids(3, 4), state)
    np.testing.assert_array_equal(state, before)


def test_no_streams_and_no_steps(make_case: MakeCase, kernels: str) -> None:
    case = make_case(cell="gru", hidden_size=10)
    network, state = case.network(kernels), case.state(2)
    logits, after = network.forward(case.ids(2, 0), state)
    assert logits.shape == (2, 0, 65)
    np.testing.assert_array_equal(after, state)
    logits, after = network.forward(case.ids(0, 3), case.state(0))
    assert logits.shape == (0, 3, 65)
    assert after.shape == (1, 1, 0, 10)


def test_infinite_states_come_out_as_they_went_in(make_case: MakeCase, kernels: str) -> None:
    """A network with relu may overflow: the caller must see that, not a plausible number."""
    case = make_case(cell="rnn", nonlinearity="relu", hidden_size=16)
    state = np.full((1, 1, 1, 16), np.inf, np.float32)
    for precision in LARGEST_ERROR:
        logits, _ = case.network(kernels, precision).forward(case.ids(1, 1), state)
        assert not np.isfinite(logits).all()


def test_every_instruction_set_sums_int8_alike(make_case: MakeCase) -> None:
    """Integer sums are exact: only the activations round differently."""
    case = make_case(cell="rnn", nonlinearity="relu", hidden_size=100)
    ids, state = case.ids(3, 1), case.state(3)
    results = [
        case.network(name, "int8").forward(ids, state)[1] for name, _ in _kernels.instruction_sets()
    ]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6, atol=1e-6)


def test_step_bytes_count_the_weights_that_a_step_reads(make_case: MakeCase) -> None:
    case = make_case(cell="lstm", hidden_size=64, vocabulary_size=64)
    weights = 4 * 64 * 64 + 64 * 64
    row = 4 * 4 * 64
    assert case.network().step_bytes == 4 * weights + row
    assert case.network(precision="bfloat16").step_bytes == 2 * weights + row
