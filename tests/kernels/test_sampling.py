"""What the kernels choose, against the reference and against exact probabilities."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda import _kernels
from ricorda.engine.constraints import KernelConstraint
from ricorda.engine.sampling import SamplingSettings, choose, distribution
from tests.kernels.conftest import INSTRUCTION_SETS

NOTHING_READ = np.zeros(0, np.uint32)

SETTINGS: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": 0.7},
    "hot": {"temperature": 3.0},
    "greedy": {"greedy": True},
    "top k": {"temperature": 1.0, "top_k": 4},
    "top p": {"temperature": 1.0, "top_p": 0.8},
    "min p": {"temperature": 1.0, "min_p": 0.1},
    "all": {
        "temperature": 1.3,
        "top_k": 9,
        "top_p": 0.95,
        "min_p": 0.05,
        "repetition_penalty": 1.4,
    },
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("vocabulary_size", [2, 17, 65, 300, 3000])
def test_choices_are_those_of_the_reference(
    random: np.random.Generator, options: dict[str, Any], vocabulary_size: int
) -> None:
    for trial in range(10):
        logits = random.normal(0, 3, vocabulary_size).astype(np.float32)
        if trial % 3 == 0:
            logits = np.round(logits)  # many equals
        recent = random.integers(0, vocabulary_size, 20, np.uint32)
        permitted = random.random(vocabulary_size) < 0.6 if trial % 2 else None
        if permitted is not None:
            permitted[random.integers(vocabulary_size)] = True
        expected = distribution(logits, SamplingSettings(**options), recent.tolist(), permitted)
        uniforms = away_from_boundaries(random.random(300), expected)
        constraint = None if permitted is None else single_state(permitted)
        settings = _kernels.SamplingSettings(constraint=constraint, **options)
        known = [choose(expected, uniform) for uniform in uniforms]
        for kernels in INSTRUCTION_SETS:
            chosen = _kernels.choose(logits, settings, recent, uniforms, kernels)
            assert chosen.tolist() == known, kernels


def single_state(permitted: NDArray[np.bool_]) -> KernelConstraint:
    """Permit the same symbols always: listing the forbidden or the permitted ones."""
    if permitted[0]:
        symbols = np.flatnonzero(~permitted).tolist()
        return 0, [0, len(symbols)], symbols, [-1] * len(symbols), [0]
    symbols = np.flatnonzero(permitted).tolist()
    return 0, [0, len(symbols)], symbols, [0] * len(symbols), [-1]


def away_from_boundaries(
    uniforms: NDArray[np.float64], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Leave out the numbers so close to a boundary that float32 may fall on its other side."""
    distances = np.abs(np.cumsum(probabilities)[:, np.newaxis] - uniforms)
    kept: NDArray[np.float64] = uniforms[distances.min(axis=0) > 1e-5]
    return kept


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_frequencies_pass_a_chi_square_test(kernels: str, options: dict[str, Any]) -> None:
    """Fixed seeds: the statistic is the same in every run."""
    logits = np.random.default_rng(5).normal(0, 1.5, 40).astype(np.float32)
    recent = np.arange(10, dtype=np.uint32)
    count = 200_000
    uniforms = np.asarray(_kernels.philox(9, 3, count) >> np.uint64(11), np.float64) * 2.0**-53
    settings = _kernels.SamplingSettings(**options)
    chosen = _kernels.choose(logits, settings, recent, uniforms, kernels)
    observed = np.bincount(chosen, minlength=40)
    expected = count * distribution(logits, SamplingSettings(**options), recent.tolist())
    possible = expected > 0
    assert (observed[~possible] == 0).all()
    statistic = ((observed - expected)[possible] ** 2 / expected[possible]).sum()
    freedom = max(1, int(possible.sum()) - 1)
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)


def test_the_ends_of_the_unit_interval(kernels: str) -> None:
    logits = np.array([-200, 0, -200, 0, -200], np.float32)
    uniforms = np.array([0.0, 0.4999999, 0.5000001, 1 - 2.0**-53])
    settings = _kernels.SamplingSettings(temperature=1.0)
    chosen = _kernels.choose(logits, settings, NOTHING_READ, uniforms, kernels)
    assert chosen.tolist() == [1, 1, 3, 3]


def test_extreme_options(kernels: str) -> None:
    logits = np.array([1, 3, 3, 2], np.float32)
    uniforms = np.linspace(0, 0.999, 50)

    def chosen(**options: Any) -> set[int]:
        settings = _kernels.SamplingSettings(**options)
        return set(_kernels.choose(logits, settings, NOTHING_READ, uniforms, kernels).tolist())

    assert chosen(temperature=0.0) == {1}
    assert chosen(temperature=1e-300) == {1, 2}
    assert chosen(temperature=1e300) == {0, 1, 2, 3}
    assert chosen(top_k=1) == {1}
    assert chosen(top_p=1e-12) == {1}
    assert chosen(min_p=1.0) == {1, 2}
    assert chosen(constraint=(0, [0, 1], [0], [0], [-1])) == {0}


def test_more_symbols_are_kept_than_are_at_all_likely(kernels: str) -> None:
    logits = np.array([-60, 0, -50, 0, -70, -1e30], np.float32)
    uniforms = np.array([0.0, 1e-24, 0.3, 0.7, 1 - 2.0**-53])
    for options in ({"top_k": 4}, {"top_p": 1 - 2.0**-53}, {"top_k": 5, "top_p": 0.9999}):
        settings = _kernels.SamplingSettings(temperature=1.0, **options)
        chosen = _kernels.choose(logits, settings, NOTHING_READ, uniforms, kernels).tolist()
        assert chosen[2:] == [1, 3, 3]
    logits = np.array([0, -60, -50, -40], np.float32)  # a temperature that makes all likely
    settings = _kernels.SamplingSettings(temperature=1e6, top_k=3)
    chosen = _kernels.choose(logits, settings, NOTHING_READ, np.linspace(0, 0.999, 50), kernels)
    assert set(chosen.tolist()) == {0, 2, 3}


def test_an_extreme_penalty_keeps_numbers_finite(kernels: str) -> None:
    logits = np.array([5, -5, 1], np.float32)
    recent = np.array([0, 0, 1], np.uint32)
    for penalty, expected in ((1e308, 2), (1e-308, 0)):
        settings = _kernels.SamplingSettings(repetition_penalty=penalty)
        chosen = _kernels.choose(logits, settings, recent, np.array([0.3]), kernels)
        assert chosen.tolist() == [expected]


@pytest.mark.parametrize("options", [
    {"temperature": -1.0},
    {"temperature": np.nan},
    {"temperature": np.inf},
    {"top_k": -1},
    {"top_p": 0.0},
    {"top_p": 1.1},
    {"top_p": np.nan},
    {"min_p": -0.1},
    {"min_p": 1.1},
    {"repetition_penalty": 0.0},
    {"repetition_penalty": np.inf},
    {"repetition_window": 0},
    {"constraint": (0, [0, 0], [], [], [-1])},  # permits nothing
    {"constraint": (0, [0, 3], [0, 1, 2], [-1, -1, -1], [0])},  # nor does this
    {"constraint": (1, [0, 0], [], [], [0])},  # no such start
    {"constraint": (0, [0, 1], [3], [0], [0])},  # no such symbol
    {"constraint": (0, [0, 1], [0], [1], [0])},  # no such state
    {"constraint": (0, [0, 0], [], [], [1])},
    {"constraint": (0, [0, 2], [1, 1], [0, 0], [0])},  # not ascending
    {"constraint": (0, [0, 2], [1], [0], [0])},  # more than there are
    {"constraint": (0, [0], [], [], [0])},
    {"constraint": (0, [0, 2, 1], [1], [0], [0, 0])},
])  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    settings = _kernels.SamplingSettings(**options)
    with pytest.raises(ValueError, match=next(iter(options))):
        _kernels.choose(np.zeros(3, np.float32), settings, NOTHING_READ, np.array([0.5]))


@pytest.mark.parametrize("size", [2, 17, 300])
def test_bias_and_penalties_are_those_of_the_reference(
    random: np.random.Generator, kernels: str, size: int
) -> None:
    for _ in range(10):
        logits = random.normal(0, 3, size).astype(np.float32)
        written = random.integers(0, size, 12, np.uint32)
        biased = tuple((int(i), float(random.uniform(-5, 5))) for i in random.permutation(size)[:5])
        options: dict[str, Any] = {
            "temperature": 0.9,
            "presence_penalty": float(random.uniform(-2, 2)),
            "frequency_penalty": float(random.uniform(-2, 2)),
        }
        bias = np.zeros(size, np.float32)
        for symbol, amount in biased:
            bias[symbol] = amount
        python = SamplingSettings(**options, logit_bias=biased)
        expected = distribution(logits, python, (), None, bias, Counter(written.tolist()))
        uniforms = away_from_boundaries(random.random(300), expected)
        settings = _kernels.SamplingSettings(**options, bias=bias)
        chosen = _kernels.choose(logits, settings, NOTHING_READ, uniforms, kernels, written)
        assert chosen.tolist() == [choose(expected, uniform) for uniform in uniforms]


@pytest.mark.parametrize(
    "options",
    [
        {"bias": np.zeros(3, np.float32)},
        {"bias": np.full(4, np.inf, np.float32)},
        {"presence_penalty": np.inf},
        {"frequency_penalty": np.nan},
    ],
    ids=str,
)
def test_wrong_bias_and_penalties_are_errors(options: dict[str, Any]) -> None:
    logits = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match=r"bias|penalty"):
        _kernels.choose(logits, _kernels.SamplingSettings(**options), NOTHING_READ, np.zeros(1))
