"""Splitting a text into the parts that train, validate and test.

    end         the end of the text; of documents, whole ones at the end
    documents   documents drawn at random
    blocks      blocks spread evenly over the text

The split does not depend on the seed of the training, so that runs with different seeds are
comparable. By default an undivided text is split at its end and documents are drawn at random.
Fewer than 50 documents are too few to draw from, so blocks of each are held back instead: what is
left of a document stays one document, and so do its blocks in the part that they go to.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ricorda import draws
from ricorda.arguments import checked
from ricorda.draws import Purpose
from ricorda.errors import ConfigurationError, TextError
from ricorda.text.parts import Part, ranges

SplitName = Literal["end", "documents", "blocks"]

DEFAULT_FRACTION = 0.1
SMALLEST_DEFAULT_VALIDATION = 64
"""Symbols below which a tenth of a text says too little to be held back unasked."""

FEW = 50
"""Documents below which blocks are held back rather than documents drawn at random."""

BLOCKS = 20
"""Blocks that are held back of a text."""

SHORTEST_BLOCK = 16
"""Symbols of a block of a document on average; where they would be shorter, whole documents are
held back."""

USUAL_BLOCK = 64
"""Symbols below which a document loses one block rather than several."""

SEED = 0  # of the draw of documents

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """The parts of a text."""

    training: Part

    validation: Part | None
    """None where nothing is held back for validation."""

    test: Part | None = None
    """None where nothing is held back to be evaluated once, at the end."""

    how: SplitName = "end"
    """How they were chosen."""

    reason: str | None = None
    """How documents or blocks are held back, or why nothing is although nobody asked for that."""


@checked
def split(
    text: Part,
    validation_fraction: float | None = None,
    test_fraction: float = 0.0,
    how: SplitName | None = None,
) -> Split:
    """Hold back fractions of a text for validation and for a test.

    Without a validation fraction it is a tenth, or nothing where a tenth is under 64 symbols. 0
    validates with nothing.

    Raises TextError for a text of fewer than 2 symbols, or one that the fractions leave with too
    little in a part; ConfigurationError if a fraction is not from 0 up to, but not including, 1, if
    they leave nothing to train on, or if an undivided text is to be split by documents.
    """
    size = text.symbols
    _check_size(text, size)
    fraction = DEFAULT_FRACTION if validation_fraction is None else validation_fraction
    _check_fractions(fraction, test_fraction)
    reason = None
    held = size - _border(size, 1 - fraction)
    if validation_fraction is None and held < SMALLEST_DEFAULT_VALIDATION:
        rest = "the rest" if test_fraction else "all"
        reason = (
            f"a tenth of {size} symbols is too short to validate with "
            f"(fewer than {SMALLEST_DEFAULT_VALIDATION}): {rest} of the text is used for training"
        )
        fraction = 0.0
    if fraction == test_fraction == 0:
        return Split(text, None, reason=reason)
    found = _way(text, how, fraction + test_fraction)(text, fraction, test_fraction)
    _check_parts(found, size, fraction, test_fraction)
    return replace(
        found,
        validation=found.validation if fraction else None,
        test=found.test if test_fraction else None,
        reason=reason or found.reason,
    )


def _check_size(text: Part, size: int) -> None:
    if size == 0 or (size == 1 and text.boundary is None):
        raise TextError(
            f"a text of {'one character' if size else 'no characters'}: at least 2 are "
            "needed, one to predict and one to predict it from"
        )


def _check_fractions(validation: float, test: float) -> None:
    for name, fraction in (("validation", validation), ("test", test)):
        if not (math.isfinite(fraction) and 0 <= fraction < 1):
            raise ConfigurationError(
                f"--{name}-fraction {fraction}: expected a number from 0 to below 1, such as 0.1"
            )
    if validation + test >= 1:
        raise ConfigurationError(
            f"--validation-fraction {validation} and --test-fraction {test}: together they leave "
            "nothing to train on; lower one of them"
        )


def _check_parts(found: Split, size: int, validation: float, test: float) -> None:
    """Raise TextError unless each part that is wanted has enough to predict something."""
    parts = {
        "training": (1.0, found.training),
        "validation": (validation, found.validation),
        "the test": (test, found.test),
    }
    sizes = {
        name: 0 if part is None else part.symbols for name, (share, part) in parts.items() if share
    }
    least = 2 if found.training.boundary is None else 1
    if min(sizes.values()) >= least:
        return
    options = [f"--validation-fraction {validation}"] if validation else []
    options += [f"--test-fraction {test}"] if test else []
    *others, last = (f"{count} for {name}" for name, count in sizes.items())
    raise TextError(
        f"{' and '.join(options)}: of a text of {size} symbols it leaves {', '.join(others)} and "
        f"{last}, at least {least} are needed on each side; give a longer text or another fraction"
    )


Way = Callable[[Part, float, float], Split]


def _way(text: Part, how: SplitName | None, held: float) -> Way:
    """Choose how to split."""
    if text.boundary is None:
        if how == "documents":
            raise ConfigurationError(
                "--split documents: the text is undivided: leave it out, or say with --documents "
                "what the documents of the text are"
            )
        return _by_blocks if how == "blocks" else _at_the_end
    blocks_are_long = text.symbols * held >= SHORTEST_BLOCK * text.segments
    if how is None:
        is_few = text.segments < FEW
        how = "blocks" if text.segments == 1 or (is_few and blocks_are_long) else "documents"
    if how == "blocks":
        return _within_documents if blocks_are_long or text.segments == 1 else _runs_of_documents
    least = 2
    if text.segments < least:
        raise TextError(
            f"--split {how}: expected at least {least} documents, got {text.segments}: use "
            "--split blocks"
        )
    return _last_documents if how == "end" else _drawn_documents


# An undivided text.


def _border(size: int, share: float) -> int:
    # The small number makes up for rounding: 10 x (1 - 0.9) is 0.9999999999999998.
    return math.floor(size * share + 1e-6)


def _at_the_end(text: Part, validation: float, test: float) -> Split:
    """The last of the text is the test, what is before it validates."""
    size = len(text)
    borders = [0, _border(size, 1 - validation - test), _border(size, 1 - test), size]
    training, validating, testing = (
        text.cut(np.zeros(1, np.int64), np.array([begin]), np.array([end]))
        for begin, end in pairwise(borders)
    )
    return Split(training, validating, testing)


def _by_blocks(text: Part, validation: float, test: float) -> Split:
    return _cut_blocks(text, validation, test, np.array([BLOCKS]))


# Documents.


def _within_documents(text: Part, validation: float, test: float) -> Split:
    """Hold back blocks of each document."""
    sizes = np.diff(text.segment_offsets) - 1
    held = sizes * (validation + test)
    counts = np.round(BLOCKS * sizes / sizes.sum())
    counts = np.minimum(counts, held // USUAL_BLOCK).clip(1).astype(np.int64)
    return _cut_blocks(text, validation, test, counts)


class _Blocks(NamedTuple):
    """Equal parts of segments, and what is held back in the middle of each; all (P,)."""

    segments: Numbers
    begins: Numbers
    ends: Numbers
    first: Numbers  # where what validates begins
    validating: Numbers  # how long it is
    testing: Numbers  # how long the test after it is

    @property
    def second(self) -> Numbers:
        """Where the test begins."""
        return self.first + self.validating

    @property
    def third(self) -> Numbers:
        """Where the test ends."""
        return self.second + self.testing


def _middles(sizes: Numbers, counts: Numbers, validation: float, test: float) -> _Blocks:
    """Cut segments of `sizes` (S,) into `counts` (S,) equal parts each, and take their middles."""
    segments = np.repeat(np.arange(len(counts)), counts)
    numbers = np.arange(len(segments)) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = sizes[segments] * numbers // counts[segments]
    ends = sizes[segments] * (numbers + 1) // counts[segments]
    validating = np.floor((ends - begins) * validation + 1e-6).astype(np.int64)
    testing = np.floor((ends - begins) * test + 1e-6).astype(np.int64)
    first = begins + (ends - begins - validating - testing) // 2
    return _Blocks(segments, begins, ends, first, validating, testing)


def _cut_blocks(text: Part, validation: float, test: float, counts: Numbers) -> Split:
    """Cut each segment into equal parts, as many as `counts` (S,); the middle of each is held back.

    First comes what validates, then the test.
    """
    sizes = np.diff(text.segment_offsets) - (0 if text.boundary is None else 1)
    blocks = _middles(sizes, counts, validation, test)
    segments, first, second, third = blocks.segments, blocks.first, blocks.second, blocks.third
    training = text.cut(
        np.repeat(segments, 2),
        np.column_stack([blocks.begins, third]).ravel(),
        np.column_stack([first, blocks.ends]).ravel(),
    )
    held = int((third - first).mean())
    return Split(
        training,
        text.cut(segments, first, second),
        text.cut(segments, second, third),
        "blocks",
        f"held back: {len(segments)} blocks of about {held:,} symbols, spread evenly over the text",
    )


def _runs_of_documents(text: Part, validation: float, test: float) -> Split:
    """Hold back blocks of whole documents, each of at least one, spread over the text."""
    smallest = min(fraction for fraction in (validation, test) if fraction)
    count = min(BLOCKS, max(1, int(text.segments * smallest)))
    blocks = _middles(np.array([text.segments]), np.array([count]), validation, test)
    found = _selected(
        text, ranges(blocks.first, blocks.validating), ranges(blocks.second, blocks.testing)
    )
    reason = f"{found.reason}, in {count} block{'' if count == 1 else 's'} spread over the text"
    return replace(found, how="blocks", reason=reason)


def _last_documents(text: Part, validation: float, test: float) -> Split:
    """The last documents are the test, those before them validate."""
    numbers = np.arange(text.segments)[::-1]
    found = _taken(text, numbers, validation, test)
    return replace(found, how="end", reason=f"{found.reason}, the last of the text")


def _drawn_documents(text: Part, validation: float, test: float) -> Split:
    """Draw documents at random; one longer than what is held back is never drawn."""
    random = draws.generator(SEED, Purpose.SPLIT)
    numbers = random.permutation(text.segments)
    sizes = np.diff(text.segment_offsets)
    fits = sizes[numbers] <= (validation + test) * sizes.sum()
    shortest_first = np.argsort(sizes, kind="stable")
    numbers = numbers[fits] if np.count_nonzero(fits) > 1 else shortest_first
    found = _taken(text, numbers, validation, test)
    return replace(found, reason=f"{found.reason}, drawn at random")


def _taken(text: Part, numbers: Numbers, validation: float, test: float) -> Split:
    """Take documents in the order of `numbers`: first those of the test, then those that validate.

    Of each as many as come nearest to its fraction of the text, at least one.
    """
    total = len(text)
    tests = _nearest(text, numbers, test * total) if test else 0
    rest = numbers[tests:]
    validates = _nearest(text, rest, validation * total) if validation else 0
    return _selected(text, np.sort(rest[:validates]), np.sort(numbers[:tests]))


def _nearest(text: Part, numbers: Numbers, wanted: float) -> int:
    """How many of the documents come nearest to so many symbols, at least one."""
    sums = np.cumsum(np.diff(text.segment_offsets)[numbers])
    return 1 + int(np.argmin(np.abs(sums - wanted))) if len(sums) else 0


def _selected(text: Part, validating: Numbers, testing: Numbers) -> Split:
    trains = np.ones(text.segments, np.bool_)
    trains[validating] = trains[testing] = False
    held = len(validating) + len(testing)
    return Split(
        text.select(np.flatnonzero(trains)),
        text.select(validating),
        text.select(testing),
        "documents",
        f"held back: {held:,} of {text.segments:,} documents",
    )
