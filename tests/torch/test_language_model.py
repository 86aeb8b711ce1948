"""The language model: its groupings agree, dropout is its own, a tiny batch is memorized."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ricorda.errors import ConfigurationError
from ricorda.model import ModelConfiguration
from ricorda.model.cells import CellName
from ricorda.torch import RecurrentLanguageModel
from ricorda.torch.dropout import MaskKey, drop_embedding, drop_recurrent

CELL_NAMES: list[CellName] = ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"]

every_model = pytest.mark.parametrize(
    "options",
    [
        {"cell": cell, "num_layers": layers, "embedding_size": embedding}
        for cell in CELL_NAMES
        for layers, embedding in [(1, "onehot"), (2, 5), (3, "onehot")]
    ],
    ids=str,
)


def make(
    options: dict[str, Any], *, hidden_size: int = 9, **settings: Any
) -> RecurrentLanguageModel:
    configuration = ModelConfiguration(vocabulary_size=7, hidden_size=hidden_size, **options)
    generator = torch.Generator().manual_seed(1)
    return RecurrentLanguageModel(configuration, generator=generator, **settings)


@every_model
def test_whole_chunks_and_steps_agree(options: dict[str, Any]) -> None:
    model = make(options).eval()
    ids = torch.randint(7, (3, 11))
    whole, final = model(ids)

    state, pieces = model.initial_state(3), []
    for chunk in ids.split(4, dim=1):
        logits, state = model(chunk, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole)

    state, steps = model.initial_state(3), []
    for moment in range(11):
        logits, state = model.step(ids[:, moment], state)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, dim=1), whole)
    for layer, expected in zip(state, final, strict=True):
        torch.testing.assert_close(tuple(layer), tuple(expected))


@every_model
def test_tensors_are_those_of_the_configuration(options: dict[str, Any]) -> None:
    model = make(options)
    tensors = model.tensors()
    shapes = model.configuration.tensor_shapes()
    assert {name: tensor.shape for name, tensor in tensors.items()} == shapes
    assert model.configuration.parameters == sum(p.numel() for p in model.parameters())
    other = make(options)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_tensors(tensors)
    ids = torch.randint(7, (1, 5))
    torch.testing.assert_close(other(ids)[0], model(ids)[0], atol=0, rtol=0)


@every_model
def test_a_tiny_batch_is_memorized(options: dict[str, Any]) -> None:
    model = make(options)
    ids = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0, 2, 4, 6, 1]])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(70):
        optimizer.zero_grad()
        logits, _ = model(ids[:, :-1])
        loss = F.cross_entropy(logits[0], ids[0, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_logits_of_a_torch_nn_lstm_with_the_same_weights() -> None:
    model = make({"cell": "lstm", "num_layers": 2, "embedding_size": 5}).eval()
    reference = torch.nn.LSTM(5, 9, num_layers=2, batch_first=True)
    reference.load_state_dict(
        {
            f"{name}_l{layer}": value
            for layer, cell in enumerate(model.cells)
            for name, value in cell.state_dict().items()
        }
    )
    assert model.embedding is not None
    ids = torch.randint(7, (2, 13))
    hidden, _ = reference(model.embedding(ids))
    torch.testing.assert_close(model(ids)[0], model.output(hidden))


def test_dropout_is_for_training_alone_and_follows_its_key() -> None:
    model = make({"cell": "gru", "num_layers": 2, "embedding_size": 5}, dropout=0.5)
    ids = torch.randint(7, (4, 6))
    assert not torch.equal(model(ids)[0], model(ids)[0])
    first, second, other = (model.hidden(ids, masks=MaskKey(key))[0] for key in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    torch.manual_seed(3)
    drawn = model(ids)[0]
    torch.manual_seed(3)
    assert torch.equal(model(ids)[0], drawn)
    model.eval()
    assert torch.equal(model(ids)[0], model(ids)[0])


def test_a_part_of_the_streams_has_its_part_of_the_masks() -> None:
    options: dict[str, Any] = {"cell": "lstm", "num_layers": 2, "embedding_size": 5}
    model = make(options, dropout=0.5, input_dropout=0.2, recurrent_dropout=0.2)
    ids = torch.randint(7, (5, 6))
    whole, _ = model.hidden(ids, masks=MaskKey(9))
    parts = [
        model.hidden(ids[rows], masks=MaskKey(9, rows.start, 5))[0]
        for rows in (slice(0, 2), slice(2, 5))
    ]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_the_same_seed_makes_the_same_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    options: dict[str, Any] = {"cell": "lstm", "embedding_size": 5}
    first, second = make(options).tensors(), make(options).tensors()
    assert all((first[name] == second[name]).all() for name in first)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_cell_without_recurrent_weights_drops_none() -> None:
    with pytest.raises(ConfigurationError, match="mingru has no recurrent weights: leave it out"):
        make({"cell": "mingru"}, recurrent_dropout=0.25)


@pytest.mark.parametrize("cell", CELL_NAMES[:-2])
def test_recurrent_weights_are_dropped_once_a_window_and_the_others_scaled_up(
    cell: CellName,
) -> None:
    model = make({"cell": cell}, hidden_size=40, recurrent_dropout=0.25)
    ids, masks = torch.randint(7, (3, 11)), MaskKey(7)
    hidden, _ = model.hidden(ids, masks=masks)
    own = model.cells[0].weight_hh
    weight_hh = drop_recurrent(own, 0.25, masks, layer=0)
    dropped = weight_hh == 0
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.04)
    torch.testing.assert_close(weight_hh[~dropped], own[~dropped] / 0.75)
    hidden.square().sum().backward()
    assert own.grad is not None
    assert not own.grad[dropped].any()

    plain = make({"cell": cell}, hidden_size=40).eval()
    plain.load_tensors(model.tensors())
    with torch.no_grad():
        plain.cells[0].weight_hh.copy_(weight_hh)
    torch.testing.assert_close(hidden, plain.hidden(ids)[0])


def test_input_dropout_makes_a_symbol_the_same_wherever_it_stands() -> None:
    model = make({"cell": "gru", "embedding_size": 50}, input_dropout=0.4)
    assert model.embedding is not None
    hidden, _ = model.hidden(torch.tensor([[3, 3, 1], [3, 5, 3]]), masks=MaskKey(7))
    table = drop_embedding(model.embedding.weight, 0.4, MaskKey(7))
    dropped = table == 0
    assert dropped.float().mean().item() == pytest.approx(0.4, abs=0.08)
    torch.testing.assert_close(table[~dropped], model.embedding.weight[~dropped] / 0.6)
    torch.testing.assert_close(hidden[0, 0], hidden[1, 0])  # the same symbol, from zero

    other, _ = model.hidden(torch.tensor([[3]]), masks=MaskKey(8))
    assert not torch.equal(other[0, 0], hidden[0, 0])


@pytest.mark.parametrize("name", ["input_dropout", "recurrent_dropout"])
def test_dropout_by_window_is_for_training_alone(name: str) -> None:
    options: dict[str, Any] = {"cell": "lstm", "embedding_size": 5}
    settings: dict[str, Any] = {name: 0.5}
    model, plain = make(options, **settings), make(options)
    ids = torch.randint(7, (2, 5))
    assert not torch.equal(model(ids)[0], plain(ids)[0])
    torch.testing.assert_close(model.eval()(ids)[0], plain(ids)[0], atol=0, rtol=0)


def test_one_hot_input_is_never_dropped() -> None:
    model, plain = make({"cell": "rnn"}, input_dropout=0.5), make({"cell": "rnn"})
    ids = torch.randint(7, (2, 5))
    torch.testing.assert_close(model(ids)[0], plain(ids)[0], atol=0, rtol=0)


def test_initial_weights_are_orthogonal_uniform_and_zero() -> None:
    model = make({"cell": "gru", "num_layers": 2, "embedding_size": 5}, hidden_size=16)
    for cell in model.cells:
        for gate in cell.weight_hh.split(16):
            torch.testing.assert_close(gate @ gate.T, torch.eye(16), atol=1e-5, rtol=0)
        assert not cell.bias_ih.any()
        assert not cell.bias_hh.any()
    bound = 16**-0.5
    assert 0.9 * bound < model.output.weight.abs().max() <= bound


def test_a_model_is_made_by_keyword_arguments_or_from_tensors() -> None:
    shape: dict[str, Any] = {"cell": "lstm", "vocabulary_size": 7, "hidden_size": 9}
    model = RecurrentLanguageModel(**shape)
    assert model.configuration == ModelConfiguration(**shape)
    other = RecurrentLanguageModel(model.configuration, tensors=model.tensors())
    ids = torch.randint(7, (2, 5))
    assert torch.equal(model(ids)[0], other(ids)[0])
