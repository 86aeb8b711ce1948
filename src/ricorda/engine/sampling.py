"""How the next symbol is chosen from logits: options, probabilities, random numbers."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.engine.backend import Array
from ricorda.errors import ModelFileError, VocabularyError
from ricorda.text.vocabulary import Vocabulary
from ricorda.validation import one_or_several

Mask = NDArray[np.bool_]
Probabilities = NDArray[np.float64]

FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]

LARGEST_SCORE = 1e300  # keeps an extreme penalty from making infinities, which have no softmax


@dataclass(
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", use_attribute_docstrings=True),
)
class SamplingSettings:
    """How a symbol is chosen; the options apply in the order in which they are listed here."""

    repetition_penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Penalty for symbols that occur in the repetition window: it divides positive logits and
    multiplies negative ones. Values above 1 reduce repetition."""

    repetition_window: Annotated[int, Field(ge=1, le=10**12)] = 64
    """Number of recent symbols, including the prompt's, to which the repetition penalty applies."""

    logit_bias: tuple[tuple[int, FiniteNumber], ...] = ()
    """Ids of symbols and what is added to the logit of each; those that the model lacks are an
    error."""

    presence_penalty: FiniteNumber = 0.0
    """Amount subtracted from the logit of each symbol that was already written. The prompt does not
    count."""

    frequency_penalty: FiniteNumber = 0.0
    """Amount subtracted from the logit of a symbol for each time that it was already written. The
    prompt does not count."""

    banned: str = ""
    """Never write these characters."""

    allowed: Annotated[str, Field(min_length=1)] | None = None
    """Write only these characters; by default all."""

    banned_word: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(one_or_several)
    ] = ()
    """Never write this word or sequence of characters, not even inside a longer word."""

    greedy: bool = False
    """Always choose the most likely symbol; of equally likely ones, the first in the vocabulary."""

    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.8
    """Divides the logits. Values below 1 make the text more predictable, values above 1 more
    varied; 0 is the same as greedy."""

    top_k: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Sample only from the k most likely symbols."""

    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Sample only from the most likely symbols whose probabilities add up to p."""

    min_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """Exclude symbols whose probability is below this fraction of the highest probability."""

    @property
    def chooses_the_best(self) -> bool:
        """Whether the choice is deterministic."""
        return self.greedy or self.temperature == 0


def bias_of(settings: SamplingSettings, vocabulary: Vocabulary) -> NDArray[np.float32] | None:
    """Give what is added to each logit, (V,); None if nothing.

    Raises VocabularyError for an id that the model lacks.
    """
    if not settings.logit_bias:
        return None
    bias = np.zeros(vocabulary.size, np.float32)
    for symbol, amount in settings.logit_bias:
        if not 0 <= symbol < vocabulary.size:
            raise VocabularyError(
                f"logit_bias expects ids from 0 to {vocabulary.size - 1}, got {symbol}"
            )
        bias[symbol] += amount
    return bias


def distribution(
    logits: Array,
    settings: SamplingSettings,
    recent: Iterable[int] = (),
    permitted: Mask | None = None,
    bias: Array | None = None,
    written: Mapping[int, int] | None = None,
) -> Probabilities:
    """Turn the logits of the next symbol, (V,), into the probabilities it is drawn with, (V,).

    `recent` are the last symbols read, which the repetition penalty looks at; `permitted` says
    which symbols may be written, (V,); `bias` comes from `bias_of`; `written` says how often each
    symbol was written so far. Raises ModelFileError if a logit is not finite.
    """
    scores = finite(logits)
    penalise(scores, recent, settings.repetition_penalty)
    if bias is not None:
        scores += bias
    for symbol, times in (written or {}).items():
        scores[symbol] -= settings.presence_penalty + settings.frequency_penalty * times
    if permitted is not None:
        scores[~permitted] = -np.inf
    if settings.chooses_the_best:
        certain = np.zeros_like(scores)
        certain[scores.argmax()] = 1
        return certain
    scores -= scores.max()  # first, so that a tiny temperature cannot make two infinities
    with np.errstate(over="ignore"):
        scores /= settings.temperature
    if settings.top_k is not None:
        scores[most_likely_first(scores)[settings.top_k :]] = -np.inf
    probabilities: Probabilities = np.exp(scores)
    probabilities /= probabilities.sum()
    if settings.top_p is not None and settings.top_p < 1:
        keep_nucleus(probabilities, settings.top_p)
    if settings.min_p is not None:
        probabilities[probabilities < settings.min_p * probabilities.max()] = 0
    probabilities /= probabilities.sum()
    return probabilities


def penalise(scores: Probabilities, recent: Iterable[int], penalty: float) -> None:
    """Lower, in place, the scores of the symbols seen lately (Keskar et al., 2019)."""
    if penalty == 1:
        return
    seen = np.array(sorted(set(recent)), np.intp)
    with np.errstate(over="ignore"):
        lowered = np.where(scores[seen] > 0, scores[seen] / penalty, scores[seen] * penalty)
    scores[seen] = np.clip(lowered, -LARGEST_SCORE, LARGEST_SCORE)


def keep_nucleus(probabilities: Probabilities, top_p: float) -> None:
    """Set to 0, in place, all but the symbols that reach `top_p` (Holtzman et al., 2020)."""
    order = most_likely_first(probabilities)
    reached = int(np.searchsorted(np.cumsum(probabilities[order]), top_p))
    probabilities[order[reached + 1 :]] = 0


def choose(probabilities: Probabilities, uniform: float) -> int:
    """Take the first symbol whose cumulative probability exceeds `uniform`, in [0, 1)."""
    cumulative = np.cumsum(probabilities)
    chosen = int(np.searchsorted(cumulative, uniform, side="right"))
    if chosen < len(probabilities):
        return chosen
    return int(np.flatnonzero(probabilities)[-1])  # the sum was rounded to a little below 1


def drawn_seed(given: int | None) -> int:
    """Return the seed that was given, else a fresh one."""
    return secrets.randbits(32) if given is None else given


def uniforms(seed: int, stream_index: int = 0) -> Iterator[float]:
    """Yield the random numbers of one stream, in [0, 1), one for each symbol it writes.

    From the counter-based generator Philox 4x64-10 (Salmon et al., 2011) with the key (seed, stream
    index), so that a stream's numbers depend on nothing else; the upper 53 bits of each output.
    """
    generator = np.random.Philox(key=np.array([seed, stream_index], np.uint64))
    while True:
        yield (int(generator.random_raw()) >> 11) * 2.0**-53


def log_softmax(logits: Array) -> Probabilities:
    """Return the natural logarithms of the probabilities of logits (..., V): x - log(sum(exp(x))).

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
        raise not_finite_error()
    return wide


def not_finite_error() -> ModelFileError:
    """Return the error of a model whose logits or surprisals are not finite."""
    return ModelFileError(
        "expected finite numbers from the model, got infinity or NaN: its state overflows on "
        "this text; train it again with a lower learning rate or without relu"
    )
