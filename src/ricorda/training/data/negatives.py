"""The symbols that a step's targets are compared with where the softmax is sampled.

With thousands of symbols most of a step goes into the logits of those that are not the target. A
sampled softmax (Bengio & Senecal, 2008; Jean et al., 2015) computes few of them: each target's own,
and those of negatives drawn at random. A negative that is drawn with probability p stands for 1/p
of its kind, so its logit counts as logit - log p, and the sum is on average the sum over all
symbols. The training loss is the logarithm of that, which is slightly low; evaluation, sampling and
the saved model use the full softmax.

Each symbol is drawn independently (Poisson sampling), the frequent ones always. The draws depend on
the seed and the step's number alone, so a run resumes anywhere, and processes that share a batch
draw the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ricorda import draws
from ricorda.draws import Purpose
from ricorda.errors import ConfigurationError
from ricorda.text import Part

COUNTED = 1 << 24  # symbols of a text that are counted at most, in blocks spread over it
BLOCK = 1 << 16
EXPONENT = 0.75  # of the frequencies (Mikolov et al., 2013): rare symbols are drawn more often


class Negatives(NamedTuple):
    """What one step's targets are compared with."""

    ids: NDArray[np.uint32]  # (K,) ascending
    log_probabilities: NDArray[np.float32]  # (K,) of being drawn


class NegativeSampler:
    """Draws the negatives of each step."""

    def __init__(self, training: Part, vocabulary_size: int, count: int, seed: int) -> None:
        """Draw about `count` of V symbols by their frequency in a part.

        Raises ConfigurationError if these are none or not fewer than V.
        """
        if not 0 < count < vocabulary_size:
            raise ConfigurationError(
                f"softmax candidates: expected 1 to {vocabulary_size - 1} symbols, got {count}"
            )
        weights = (frequencies(training, vocabulary_size).astype(np.float64) + 1) ** EXPONENT
        self.probabilities: NDArray[np.float64] = inclusion_probabilities(weights, count)
        """Of each symbol (V,) to be drawn."""
        self._log_probabilities: NDArray[np.float32] = np.log(self.probabilities).astype(np.float32)
        self._seed = seed

    def at(self, step: int) -> Negatives:
        """Return the negatives of a step, counted from 0."""
        random = draws.generator(self._seed, Purpose.NEGATIVES, step)
        ids = np.flatnonzero(random.random(len(self.probabilities)) < self.probabilities)
        return Negatives(ids.astype(np.uint32), self._log_probabilities[ids])


def frequencies(part: Part, vocabulary_size: int) -> NDArray[np.int64]:
    """Count each symbol (V,) of a part, or of blocks spread evenly over a long one."""
    counts = np.zeros(vocabulary_size, np.int64)
    for block in part.blocks(BLOCK, COUNTED):
        counts += np.bincount(block, minlength=vocabulary_size)
    return counts


def inclusion_probabilities(weights: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return probabilities (V,) in proportion to weights (V,), at most 1, of sum count < V."""
    certain = np.zeros(len(weights), np.bool_)
    while True:
        rest = weights[~certain]
        probabilities: NDArray[np.float64] = weights * ((count - certain.sum()) / rest.sum())
        probabilities[certain] = 1.0
        if probabilities.max() <= 1.0:
            return probabilities
        certain |= probabilities >= 1.0
