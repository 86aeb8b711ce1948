"""The average of the weights: its arithmetic, the swap, what a checkpoint keeps."""

import contextlib

import pytest
import torch

from ricorda.model import ModelConfiguration, RecurrentLanguageModel
from ricorda.training.average import WeightAverage

MODEL = ModelConfiguration(cell="gru", vocabulary_size=5, hidden_size=3, embedding_size=2)


def make_model(seed: int = 1) -> RecurrentLanguageModel:
    return RecurrentLanguageModel(MODEL, generator=torch.Generator().manual_seed(seed))


def move(model: RecurrentLanguageModel) -> None:
    """Take a step in some direction."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape))


def copies(model: RecurrentLanguageModel) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.5, 0.99])
def test_it_is_the_moving_average_of_the_steps(decay: float) -> None:
    model = make_model()
    average = WeightAverage(model, decay)
    expected = {name: value.double() for name, value in copies(model).items()}
    for step in range(1, 40):
        move(model)
        average.update(model)
        kept = min(decay, (1 + step) / (10 + step))
        for name, weight in copies(model).items():
            expected[name] = kept * expected[name] + (1 - kept) * weight.double()
    assert set(average.tensors) == set(model.state_dict())
    for name, tensor in average.tensors.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-5)


def test_where_it_began_is_soon_forgotten() -> None:
    model = make_model()
    average = WeightAverage(model, 0.9999)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7.0)
    for _ in range(30):
        average.update(model)
    assert all(torch.allclose(each, torch.tensor(7.0)) for each in average.tensors.values())


def test_swapped_in_the_model_has_the_average_and_afterwards_its_own_weights() -> None:
    model = make_model()
    average = WeightAverage(model, 0.5)
    move(model)
    average.update(model)
    raw = copies(model)
    averaged = {name: value.clone() for name, value in average.tensors.items()}
    places = [parameter.data_ptr() for parameter in model.parameters()]
    with contextlib.suppress(KeyError), average.swapped_in(model):
        assert all(torch.equal(value, averaged[name]) for name, value in copies(model).items())
        assert [parameter.data_ptr() for parameter in model.parameters()] == places
        raise KeyError
    assert all(torch.equal(value, raw[name]) for name, value in copies(model).items())
    assert all(torch.equal(value, averaged[name]) for name, value in average.tensors.items())


def test_it_goes_on_from_what_a_checkpoint_kept() -> None:
    model = make_model()
    average, resumed = WeightAverage(model, 0.9), WeightAverage(make_model(2), 0.9)
    for _ in range(3):
        move(model)
        average.update(model)
    resumed.load_state({name: value.clone() for name, value in average.state().items()})
    move(model)
    for each in (average, resumed):
        each.update(model)
    assert resumed.steps == average.steps == 4
    for name, tensor in average.tensors.items():
        torch.testing.assert_close(resumed.tensors[name], tensor, atol=0, rtol=0)
    with pytest.raises(KeyError):
        resumed.load_state({})
