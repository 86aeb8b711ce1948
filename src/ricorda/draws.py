"""Random numbers that follow from what they are for: a seed, a purpose, a step and a part.

They come from Philox (Salmon et al., 2011), which computes its numbers from a key and a counter.
There is no generator whose state moves on, so nothing is saved in a checkpoint, any step can be
drawn directly, and threads, processes and devices draw the same numbers.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What numbers are drawn for; different purposes draw independent numbers."""

    INITIALIZATION = 0
    DROPOUT = 1
    STREAMS = 2
    RESTARTS = 3
    NEGATIVES = 4
    MEASUREMENT = 5
    SPLIT = 6
    SHUFFLE = 7
    UNLABELLED = 8


def generator(seed: int, purpose: Purpose, step: int = 0, part: int = 0) -> np.random.Generator:
    """Return the generator of one step, or of one part of it, for one purpose.

    Each has 2^128 numbers of its own. The seed is below 2^64, as are step and part.
    """
    return np.random.Generator(_philox(seed, purpose, step, part))


def key(seed: int, purpose: Purpose, step: int) -> int:
    """Return 64 random bits of a step, such as the key of its dropout masks."""
    return int(_philox(seed, purpose, step, 0).random_raw())


def _philox(seed: int, purpose: Purpose, step: int, part: int) -> np.random.Philox:
    """Return the bits of (step, part); the two lower words of the counter count them."""
    return np.random.Philox(
        key=np.array([seed, purpose], np.uint64), counter=np.array([0, 0, part, step], np.uint64)
    )
