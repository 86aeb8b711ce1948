"""Dropout masks: how many are dropped, by whose random numbers, in which form."""

import pytest
import torch

from ricorda.torch.dropout import dropout_mask


@pytest.mark.parametrize("probability", [0.0001, 0.1, 0.5, 0.75, 0.999])
def test_the_probability_is_what_is_asked_for_everywhere(probability: float) -> None:
    generator = torch.Generator().manual_seed(1)
    mask = dropout_mask(torch.empty(1000, 400), probability, generator)
    spread = (probability * (1 - probability) / mask.numel()) ** 0.5
    assert (mask == 0).double().mean().item() == pytest.approx(probability, abs=5 * spread)
    assert mask.max().item() == pytest.approx(1 / (1 - probability), rel=0.02)
    by_place = (mask.view(-1, 4) == 0).double().mean(0)  # four to a random number
    assert by_place.tolist() == pytest.approx([probability] * 4, abs=10 * spread)


def test_neighbours_do_not_depend_on_each_other() -> None:
    mask = dropout_mask(torch.empty(400_000), 0.5, torch.Generator().manual_seed(2)) == 0
    for distance in (1, 2, 3, 4, 5):
        alike = (mask[distance:] == mask[:-distance]).double().mean().item()
        assert alike == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (7, 2, 3), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_any_shape_and_type(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    mask = dropout_mask(torch.empty(shape, dtype=dtype), 0.5, None)
    assert mask.shape == shape
    assert mask.dtype == dtype
    assert set(mask.flatten().tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize("probability", [1e-9, 1 - 1e-9])
def test_the_ends_are_never_quite_reached(probability: float) -> None:
    mask = dropout_mask(torch.empty(1_000_000), probability, torch.Generator().manual_seed(3))
    assert 0 < mask.count_nonzero() < mask.numel()
    assert mask.isfinite().all()


def test_the_generator_alone_decides() -> None:
    before = torch.random.get_rng_state()
    masks = [
        dropout_mask(torch.empty(50), 0.5, torch.Generator().manual_seed(seed))
        for seed in (4, 4, 5)
    ]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert torch.equal(before, torch.random.get_rng_state())
