"""Splitting a text into the part that trains and the part that validates."""

import math
from dataclasses import dataclass

from ricorda.arguments import checked
from ricorda.errors import ConfigurationError, TextError
from ricorda.text.vocabulary import Ids

DEFAULT_FRACTION = 0.1
SMALLEST_DEFAULT_VALIDATION = 64
"""Symbols below which the last tenth of a text says too little to be held back unasked."""


@dataclass(frozen=True, eq=False)
class Split:
    """Two views of a text's ids, one after the other."""

    training: Ids
    """(N_training,), the beginning of the text."""

    validation: Ids | None
    """(N_validation,), the rest; None where nothing is held back."""

    reason: str | None = None
    """Why nothing is held back although nobody asked for that."""


@checked
def split(ids: Ids, validation_fraction: float | None = None) -> Split:
    """Cut ids (N,) in two: the last `validation_fraction` of them validates.

    Without a fraction it is a tenth, or nothing where a tenth is under 64 symbols. 0 validates
    with nothing.

    Raises TextError for a text of fewer than 2 symbols, or one that the fraction leaves with fewer
    than 2 on either side (a symbol and the one to predict from it); ConfigurationError if the
    fraction is not from 0 up to, but not including, 1.
    """
    if len(ids) < 2:
        raise TextError(
            f"a text of {'one character' if len(ids) else 'no characters'}: at least 2 are "
            "needed, one to predict and one to predict it from"
        )
    fraction = DEFAULT_FRACTION if validation_fraction is None else validation_fraction
    if not (math.isfinite(fraction) and 0 <= fraction < 1):
        raise ConfigurationError(
            f"--validation-fraction {fraction}: expected a number from 0 to below 1, such as 0.1"
        )
    # The small number makes up for rounding: 10 x (1 - 0.9) is 0.9999999999999998.
    border = math.floor(len(ids) * (1 - fraction) + 1e-6)
    training, validation = ids[:border], ids[border:]
    if fraction == 0:
        return Split(ids, None)
    if validation_fraction is None and len(validation) < SMALLEST_DEFAULT_VALIDATION:
        return Split(
            ids,
            None,
            f"a tenth of {len(ids)} symbols is too short to validate with "
            f"(fewer than {SMALLEST_DEFAULT_VALIDATION}): all of the text trains",
        )
    if min(len(training), len(validation)) < 2:
        raise TextError(
            f"--validation-fraction {fraction}: of a text of {len(ids)} symbols it leaves "
            f"{len(training)} for training and {len(validation)} for validation, at least 2 "
            "are needed on each side; give a longer text or another fraction"
        )
    return Split(training, validation)
