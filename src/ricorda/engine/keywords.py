"""The options by name, for type checkers; their descriptions are in the settings classes.

Made from those classes by `python -m tests.keyword_files`.
"""

from collections.abc import Iterable
from typing import Literal, TypedDict


class SamplingKeywords(TypedDict, total=False):
    """How a symbol is chosen."""

    repetition_penalty: float
    repetition_window: int
    logit_bias: Iterable[tuple[int, float]]
    presence_penalty: float
    frequency_penalty: float
    banned: str
    allowed: str | None
    banned_word: str | Iterable[str]
    greedy: bool
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None


class GenerationKeywords(TypedDict, total=False):
    """How a text is written."""

    repetition_penalty: float
    repetition_window: int
    logit_bias: Iterable[tuple[int, float]]
    presence_penalty: float
    frequency_penalty: float
    banned: str
    allowed: str | None
    banned_word: str | Iterable[str]
    greedy: bool
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    length: int | Literal["inf"] | None
    label: str | None
    stop: str | Iterable[str]
    seed: int | None
    stream_index: int
    alternatives: int | None
    on_unknown: Literal["error", "skip"]
