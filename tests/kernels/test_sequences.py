"""Scores and traces."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ricorda.model.cells import CELLS

MakeCase = Callable[..., Any]


@pytest.mark.parametrize("vocabulary_size", [1, 5, 65, 300])
@pytest.mark.parametrize("streams, threads", [(1, 1), (3, 2), (70, 2)])
def test_scores_equal_the_reference(
    make_case: MakeCase, kernels: str, vocabulary_size: int, streams: int, threads: int
) -> None:
    case = make_case(cell="gru", hidden_size=20, vocabulary_size=vocabulary_size)
    ids, targets, state = case.ids(streams, 9), case.ids(streams, 9), case.state(streams)
    network = case.network(kernels)
    nats, best, best_nats, last = network.score(ids, targets, state, 4, threads)
    expected, expected_state = case.reference.score(ids, targets, state, 4)
    np.testing.assert_allclose(nats, expected.nats, rtol=0, atol=1e-5)
    np.testing.assert_allclose(best_nats, expected.alternative_nats, rtol=0, atol=1e-5)
    np.testing.assert_allclose(last, expected_state, rtol=0, atol=1e-5)
    assert best.shape == (streams, 9, min(4, vocabulary_size))

    logits, _ = network.forward(ids, state)
    order = np.argsort(-logits, axis=-1, kind="stable")[..., : best.shape[-1]]
    np.testing.assert_array_equal(best, order)


def test_scores_have_the_same_bits_alone_and_in_any_batch(
    make_case: MakeCase, kernels: str
) -> None:
    case = make_case(cell="lstm", hidden_size=33)
    network = case.network(kernels)
    ids, targets, state = case.ids(40, 20), case.ids(40, 20), case.state(40)
    together = network.score(ids, targets, state, 2, threads=2)
    for stream in (0, 17, 39):
        row = slice(stream, stream + 1)
        alone = network.score(ids[row], targets[row], state[:, :, row].copy(), 2)
        for found, expected in zip(alone[:3], together[:3], strict=True):
            np.testing.assert_array_equal(found, expected[row])


def test_equal_logits_rank_by_number(make_case: MakeCase, kernels: str) -> None:
    case = make_case(cell="rnn", hidden_size=4, vocabulary_size=20)
    case.tensors["output.weight"][:] = 0
    case.tensors["output.bias"][:] = [0, 1, 0, 1, 2, 2, 0, 1, 0, 0] * 2
    zeros = np.zeros((1, 1), np.uint32)
    _, best, _, _ = case.network(kernels).score(zeros, zeros, case.state(1), 20)
    assert best[0, 0, :8].tolist() == [4, 5, 14, 15, 1, 3, 7, 11]


def test_a_score_of_infinite_logits_is_no_number(make_case: MakeCase, kernels: str) -> None:
    case = make_case(cell="rnn", nonlinearity="relu", hidden_size=16)
    state = np.full((1, 1, 1, 16), np.inf, np.float32)
    nats, _, best_nats, _ = case.network(kernels).score(case.ids(1, 3), case.ids(1, 3), state, 2)
    assert np.isnan(nats).all()
    assert np.isnan(best_nats).all()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
@pytest.mark.parametrize("steps", [1, 64, 130])
def test_traces_equal_the_reference(
    make_case: MakeCase, kernels: str, cell: str, steps: int
) -> None:
    case = make_case(cell=cell, hidden_size=21, num_layers=2)
    ids, state = case.ids(1, steps), case.state(1)
    activations, last = case.network(kernels).trace(ids, state)
    expected, expected_state = case.reference.trace(ids[0], state)
    names = CELLS[case.configuration.cell].traced
    assert set(names) == set(expected)
    for name, array in zip(names, activations, strict=True):
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(last, expected_state, rtol=0, atol=1e-5)
