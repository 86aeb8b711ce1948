"""Report a validation part whose symbol frequencies differ from the training part's."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ricorda.text.parts import Part

LARGEST_SHARE = 0.2
"""The lost share of the gain from which the parts differ."""

LEAST_BITS = 0.1
"""Bits per symbol, beyond the loss expected by chance, from which the parts differ."""

CHANCES = 20
"""How often symbols are drawn to estimate the loss expected by chance."""

_MOST_COUNTED = 4_000_000  # symbols of each part
_BLOCK = 1 << 16

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """What a symbol of the validation part costs on average, in bits."""

    cross: float
    """By the frequencies of the training part."""

    own: float
    """By those of the validation part itself."""

    even: float
    """If all symbols of the text were equally likely."""

    def as_json(self) -> dict[str, float]:
        """Give the figures by name."""
        return asdict(self)


def part_difference(training: Part, validation: Part) -> Difference | None:
    """Compare the frequencies of symbols; None if the parts are of one kind.

    Of a long part only blocks spread over it are counted.
    """
    seen, evaluated = _counts(training), _counts(validation)
    size = max(len(seen), len(evaluated))
    seen, evaluated = (np.pad(each, (0, size - len(each))) for each in (seen, evaluated))
    occurring = (seen + evaluated) > 0
    seen, evaluated = seen[occurring], evaluated[occurring]
    difference = _compare(seen, evaluated)
    lost = difference.cross - difference.own
    gain = difference.even - difference.own
    least = max(LEAST_BITS + _by_chance(seen, evaluated), LARGEST_SHARE * gain)
    return difference if lost >= least else None


def _compare(seen: Counts, evaluated: Counts) -> Difference:
    """Compare counts (V,) of both parts."""
    share = evaluated / evaluated.sum()
    smoothed = (seen + 1) / (seen.sum() + len(seen))  # so that no symbol is impossible
    found = share[share > 0]
    # The entropy of few symbols comes out too small (Miller, 1955).
    missing = (len(found) - 1) / (2 * evaluated.sum() * math.log(2))
    return Difference(
        cross=float(-(share * np.log2(smoothed)).sum()),
        own=float(-(found * np.log2(found)).sum() + missing),
        even=math.log2(len(seen)),
    )


def _by_chance(seen: Counts, evaluated: Counts) -> float:
    """The bits that as many symbols lose if they are drawn from both parts together."""
    both = seen + evaluated
    drawn = np.random.default_rng(0).multinomial(evaluated.sum(), both / both.sum(), CHANCES)
    found = [_compare(seen, each) for each in drawn]
    return max(each.cross - each.own for each in found)


ADVICE = {
    "end": "The text may be sorted: its last part is held back. Hold back blocks spread over it "
    "with --split blocks, or name another text with --validation",
    "blocks": "The text may be of several kinds: shuffle its lines or files, or name another text "
    "with --validation",
    "documents": "The documents may be of several kinds: hold back blocks spread over the text "
    "with --split blocks, or name another text with --validation",
}
"""What to do about a validation part of another kind, by how it was held back."""


def describe_difference(difference: Difference, how: str | None) -> str:
    """Say that the parts differ and what to do.

    `how`: how the validation part was held back, None for a text of its own.
    """
    figures = (
        f"its characters cost {difference.cross:.2f} bits by the frequencies of the training "
        f"part, {difference.own:.2f} by its own"
    )
    if difference.cross > difference.even:
        figures += f", {difference.even:.2f} if all were equally likely"
    if how is not None:
        return f"the validation part differs from the training part: {figures}. {ADVICE[how]}"
    return (
        f"the validation text differs from the training text: {figures}. The validation loss says "
        "little about the training text: name a text of the same kind with --validation"
    )


def _counts(part: Part) -> Counts:
    """How often each symbol occurs, in blocks spread evenly over a long part."""
    return np.bincount(np.concatenate([*part.blocks(_BLOCK, _MOST_COUNTED)]))
