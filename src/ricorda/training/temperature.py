"""The temperature of a trained network, fitted on the validation part (Guo et al., 2017).

A network that has read its text many times is too certain of what comes next. Dividing its logits
by one number lowers its validation loss without changing the order of symbols. The number is
divided out of the output layer's weights and bias, so a model needs nothing more to be used.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ricorda.engine import Model
from ricorda.engine.backend import Array
from ricorda.text import Part

FEWEST = 1_000
"""Predicted symbols below which the temperature stays 1."""

MOST_LOGITS = 1 << 24
"""Logits that are computed: all of a small vocabulary's, those of some symbols of a large one."""

INVERSES = np.linspace(0.5, 1.5, 21)
"""Inverse temperatures at which the loss is computed; between them it is taken for a parabola."""

SEGMENTS = 32
"""Segments of a part, at most, that are read side by side, which the kernels do faster."""

TOGETHER = 1 << 20
"""Logits that are held at a time."""

TEMPERATURE = "temperature"
"""The entry of a model file about it: what the logits were divided by in all."""


def fitted_temperature(model: Model, part: Part) -> float:
    """Return the temperature with the lowest loss on a part, near 1.

    It is 1 for a part that is too short, and where logits are not finite.
    """
    if len(part) <= FEWEST:
        return 1.0
    losses = np.zeros(len(INVERSES))
    for logits, targets in _predictions(model, part):
        if not np.isfinite(logits).all():
            return 1.0
        losses += _losses(logits, targets)
    best = int(losses.argmin())
    if not 0 < best < len(losses) - 1:
        return 1.0
    before, at, after = losses[best - 1 : best + 2]
    step = 0.5 * (before - after) / (before - 2 * at + after)  # to the parabola's lowest point
    return round(float(1 / (INVERSES[best] + step * (INVERSES[1] - INVERSES[0]))), 3)


def _predictions(model: Model, part: Part) -> Iterator[tuple[Array, NDArray[np.int64]]]:
    """Yield logits (n, V) and the symbols (n,) that came.

    They are those of segments, evenly spread over the part, that are read side by side, each from a
    zero state.
    """
    predictions = min(len(part) - 1, max(FEWEST, MOST_LOGITS // model.vocabulary.size))
    segments = max(1, min(SEGMENTS, predictions // FEWEST))
    length = predictions // segments
    firsts = np.linspace(0, len(part) - 1 - length, segments).astype(np.int64)
    state = model.backend.zero_state(segments)
    count = max(1, TOGETHER // (model.vocabulary.size * segments))
    for begin in range(0, length, count):
        steps = min(count, length - begin)
        read = part.rows(firsts + begin, steps + 1)
        logits, state = model.backend.forward(
            read[:, :-1], state, labels=part.row_labels(firsts + begin, steps)
        )
        yield logits.reshape(-1, logits.shape[-1]), read[:, 1:].ravel().astype(np.int64)


def _losses(logits: Array, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of nats at each inverse temperature."""
    below = logits - logits.max(axis=1, keepdims=True)  # (n, V)
    expected = below[np.arange(len(targets)), targets].sum(dtype=np.float64)
    totals = np.array(
        [
            np.log(np.exp(each * below).sum(axis=1)).sum(dtype=np.float64)
            for each in INVERSES.astype(below.dtype)
        ]
    )
    losses: NDArray[np.float64] = totals - INVERSES * expected
    return losses


def at_temperature(tensors: Mapping[str, Array], temperature: float) -> dict[str, Array]:
    """Return a network's tensors with its logits divided by a temperature."""
    scaled = {
        name: (tensors[name] / temperature).astype(tensors[name].dtype)
        for name in ("output.weight", "output.bias")
    }
    return {**tensors, **scaled}
