"""Matrices in eight bits, with a scale for each row."""

import numpy as np
from numpy.typing import NDArray


def quantize_rows(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix (R, C) to integers from -127 to 127 and a scale for each row, (R,).

    The matrix is about integers * scales[:, np.newaxis]; each number is wrong by half a scale at
    most.
    """
    scales = np.abs(weight).max(axis=1, initial=0.0) / np.float32(127)
    scales = np.where(scales > 0, scales, np.float32(1)).astype(np.float32)
    return np.rint(weight / scales[:, np.newaxis]).astype(np.int8), scales
