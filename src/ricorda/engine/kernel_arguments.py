"""What is passed to the C++ kernels, in their types, and what they raise, as ricorda's errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.backend import Array, Ids
from ricorda.errors import ConfigurationError, VocabularyError


def kernel_ids(ids: Ids, dimensions: int, vocabulary_size: int) -> NDArray[np.uint32]:
    """Turn ids of any integer type into those that the kernels take.

    Raises ConfigurationError for another type or another number of dimensions, VocabularyError for
    an id out of range that the conversion would hide; the kernels check the others.
    """
    array = np.asarray(ids)
    if array.dtype.kind not in "iu" or array.ndim != dimensions:
        raise ConfigurationError(
            f"expected ids as integers in {dimensions} dimensions, "
            f"got {array.dtype} of the shape {array.shape}"
        )
    if array.dtype.itemsize > 4 or array.dtype.kind == "i":
        _check_range(array, vocabulary_size)
    return np.ascontiguousarray(array, np.uint32)


def kernel_floats(array: Array) -> NDArray[np.float32]:
    """Turn any floats into those that the kernels take."""
    return np.ascontiguousarray(array, np.float32)


@contextmanager
def kernel_errors() -> Iterator[None]:
    """Raise VocabularyError for an IndexError (a wrong id), ConfigurationError for a ValueError."""
    try:
        yield
    except IndexError as error:
        raise VocabularyError(str(error)) from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _check_range(ids: NDArray[np.integer[Any]], vocabulary_size: int) -> None:
    if ids.size and (ids.min() < 0 or ids.max() >= vocabulary_size):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise VocabularyError(f"ids must be at least 0 and below {vocabulary_size}, got {wrong}")
