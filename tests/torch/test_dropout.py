"""Dropout masks: those of the kernels, bit for bit, wherever their numbers stand."""

from typing import Any

import numpy as np
import pytest
import torch

from ricorda.torch.dropout import MaskKey, drop_embedding, drop_outputs, drop_recurrent

_kernels = pytest.importorskip("ricorda._kernels")

KEYS = [0, 1, 2**63 + 12345, 2**64 - 1]
PROBABILITIES = [5.9e-8, 0.001, 0.2, 0.5, 0.75, 0.99]


def by_kernels(values: torch.Tensor, key: int, layer: int, first: int, probability: float) -> Any:
    """The kernels' mask on rows of values, whose first number stands at a place."""
    left = values.numpy().reshape(-1).copy()
    key = (key + 0x9E3779B97F4A7C15 * (1 + layer)) % 2**64
    _kernels.drop(left, key, first, 1 - np.float32(probability))
    return torch.from_numpy(left.reshape(values.shape))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("probability", PROBABILITIES)
def test_recurrent_masks_are_those_of_the_kernels(key: int, probability: float) -> None:
    weight = torch.randn(3 * 33, 33)
    found = drop_recurrent(weight, probability, MaskKey(key), layer=2)
    assert torch.equal(found, by_kernels(weight, key, 3 * 2 + 1, 0, probability))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("probability", PROBABILITIES)
def test_masks_of_outputs_are_those_of_the_kernels(key: int, probability: float) -> None:
    """Streams 2 to 4 of 7: the kernels number places by time, stream and unit."""
    hidden = torch.randn(3, 11, 9)  # (B, T, H)
    found = drop_outputs(hidden, probability, MaskKey(key, 2, 7), layer=1)
    for time in range(11):
        expected = by_kernels(hidden[:, time], key, 3 * 1, (time * 7 + 2) * 9, probability)
        assert torch.equal(found[:, time], expected)


@pytest.mark.parametrize("size", [4, 16, 33])
def test_masks_of_the_embedding_are_those_of_the_kernels(size: int) -> None:
    table = torch.randn(11, size)
    found = drop_embedding(table, 0.3, MaskKey(77))
    for symbol in range(11):
        first = symbol * (-(-size // 16) * 16)
        assert torch.equal(found[symbol], by_kernels(table[symbol], 77, 2, first, 0.3))


def test_places_beyond_32_bits_wrap_as_in_the_kernels() -> None:
    hidden = torch.randn(1, 2, 40)
    first = 2**31 // 40
    found = drop_outputs(hidden, 0.5, MaskKey(5, first, 2**31), layer=0)
    for time in range(2):
        place = (time * 2**31 + first) * 40 % 2**32
        assert torch.equal(found[:, time], by_kernels(hidden[:, time], 5, 0, place, 0.5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_any_type_keeps_its_type(dtype: torch.dtype) -> None:
    dropped = drop_recurrent(torch.ones(8, 8, dtype=dtype), 0.5, MaskKey(1), layer=0)
    assert dropped.dtype == dtype
    assert set(dropped.flatten().tolist()) == {0.0, 2.0}


def test_gradients_are_masked_too() -> None:
    weight = torch.randn(6, 6, requires_grad=True)
    dropped = drop_recurrent(weight, 0.5, MaskKey(3), layer=0)
    dropped.sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad == 0, dropped == 0)
