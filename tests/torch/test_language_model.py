"""The language model: its groupings agree, dropout is its own, a tiny batch is learned by heart."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ricorda.model import ModelConfiguration, RecurrentLanguageModel
from ricorda.model.cells import CellName

CELL_NAMES: list[CellName] = ["rnn", "gru", "lstm"]

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
def test_a_tiny_batch_is_learned_by_heart(options: dict[str, Any]) -> None:
    model = make(options)
    ids = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0, 2, 4, 6, 1]])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
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


def test_dropout_drops_in_training_alone_by_its_own_generator() -> None:
    model = make({"cell": "gru", "num_layers": 2, "embedding_size": 5}, dropout=0.5)
    assert model.generator is not None
    ids = torch.randint(7, (4, 6))
    start = model.generator.get_state()
    before = torch.random.get_rng_state()
    first, second = model(ids)[0], model(ids)[0]
    assert not torch.equal(first, second)
    model.generator.set_state(start)
    torch.testing.assert_close(model(ids)[0], first, atol=0, rtol=0)
    assert torch.equal(before, torch.random.get_rng_state())
    model.eval()
    assert torch.equal(model(ids)[0], model(ids)[0])


def test_the_same_seed_makes_the_same_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    options: dict[str, Any] = {"cell": "lstm", "embedding_size": 5}
    first, second = make(options).tensors(), make(options).tensors()
    assert all((first[name] == second[name]).all() for name in first)
    assert torch.equal(before, torch.random.get_rng_state())


class Recorder(RecurrentLanguageModel):
    """Keeps what a window's dropout has left of each tensor."""

    kept: list[torch.Tensor]

    def _drop(self, values: torch.Tensor, probability: float) -> torch.Tensor:
        left = super()._drop(values, probability)
        self.kept.append(left)
        return left


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_recurrent_weights_are_dropped_once_a_window_and_the_others_scaled_up(
    cell: CellName,
) -> None:
    configuration = ModelConfiguration(cell=cell, vocabulary_size=7, hidden_size=40)
    model = Recorder(
        configuration, recurrent_dropout=0.25, generator=torch.Generator().manual_seed(1)
    )
    model.kept = []
    ids = torch.randint(7, (3, 11))
    logits, _ = model(ids)
    weight_hh = model.kept[0]
    own = model.cells[0].weight_hh
    dropped = weight_hh == 0
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.04)
    torch.testing.assert_close(weight_hh[~dropped], own[~dropped] / 0.75, rtol=1e-4, atol=0)
    logits.square().sum().backward()
    assert own.grad is not None
    assert not own.grad[dropped].any()

    plain = make({"cell": cell}, hidden_size=40).eval()
    plain.load_tensors(model.tensors())
    with torch.no_grad():
        plain.cells[0].weight_hh.copy_(weight_hh)
    torch.testing.assert_close(logits, plain(ids)[0])


def test_input_dropout_makes_a_symbol_the_same_wherever_it_stands() -> None:
    configuration = ModelConfiguration(
        cell="gru", vocabulary_size=7, hidden_size=9, embedding_size=50
    )
    model = Recorder(configuration, input_dropout=0.4, generator=torch.Generator().manual_seed(1))
    assert model.embedding is not None
    model.kept = []
    logits, _ = model(torch.tensor([[3, 3, 1], [3, 5, 3]]))
    table = model.kept[0]
    dropped = table == 0
    assert dropped.float().mean().item() == pytest.approx(0.4, abs=0.08)
    torch.testing.assert_close(
        table[~dropped], model.embedding.weight[~dropped] / 0.6, rtol=1e-4, atol=0
    )
    torch.testing.assert_close(logits[0, 0], logits[1, 0])  # of the same symbol, from zero

    model.kept = []
    other, _ = model(torch.tensor([[3]]))
    assert not torch.equal(model.kept[0], table)
    assert not torch.equal(other[0, 0], logits[0, 0])


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


def test_how_weights_are_drawn_is_told_to_every_layer() -> None:
    options: dict[str, Any] = {"cell": "lstm", "num_layers": 2}
    uniform, usual = make(options, initialisation="uniform", forget_bias=3.0), make(options)
    for cell, other in zip(uniform.cells, usual.cells, strict=True):
        assert not torch.equal(cell.weight_hh, other.weight_hh)
        assert cell.bias_ih[9:18].tolist() == [3.0] * 9
