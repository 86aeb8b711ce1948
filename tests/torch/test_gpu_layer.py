"""What cuDNN is given: one type, weights in one piece, never float16. Computed by the processor."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ricorda.model.cells import CellName
from ricorda.torch.cells import CELLS, LSTMState, RecurrentCell, gpu_layer

NAMES: list[CellName] = ["rnn", "gru", "lstm"]
STREAMS, STEPS, INPUTS, HIDDEN = 3, 5, 4, 6


def fits_cudnn(given: tuple[Any, ...], kind: torch.dtype) -> None:
    """See that a layer's arguments are what cuDNN takes without a copy of its own."""
    inputs, state, weights = given[:3]
    parts = list(state) if isinstance(state, list) else [state]
    assert {each.dtype for each in (inputs, *parts, *weights)} == {kind}
    assert all(part.is_contiguous() for part in parts)
    assert not torch.is_autocast_enabled("cpu")
    offset, memory = 0, weights[0].untyped_storage().data_ptr()
    for weight in weights:
        assert weight.untyped_storage().data_ptr() == memory
        assert (weight.storage_offset(), weight.is_contiguous()) == (offset, True)
        offset += weight.numel()


@pytest.fixture(params=["float32", "bfloat16"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """The type that is computed in; PyTorch's layers are watched."""
    wanted: torch.dtype = getattr(torch, request.param)

    def watch(name: str) -> None:
        layer: Callable[..., Any] = getattr(torch, name)

        def watched(*given: Any) -> Any:
            fits_cudnn(given, wanted)
            return layer(*given)

        monkeypatch.setattr(torch, name, watched)

    for name in ("lstm", "gru", "rnn_tanh"):
        watch(name)
    return wanted


def case(name: CellName) -> tuple[RecurrentCell, Tensor, tuple[Tensor, ...]]:
    random = torch.Generator().manual_seed(3)
    cell = CELLS[name](INPUTS, HIDDEN).reset_parameters(random)
    inputs = torch.randn(STREAMS, STEPS, INPUTS, generator=random).requires_grad_()
    state = tuple(
        torch.randn(HIDDEN, STREAMS, generator=random).T.requires_grad_() for _ in cell.state_names
    )
    return cell, inputs, state


@pytest.mark.parametrize("name", NAMES)
def test_it_computes_what_the_cell_does_with_gradients(name: CellName, kind: torch.dtype) -> None:
    cell, inputs, state = case(name)
    thinned = cell.weight_hh * (torch.arange(HIDDEN) % 2)
    hidden, expected = state, []
    for step in range(STEPS):
        hidden = torch.func.functional_call(cell, {"weight_hh": thinned}, (inputs[:, step], hidden))
        expected.append(hidden[0])
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        outputs, after = gpu_layer.over_window(cell.by_torch, inputs, state, cell.weights(thinned))
    assert outputs.dtype == kind
    assert {part.dtype for part in after} == {torch.float32}
    allowed = 1e-5 if kind == torch.float32 else 0.05
    torch.testing.assert_close(
        outputs.float(), torch.stack(expected, 1), rtol=allowed, atol=allowed
    )
    of = [inputs, *state, *cell.parameters()]
    wanted = torch.autograd.grad(sum(h.sum() for h in (*expected, *hidden)), of, retain_graph=True)
    found = torch.autograd.grad(outputs.float().sum() + sum(part.sum() for part in after), of)
    for gradient, its in zip(found, wanted, strict=True):
        assert gradient.dtype == torch.float32
        torch.testing.assert_close(gradient, its, rtol=5 * allowed, atol=5 * allowed)


def test_layers_of_a_gpu_go_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def stands_in(*given: Any) -> Any:
        seen.append("gpu")
        return given[1], given[2]

    monkeypatch.setattr(gpu_layer, "over_window", stands_in)
    cell, inputs, state = case("lstm")

    class OnGpu:
        device = torch.device("cuda", 1)

    outputs, after = cell.over_window(OnGpu(), state)  # type: ignore[arg-type]
    assert seen == ["gpu"]
    assert outputs.device == OnGpu.device
    assert isinstance(after, LSTMState)
    cell.over_window(inputs, state)
    assert seen == ["gpu"]
