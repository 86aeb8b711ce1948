"""From logits to probabilities, in float64."""

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.backend import Array
from ricorda.errors import ModelFileError

Probabilities = NDArray[np.float64]


def log_softmax(logits: Array) -> Probabilities:
    """Turn logits (..., V) into natural logarithms of probabilities: x - log(sum(exp(x))).

    Where a logit is not finite, the result is NaN.
    """
    wide = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        shifted: Probabilities = wide - wide.max(axis=-1, keepdims=True)
    log_total: Probabilities = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted - log_total


def most_likely_first(scores: Probabilities) -> NDArray[np.intp]:
    """Order symbols (..., V) by falling score; among equals the lower number comes first."""
    return np.argsort(-scores, axis=-1, kind="stable")


def finite(values: Array) -> Probabilities:
    """Widen logits or surprisals to float64; raise ModelFileError if one is not finite."""
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        raise ModelFileError(
            "expected finite numbers from the model, got infinity or none: its state overflows on "
            "this text; train it again with a lower learning rate or without relu"
        )
    return wide
