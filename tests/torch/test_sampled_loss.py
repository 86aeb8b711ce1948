"""The loss of a sampled softmax by PyTorch."""

import numpy as np
import pytest
import torch
from torch import nn

from ricorda.text import Part
from ricorda.torch.output_loss import NegativeTensors, mean_nats, sampled_mean_nats
from ricorda.training.data.negatives import NegativeSampler


def drawn_at(sampler: NegativeSampler, step: int) -> NegativeTensors:
    ids, logarithms = sampler.at(step)
    return NegativeTensors(torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(logarithms))


def text() -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """Return symbols of which few are frequent."""
    weights = 1.0 / np.arange(1, 200)
    return np.random.default_rng(1).choice(199, 4000, p=weights / weights.sum()).astype(np.uint16)


def test_the_denominator_is_on_average_that_over_all() -> None:
    generator = torch.Generator().manual_seed(3)
    output = nn.Linear(8, 200).double()
    hidden = torch.randn(1, 5, 8, generator=generator, dtype=torch.float64)
    targets = torch.tensor([[0, 3, 40, 199, 3]])
    sampler = NegativeSampler(Part.whole(text()), 200, 60, seed=1)
    with torch.no_grad():
        own = output(hidden)[0].gather(1, targets.T)[:, 0]
        ratios = []
        for step in range(3000):
            drawn = drawn_at(sampler, step)
            # one row at a time, to have each denominator
            nats = torch.stack(
                [
                    sampled_mean_nats(output, hidden[:, i : i + 1], targets[:, i : i + 1], drawn)
                    for i in range(5)
                ]
            )
            ratios.append((nats + own).exp())
        found = torch.stack(ratios).mean(0)
        expected = output(hidden)[0].exp().sum(1)
        every = torch.stack(ratios).std(0) / 3000**0.5
    assert ((found - expected).abs() <= 5 * every).all()


def test_where_none_are_drawn_nothing_is_left_to_learn() -> None:
    hidden = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(4), requires_grad=True)
    nothing = NegativeTensors(torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    nats = sampled_mean_nats(nn.Linear(8, 30), hidden, torch.ones(2, 7, dtype=torch.int64), nothing)
    nats.backward()
    assert nats.item() == pytest.approx(0, abs=1e-6)
    assert hidden.grad is not None
    assert hidden.grad.abs().max() < 1e-6


def test_where_all_are_drawn_the_nats_are_exact() -> None:
    generator = torch.Generator().manual_seed(4)
    output, hidden = nn.Linear(8, 30), torch.randn(2, 7, 8, generator=generator)
    targets = torch.randint(30, (2, 7), generator=generator)
    everything = NegativeTensors(torch.arange(30), torch.zeros(30))
    torch.testing.assert_close(
        sampled_mean_nats(output, hidden, targets, everything), mean_nats(output, hidden, targets)
    )
