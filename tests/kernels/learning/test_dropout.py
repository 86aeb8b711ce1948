"""Dropout masks: how often, where, the same forwards and backwards, different each step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ricorda import _kernels
from tests.kernels.learning.conftest import long, restarted

MakeCase = Callable[..., Any]
Array = NDArray[np.float32]


def mask(count: int, key: int, first: int = 0, drop: float = 0.5, kernels: str = "") -> Array:
    """What `count` ones become."""
    values = np.ones(count, np.float32)
    _kernels.drop(values, key, first, 1 - drop, kernels)
    return values


@pytest.mark.parametrize("drop", [0.001, 0.1, 0.5, 0.75, 0.99])
def test_as_many_are_dropped_as_is_asked_for(random: np.random.Generator, drop: float) -> None:
    count = 1_000_000
    dropped = mask(count, int(random.integers(2**63)), drop=drop) == 0
    assert abs(int(dropped.sum()) - count * drop) < 5 * (count * drop * (1 - drop)) ** 0.5


def test_what_stays_is_scaled_up(random: np.random.Generator) -> None:
    values = random.normal(size=1000).astype(np.float32)
    before = values.copy()
    _kernels.drop(values, 1, 0, 0.8)
    kept = values != 0
    np.testing.assert_allclose(values[kept], before[kept] / 0.8, rtol=1e-6)


def test_places_keys_and_distances_do_not_depend_on_each_other(random: np.random.Generator) -> None:
    """Masks that stand in relation agree in half of their places, within five standard errors.

    Keys alike in their high half have one mask in two orders, and so count each pair of places
    twice: the standard error is the larger by the root of two.
    """
    count = 400_000
    key = int(random.integers(2**63))
    one = mask(count, key) == 0
    standard_error = 0.5 / count**0.5
    others = {
        "next key": mask(count, key + 1) == 0,
        "next layer": mask(count, (key + 3 * 0x9E3779B97F4A7C15) % 2**64) == 0,
        "other low half": mask(count, key ^ 0x10000) == 0,
        "other high half": mask(count, key ^ (1 << 40)) == 0,
    } | {f"distance {d}": np.roll(one, d) for d in (1, 2, 3, 16, 64, 128, 256, 4096)}
    for name, other in others.items():
        pairs_twice = name in ("next key", "other low half")
        bound = 5 * standard_error * (2**0.5 if pairs_twice else 1)
        assert abs((one == other).mean() - 0.5) < bound, name
    runs = np.packbits(one.reshape(-1, 8), axis=1).ravel()  # each of 256 patterns as often
    counts = np.bincount(runs, minlength=256)
    expected = count / 8 / 256
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi_square - 255) < 5 * (2 * 255) ** 0.5


@pytest.mark.parametrize("drop", [1e-9, 5.9e-8])
def test_a_share_of_nearly_nothing_drops_nearly_nothing(kernels: str, drop: float) -> None:
    assert mask(10_000, 5, drop=drop, kernels=kernels).min() > 0


def test_masks_do_not_depend_on_portions_or_instruction_sets(kernels: str) -> None:
    whole = mask(1000, 77, 5)
    np.testing.assert_array_equal(whole, mask(1000, 77, 5, kernels=kernels))
    pieces = [mask(count, 77, 5 + first, kernels=kernels) for first, count in PIECES]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))


PIECES = [(0, 1), (1, 16), (17, 33), (50, 300), (350, 650)]


# The kernels' keys: one for each layer's output, its recurrent weights, and the embedding.
OUTPUTS, RECURRENT, EMBEDDING = range(3)


def of_layer(count: int, key: int, kind: int, layer: int, drop: float, first: int = 0) -> Array:
    key += 0x9E3779B97F4A7C15 * (1 + 3 * layer + kind)
    return mask(count, key % 2**64, first, drop)


def masks_of(case: Any, key: int, dropout: float, inputs: float, recurrent: float) -> Any:
    """Those of one step: outputs (L, B, T, H), embedding (V, E), recurrent (L, G H, H)."""
    shape = case.configuration
    hidden, layers = shape.hidden_size, range(shape.num_layers)
    outputs = [
        of_layer(case.streams * case.steps * hidden, key, OUTPUTS, layer, dropout)
        .reshape(case.steps, case.streams, hidden)
        .swapaxes(0, 1)
        for layer in layers
    ]
    embedding = None
    if shape.embedding_size != "onehot":
        size = shape.embedding_size
        padded = (size + 15) // 16 * 16
        embedding = np.stack(
            [
                of_layer(size, key, EMBEDDING, 0, inputs, number * padded)
                for number in range(shape.vocabulary_size)
            ]
        )
    weights = [case.weights[f"layers.{layer}.weight_hh"] for layer in layers]
    return (
        outputs,
        embedding,
        [
            of_layer(weight.size, key, RECURRENT, layer, recurrent).reshape(weight.shape)
            for layer, weight in zip(layers, weights, strict=True)
        ],
    )


def masked_gradients(case: Any, masks: Any) -> tuple[float, dict[str, NDArray[Any]]]:
    """PyTorch's loss and gradients, in float64, of the network under these masks."""
    outputs, embedding, recurrent = [
        None if each is None else [torch.from_numpy(m.copy()).double() for m in each]
        for each in masks
    ]
    model, ids = case.model(), long(case.inputs)
    if embedding is None:
        hidden = F.one_hot(ids, case.configuration.vocabulary_size).double()
    else:
        hidden = F.embedding(ids, model.embedding.weight * torch.stack(embedding))
    state = case.layers_of([torch.from_numpy(part).double() for part in case.state])
    state = restarted(state, torch.from_numpy(case.restart).double())
    assert recurrent is not None
    assert outputs is not None
    for layer, cell in enumerate(model.cells):
        hidden, _ = cell.over_window(
            hidden, state[layer], {"weight_hh": cell.weight_hh * recurrent[layer]}
        )
        hidden = hidden * outputs[layer]
    logits = model.output(hidden).flatten(0, 1)
    loss = F.cross_entropy(logits, long(case.targets).flatten())
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    return loss.item(), {n: g.numpy() for n, g in zip(names, gradients, strict=True)}


SHAPES: list[dict[str, Any]] = [
    {"cell": "rnn", "num_layers": 3},
    {"cell": "gru", "num_layers": 2, "hidden_size": 33, "embedding_size": 20},
    {"cell": "gru", "hidden_size": 16, "vocabulary_size": 70},  # more than the window's symbols
    {"cell": "lstm", "num_layers": 2, "embedding_size": "onehot"},
    {"cell": "lstm", "num_layers": 2, "steps": 200},  # more symbols than go together
]
DROPPED = [(0.4, 0.0, 0.0), (0.0, 0.4, 0.0), (0.0, 0.0, 0.4), (0.2, 0.3, 0.5)]


@pytest.mark.parametrize("shape", SHAPES, ids=["rnn", "gru", "many symbols", "one-hot", "long"])
@pytest.mark.parametrize("dropped", DROPPED, ids=["outputs", "inputs", "recurrent", "all"])
def test_the_same_mask_forwards_and_backwards(
    make_case: MakeCase,
    random: np.random.Generator,
    shape: dict[str, Any],
    dropped: tuple[float, float, float],
) -> None:
    case = make_case(**shape)
    key = int(random.integers(2**63))
    names = ("dropout", "input_dropout", "recurrent_dropout")
    learner = case.learner(**dict(zip(names, dropped, strict=True)))
    nats, _ = learner.step(key=key, learning_rate=0.0)
    expected_nats, expected = masked_gradients(case, masks_of(case, key, *dropped))
    assert nats == pytest.approx(expected_nats, rel=1e-6)
    for name, gradient in learner.gradients().items():
        np.testing.assert_allclose(
            gradient, expected[name], rtol=0, atol=1e-5 * np.abs(expected[name]).max() + 1e-12
        )


@pytest.mark.parametrize("option", ["dropout", "input_dropout", "recurrent_dropout"])
def test_each_option_drops_and_differently_in_each_step(make_case: MakeCase, option: str) -> None:
    case = make_case(num_layers=2)
    learner = case.learner(**{option: 0.5})
    results = [learner.step(key=key, update=False) for key in (1, 2, 3, 1)]
    assert len(set(results[:3])) == 3
    assert results[3] == results[0]
    assert case.learner().step(update=False) not in results


@pytest.mark.parametrize("option", ["dropout", "input_dropout", "recurrent_dropout"])
def test_masks_do_not_depend_on_threads(make_case: MakeCase, option: str) -> None:
    case = make_case(hidden_size=72, streams=5, steps=32, vocabulary_size=60, num_layers=2)
    one, other = (case.learner(threads=threads, **{option: 0.5}) for threads in (1, 2))
    results = [learner.step(key=9)[0] for learner in (one, other)]
    assert results[0] == pytest.approx(results[1], rel=1e-6)
    for ours, theirs in zip(one.gradients().values(), other.gradients().values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_what_is_dropped_for_good_is_not_learned(make_case: MakeCase) -> None:
    """Weights masked in a step have no gradient in it."""
    case = make_case()
    learner = case.learner(recurrent_dropout=0.5)
    learner.step(key=4)
    masked = masks_of(case, 4, 0.5, 0.5, 0.5)[2][0] == 0
    gradient = learner.gradients()["layers.0.weight_hh"]
    assert not gradient[masked].any()
    assert gradient[~masked].all()
