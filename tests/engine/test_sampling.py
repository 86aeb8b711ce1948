"""Each sampling option against a computation by brute force; the random numbers; the choice."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ricorda.engine import (
    Model,
    SamplingSettings,
    choose,
    distribution,
    uniforms,
)
from ricorda.errors import ConfigurationError, ModelFileError, VocabularyError
from ricorda.validation import validated

Vector = NDArray[np.float64]

LOGITS = np.array([0.3, 2.0, -1.0, 2.0, 0.9, -0.2, 0.3, 1.4])


def brute_force(
    logits: Sequence[float], settings: SamplingSettings, recent: Sequence[int] = ()
) -> list[float]:
    """The same rules, one symbol at a time."""
    scores = list(logits)
    for symbol in set(recent):
        penalty = settings.repetition_penalty
        scores[symbol] = (
            scores[symbol] / penalty if scores[symbol] > 0 else scores[symbol] * penalty
        )
    ranked = sorted(range(len(scores)), key=lambda symbol: (-scores[symbol], symbol))
    if settings.greedy or settings.temperature == 0:
        return [float(symbol == ranked[0]) for symbol in range(len(scores))]
    kept = ranked if settings.top_k is None else ranked[: settings.top_k]
    weights = {symbol: math.exp(scores[symbol] / settings.temperature) for symbol in kept}
    total = sum(weights.values())
    probabilities = {symbol: weight / total for symbol, weight in weights.items()}
    if settings.top_p is not None:
        for count in range(1, len(kept) + 1):
            if sum(probabilities[symbol] for symbol in kept[:count]) >= settings.top_p:
                kept = kept[:count]
                break
    if settings.min_p is not None:
        least = settings.min_p * probabilities[kept[0]]
        kept = [symbol for symbol in kept if probabilities[symbol] >= least]
    total = sum(probabilities[symbol] for symbol in kept)
    return [
        probabilities[symbol] / total if symbol in kept else 0.0 for symbol in range(len(scores))
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.0},
        {"temperature": 0.3},
        {"temperature": 3.0},
        {"top_k": 1},
        {"top_k": 3},
        {"top_k": 100},
        {"top_p": 0.001},
        {"top_p": 0.6},
        {"min_p": 0.2},
        {"min_p": 1.0},
        {"greedy": True},
        {"temperature": 0},
        {"repetition_penalty": 1.5},
        {"repetition_penalty": 0.5},
        {"top_k": 6, "top_p": 0.9, "min_p": 0.1, "temperature": 1.3, "repetition_penalty": 1.1},
    ],
)
def test_each_option_changes_something_and_is_right(options: dict[str, Any]) -> None:
    settings = SamplingSettings(**options)
    recent = [1, 2, 1, 5]
    computed = distribution(LOGITS, settings, recent)
    np.testing.assert_allclose(computed, brute_force(LOGITS.tolist(), settings, recent), rtol=1e-12)
    if options != {"top_k": 100}:
        assert not np.allclose(computed, distribution(LOGITS, SamplingSettings(), recent))


@given(
    st.lists(st.integers(-40, 40).map(lambda n: n / 4), min_size=1, max_size=12),
    st.floats(0.05, 5),
    st.none() | st.integers(1, 14),
    # Between the sums that equal logits make, where rounding decides nothing.
    st.none() | st.sampled_from([0.1234, 0.4567, 0.7891, 0.9876]),
    st.none() | st.sampled_from([0.0123, 0.2345, 0.6789]),
)
def test_any_mixture_equals_brute_force(
    logits: list[float],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
) -> None:
    settings = SamplingSettings(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    computed = distribution(np.array(logits), settings)
    assert abs(computed.sum() - 1) < 1e-12
    np.testing.assert_allclose(computed, brute_force(logits, settings), rtol=1e-9, atol=1e-12)


def test_among_equals_the_lower_number_wins() -> None:
    equal = np.zeros(4)
    assert distribution(equal, SamplingSettings(greedy=True)).tolist() == [1, 0, 0, 0]
    assert distribution(equal, SamplingSettings(top_k=2)).tolist() == [0.5, 0.5, 0, 0]
    assert distribution(equal, SamplingSettings(top_p=0.5)).tolist() == [0.5, 0.5, 0, 0]


def test_top_p_of_one_keeps_everything() -> None:
    logits = np.array([0.0, -60.0])  # the second is lost where 1 is reached by rounding
    assert distribution(logits, SamplingSettings(top_p=1.0, temperature=1))[1] > 0


def test_extreme_options_stay_finite() -> None:
    for settings in (
        SamplingSettings(temperature=1e-300),
        SamplingSettings(temperature=1e300),
        SamplingSettings(repetition_penalty=1e-300),
        SamplingSettings(repetition_penalty=1e300),
    ):
        computed = distribution(1e30 * LOGITS, settings, range(8))
        assert np.isfinite(computed).all()
        assert abs(computed.sum() - 1) < 1e-12


def test_logits_that_are_no_numbers_are_reported() -> None:
    with pytest.raises(ModelFileError, match="finite"):
        distribution(np.array([0.0, np.inf]), SamplingSettings())
    with pytest.raises(ModelFileError, match="finite"):
        distribution(np.array([0.0, np.nan]), SamplingSettings(greedy=True))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"temperature": -1}, "temperature must be at least 0, got -1"),
        ({"temperature": math.inf}, "temperature must be a finite number, got inf"),
        ({"temperature": math.nan}, "temperature must be a finite number, got nan"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_p": 0}, "top_p must be greater than 0, got 0"),
        ({"top_p": 1.1}, "top_p must be at most 1, got 1.1"),
        ({"min_p": -0.1}, "min_p must be at least 0, got -0.1"),
        ({"min_p": 2}, "min_p must be at most 1, got 2"),
        ({"repetition_penalty": 0}, "repetition_penalty must be greater than 0, got 0"),
        ({"repetition_window": 0}, "repetition_window must be at least 1, got 0"),
        ({"allowed": ""}, "allowed must be at least 1 long, got ''"),
        ({"temprature": 1}, "unknown option temprature: did you mean temperature?"),
    ],
)
def test_what_is_out_of_range_is_reported(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        validated(SamplingSettings, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("symbol", [-1, 8])
def test_a_bias_of_an_id_that_the_model_lacks_is_reported(symbol: int, model: Model) -> None:
    with pytest.raises(VocabularyError, match=rf"ids from 0 to 7, got {symbol}$"):
        model.generate("abc", logit_bias=((symbol, 1.0),))
    model.generate("abc", length=1, logit_bias=((0, 1.0), (7, 1.0)))


def test_choose_takes_the_first_symbol_whose_cumulative_probability_exceeds() -> None:
    probabilities = np.array([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    chosen = [choose(probabilities, u) for u in (0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53)]
    assert chosen == [1, 1, 3, 3, 4, 4]


def test_choose_never_takes_what_has_no_probability() -> None:
    short = np.array([0.5, 0.5 - 1e-9, 0.0])  # rounded sums may fall short of 1
    assert choose(short, 1 - 2**-53) == 1


def philox(key: tuple[int, int], block: int) -> list[int]:
    """Philox 4x64 with 10 rounds, from the paper (Salmon et al., 2011)."""
    mask = 2**64 - 1
    (first, second), counter = key, [block, 0, 0, 0]
    for _ in range(10):
        left, right = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [
            (right >> 64) ^ counter[1] ^ first,
            right & mask,
            (left >> 64) ^ counter[3] ^ second,
            left & mask,
        ]
        first, second = (first + 0x9E3779B97F4A7C15) & mask, (second + 0xBB67AE8584CAA73B) & mask
    return counter


@pytest.mark.parametrize("key", [(0, 0), (1, 2), (2**64 - 1, 2**64 - 1), (2**63, 7)])
def test_the_random_numbers_are_those_of_the_paper(key: tuple[int, int]) -> None:
    numbers = list(itertools.islice(uniforms(*key), 10))
    raw = [philox(key, 1 + place // 4)[place % 4] for place in range(10)]
    assert numbers == [(number >> 11) / 2**53 for number in raw]
    assert all(0 <= number < 1 for number in numbers)


CRITICAL_VALUE = 24.32  # of chi-square with 7 degrees of freedom, passed by chance once in 1,000


def chi_square(counts: Sequence[int], probabilities: Vector) -> float:
    expected = probabilities * sum(counts)
    return float((((np.array(counts) - expected) ** 2) / expected).sum())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_along_a_stream_follow_the_probabilities(temperature: float) -> None:
    probabilities = distribution(LOGITS, SamplingSettings(temperature=temperature))
    drawn = Counter(choose(probabilities, u) for u in itertools.islice(uniforms(7), 20000))
    assert chi_square([drawn[symbol] for symbol in range(8)], probabilities) < CRITICAL_VALUE


def test_frequencies_across_streams_follow_the_probabilities() -> None:
    probabilities = distribution(LOGITS, SamplingSettings(temperature=1))
    drawn = Counter(choose(probabilities, next(uniforms(7, stream))) for stream in range(5000))
    assert chi_square([drawn[symbol] for symbol in range(8)], probabilities) < CRITICAL_VALUE


def test_the_penalty_looks_at_the_window_of_the_last_symbols(model: Model) -> None:
    def after(prompt: str, **options: Any) -> Vector:
        return model.distribution(prompt, temperature=1, **options).probabilities

    plain = after("abcab")
    assert not np.allclose(after("abcab", repetition_penalty=2.0), plain)
    narrow = after("abcab", repetition_penalty=2.0, repetition_window=1)
    logits = np.log(plain)
    odds_of_others = narrow[[0, 1, 3]] / narrow[4]  # b alone is penalised
    np.testing.assert_allclose(odds_of_others, np.exp(logits[[0, 1, 3]] - logits[4]))
    assert not math.isclose(narrow[2] / narrow[4], plain[2] / plain[4])


def test_a_strong_penalty_makes_writing_less_repetitive(
    make_model: Callable[..., Model],
) -> None:
    model = make_model("abcdefgh")
    plain = model.generate("a", length=300, seed=1, temperature=0.3)
    penalised = model.generate(
        "a", length=300, seed=1, temperature=0.3, repetition_penalty=3.0, repetition_window=4
    )

    def repeated(text: str) -> int:
        return sum(text[place] in text[place - 4 : place] for place in range(4, len(text)))

    assert repeated(penalised) < repeated(plain)


@pytest.mark.parametrize("kind", ["presence_penalty", "frequency_penalty"])
def test_what_was_read_but_not_written_has_no_penalty(kind: str) -> None:
    settings = validated(SamplingSettings, temperature=1.0, **{kind: 2.0})
    logits = np.zeros(3, np.float32)
    found = distribution(logits, settings, recent=[0, 0, 1], written={1: 2})
    taken = 2.0 if kind == "presence_penalty" else 4.0
    expected = np.exp([0.0, -taken, 0.0])
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)
