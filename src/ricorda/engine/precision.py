"""Choosing how precisely weights are kept, by what that costs in nats.

A lower precision is judged on a text that the model writes itself, so that none is needed: there
the mean surprisal rises by exactly the divergence (Kullback & Leibler, 1951) of the probabilities
from those of float32, which is computed over the whole vocabulary at each symbol.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ricorda import _kernels
from ricorda.engine.backend import zero_state
from ricorda.engine.softmax import log_softmax
from ricorda.model.configuration import ModelConfiguration

LARGEST_LOSS = 0.002
"""In nats per symbol."""

STREAMS = 8
MOST_STEPS = 32
PROBABILITIES_AT_ONCE = 2**20

FASTEST_FIRST = {
    "avx512": ("int8", "bfloat16"),
    "avx512-base": ("int8", "bfloat16"),
    "avx2": ("int8", "bfloat16"),
    "portable": (),
}
"""The precisions that are faster than float32 on each instruction set."""


def fastest_network(
    configuration: ModelConfiguration, make: Callable[[str], _kernels.Network]
) -> _kernels.Network:
    """Make the network in the fastest precision that loses less than LARGEST_LOSS."""
    exact = make("float32")
    ids = written_text(configuration, exact)
    expected = log_probabilities(configuration, exact, ids)
    for precision in FASTEST_FIRST[exact.instruction_set]:
        network = make(precision)
        found = log_probabilities(configuration, network, ids)
        if (
            divergence(expected, found) < LARGEST_LOSS
        ):  # not if one is NaN: a network that overflows
            return network
    return exact


def written_text(
    configuration: ModelConfiguration, network: _kernels.Network
) -> NDArray[np.uint32]:
    """Let the network write from symbols spread over the vocabulary: ids (B, T), starts included.

    A stream whose logits are not finite is left as it began.
    """
    symbols = configuration.vocabulary_size
    steps = min(MOST_STEPS, max(2, PROBABILITIES_AT_ONCE // (STREAMS * symbols)))
    ids = np.zeros((STREAMS, steps), np.uint32)
    ids[:] = np.arange(STREAMS)[:, np.newaxis] * symbols // STREAMS
    session = _kernels.Session(network)
    for stream in range(STREAMS):
        session.add(ids[stream, :1], _kernels.SamplingSettings(), steps - 1, seed=stream)
    for stream, written, *_ in session.advance(steps - 1):
        ids[stream, 1 : 1 + len(written)] = written
    return ids


def log_probabilities(
    configuration: ModelConfiguration, network: _kernels.Network, ids: NDArray[np.uint32]
) -> NDArray[np.float64]:
    """Read ids (B, T) from a zero state: what comes next, in nats, (B, T, V)."""
    logits, _ = network.forward(ids, zero_state(configuration, len(ids)))
    return log_softmax(logits)


def divergence(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Give the mean of sum(p (log p - log q)): log-probabilities (..., V) -> nats per symbol."""
    return float((np.exp(expected) * (expected - found)).sum(axis=-1).mean())
