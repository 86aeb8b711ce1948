"""The precision `auto`: the fastest whose loss is small."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ricorda.engine.native import (
    FASTEST_FIRST,
    LARGEST_LOSS,
    NativeBackend,
    divergence,
    log_probabilities,
    make_network,
    written_text,
)
from ricorda.model import ModelConfiguration

MakeCase = Callable[..., Any]


def losses(case: Any, kernels: str) -> dict[str, float]:
    """What each precision loses, in nats per symbol, on the text that is evaluated."""
    ids = written_text(case.configuration, case.network(kernels))
    expected = log_probabilities(case.configuration, case.network(kernels), ids)
    return {
        precision: divergence(
            expected, log_probabilities(case.configuration, case.network(kernels, precision), ids)
        )
        for precision in ("bfloat16", "int8")
    }


def scale(case: Any, factor: float) -> None:
    """Make errors cost more: they grow from step to step, and outputs are surer of themselves."""
    for name in case.tensors:
        case.tensors[name] *= np.float32(factor)


@pytest.mark.parametrize("factor", [1.0, 5.0, 8.0, 10.0, 20.0])
def test_auto_is_the_fastest_that_loses_little(
    make_case: MakeCase, kernels: str, factor: float
) -> None:
    case = make_case(cell="lstm", hidden_size=40)
    scale(case, factor)
    found = losses(case, kernels)
    enough = [name for name in FASTEST_FIRST[kernels] if found[name] < LARGEST_LOSS]
    chosen = NativeBackend(case.configuration, case.tensors, "auto", kernels=kernels).precision
    assert chosen == [*enough, "float32"][0]


def test_auto_is_not_always_the_same(make_case: MakeCase) -> None:
    case = make_case(cell="lstm", hidden_size=40)
    best = next(iter(FASTEST_FIRST))
    if case.network().instruction_set != best:
        pytest.skip("this processor has no precision faster than float32")
    assert NativeBackend(case.configuration, case.tensors, "auto").precision == "int8"
    scale(case, 20)
    assert NativeBackend(case.configuration, case.tensors, "auto").precision == "float32"


def test_what_overflows_stays_float32(make_case: MakeCase) -> None:
    case = make_case(cell="rnn", nonlinearity="relu", hidden_size=16)
    case.tensors["layers.0.weight_hh"] += 1e20
    assert NativeBackend(case.configuration, case.tensors, "auto").precision == "float32"


def test_the_divergence_of_known_distributions() -> None:
    p, q = np.log([[0.5, 0.5], [0.9, 0.1]]), np.log([[0.25, 0.75], [0.9, 0.1]])
    expected = 0.5 * (0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75))
    assert divergence(p, q) == pytest.approx(expected)


@pytest.mark.parametrize("symbols", [1, 2, 65, 3000])
def test_the_text_that_is_evaluated(make_case: MakeCase, symbols: int) -> None:
    case = make_case(cell="rnn", hidden_size=8, vocabulary_size=symbols)
    network = make_network(case.configuration, case.tensors)
    ids = written_text(case.configuration, network)
    assert ids.shape == (8, 32)
    assert ids.max() < symbols
    np.testing.assert_array_equal(ids, written_text(case.configuration, network))


def rounding_network(weights: np.ndarray[Any, Any], precision: str) -> np.ndarray[Any, Any]:
    """The weights (V, 1) as a network has them: its logits where the first unit is 1.

    A second unit, which is 0, has the weight 1 for every symbol: the largest of each row.
    """
    symbols = len(weights)
    configuration = ModelConfiguration(
        cell="rnn",
        nonlinearity="relu",
        vocabulary_size=symbols,
        hidden_size=2,
        embedding_size="onehot",
    )
    tensors = {name: np.zeros(shape, np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }  # fmt: skip
    tensors["layers.0.bias_ih"][0] = 1.0
    tensors["output.weight"] = np.stack([weights, np.ones(symbols)], axis=1).astype(np.float32)
    backend = NativeBackend(configuration, tensors, precision)  # type: ignore[arg-type]
    logits, _ = backend.step(np.zeros(1, np.int64), backend.zero_state(1))
    return np.asarray(logits[0], np.float64)


@pytest.mark.parametrize(
    "precision, relative, absolute",
    [
        ("float32", 2**-24, 0),
        ("bfloat16", 2**-8, 0),  # half of the last of 8 bits
        ("int8", 0, 0.5001 / 127),  # half a step, of which the largest weight has 127
    ],
)
def test_weights_are_rounded_to_the_nearest(
    random: np.random.Generator, precision: str, relative: float, absolute: float
) -> None:
    weights = random.uniform(-1, 1, 2000).astype(np.float32)
    errors = np.abs(rounding_network(weights, precision) - weights)
    assert (errors <= absolute + 1.001 * relative * np.abs(weights)).all()
    mean = 0 if precision == "float32" else (absolute + relative * np.abs(weights)).mean() / 10
    assert errors.mean() >= mean, "the precision should show"


@pytest.mark.parametrize("loss, precision", [(0.0019, "int8"), (0.0021, "float32")])
def test_auto_loses_less_than_two_thousandths_of_a_nat(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch, loss: float, precision: str
) -> None:
    from ricorda.engine import native as choice

    case = make_case(cell="lstm", hidden_size=8)
    monkeypatch.setattr(choice, "divergence", lambda *_: loss)
    monkeypatch.setattr(choice, "FASTEST_FIRST", dict.fromkeys(choice.FASTEST_FIRST, ("int8",)))
    backend = NativeBackend(case.configuration, case.tensors, "auto")
    assert backend.precision == precision
