"""From the plain exceptions of the C++ kernels to ricorda's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from ricorda.errors import ConfigurationError, VocabularyError


@contextmanager
def kernel_errors() -> Iterator[None]:
    """Raise VocabularyError for an IndexError (a wrong id), ConfigurationError for a ValueError."""
    try:
        yield
    except IndexError as error:
        raise VocabularyError(str(error)) from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
