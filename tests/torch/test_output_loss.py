"""The loss by portions of rows is that of all rows at once, with gradients and bounded memory."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ricorda.torch.output_loss import mean_nats, nats_of_each

CASES = [(2, 5, 3, 7), (1, 1, 1, 2), (3, 8, 16, 40)]  # B, T, H, V


def case(
    streams: int, steps: int, hidden: int, vocabulary: int
) -> tuple[nn.Linear, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(5)
    output = nn.Linear(hidden, vocabulary)
    with torch.no_grad():
        for parameter in output.parameters():
            parameter.normal_(generator=random)
    values = torch.randn(streams, steps, hidden, generator=random).requires_grad_()
    return output, values, torch.randint(vocabulary, (streams, steps), generator=random)


@pytest.mark.parametrize("sizes", CASES)
@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_portions_come_to_the_whole(sizes: tuple[int, int, int, int], rows: int) -> None:
    output, hidden, targets = case(*sizes)
    inputs = [hidden, output.weight, output.bias]
    expected = F.cross_entropy(output(hidden).double().flatten(0, 1), targets.flatten())
    wanted = torch.autograd.grad(3 * expected, inputs)
    found = mean_nats(output, hidden, targets, most_logits=rows * sizes[-1])
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-6)
    for gradient, its in zip(torch.autograd.grad(3 * found, inputs), wanted, strict=True):
        torch.testing.assert_close(gradient, its, rtol=1e-4, atol=1e-6)
    each = nats_of_each(output, hidden, targets, most_logits=rows * sizes[-1])
    torch.testing.assert_close(each.mean(), expected.float(), rtol=1e-5, atol=1e-6)


def test_portions_follow_autocast() -> None:
    output, hidden, targets = case(3, 8, 16, 40)
    with torch.autocast("cpu", torch.bfloat16):
        found = mean_nats(output, hidden, targets, most_logits=120)
        whole = mean_nats(output, hidden, targets)
    exact = mean_nats(output, hidden, targets)
    assert found.item() != exact.item()
    assert found.item() == pytest.approx(whole.item(), rel=1e-3)
    inputs = [hidden, output.weight]
    for gradient, its in zip(
        torch.autograd.grad(found, inputs), torch.autograd.grad(whole, inputs), strict=True
    ):
        torch.testing.assert_close(gradient, its, rtol=0.05, atol=0.02)


def test_no_more_logits_are_held_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    output, hidden, targets = case(4, 16, 8, 50)
    rows: list[int] = []
    linear = F.linear

    def watched(inputs: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        rows.append(inputs.shape[:-1].numel())
        return linear(inputs, *rest)

    monkeypatch.setattr(F, "linear", watched)
    mean_nats(output, hidden, targets, most_logits=500).backward()
    assert sum(rows) == 64
    assert max(rows) == 10
    rows.clear()
    with torch.no_grad():
        nats_of_each(output, hidden, targets, most_logits=500)
        mean_nats(output, hidden, targets, most_logits=500)
    assert max(rows) == 10
    assert hidden.grad is not None
