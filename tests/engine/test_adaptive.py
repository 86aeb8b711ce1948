"""Adaptive reading: the kernels against PyTorch, and what a person may rely on."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda import load
from ricorda.engine import Precision, adaptive, kernels_are_built, open_model
from ricorda.engine.adaptive import (
    FLOOR,
    PULL,
    SEGMENT,
    AdaptiveBackend,
    gather_gradient_sizes,
    gradient_factors,
)
from ricorda.errors import ConfigurationError, NothingLearnedWarning
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CellName
from ricorda.text.parts import Part
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

pytestmark = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")

LETTERS = CharacterVocabulary("\nabcdefg", "\n")
MANY = CharacterVocabulary("\nabcdefg" + "".join(map(chr, range(0x430, 0x450))), "\n")
"""More symbols than a segment has: each window has rows of the embedding of its own."""

DOCUMENTS = CharacterVocabulary("\nabcdefg", "\n", has_boundary=True)


def model_file(
    vocabulary: Vocabulary = LETTERS, *, seed: int = 1, scale: float = 0.3, **shape: Any
) -> ModelFile:
    options: dict[str, Any] = {"cell": "lstm", "hidden_size": 12, "embedding_size": 5} | shape
    configuration = ModelConfiguration(
        vocabulary_size=vocabulary.size, documents=vocabulary.boundary is not None, **options
    )
    random = np.random.default_rng(seed)
    tensors = {
        name: random.normal(0, scale, each).astype(np.float32)
        for name, each in configuration.tensor_shapes().items()
    }
    part = Part.whole(random.integers(0, 8, 3000).astype(np.uint32))
    sizes = gather_gradient_sizes(configuration, tensors, part, 64)
    return ModelFile(configuration, vocabulary, tensors, {}, sizes)


def text_of(count: int, seed: int = 2) -> str:
    """Letters that follow a rule, which an untrained network can learn while it reads."""
    random = np.random.default_rng(seed)
    letters = [0]
    for _ in range(count - 1):
        letters.append((2 * letters[-1] + 1 + int(random.integers(0, 2))) % 7)
    return "".join("abcdefg"[each] for each in letters)


class TorchReader:
    """The rule in PyTorch: one expert that learns at one rate."""

    def __init__(self, file: ModelFile, rate: float) -> None:
        torch = pytest.importorskip("torch")
        from ricorda.torch import RecurrentLanguageModel

        self.torch, self.rate = torch, rate
        self.module = RecurrentLanguageModel(file.configuration, tensors=file.tensors)
        assert file.gradient_sizes is not None
        factors = gradient_factors(file.gradient_sizes)
        self.rules = [
            (parameter, parameter.detach().clone(), torch.from_numpy(factors[name]))
            for name, parameter in self.module.named_parameters()
        ]

    def read(self, ids: np.ndarray) -> np.ndarray:
        torch = self.torch
        state, nats = None, []
        for begin in range(0, len(ids) - 1, SEGMENT):
            inputs = torch.from_numpy(ids[begin : begin + SEGMENT].astype(np.int64))[None]
            targets = torch.from_numpy(ids[begin + 1 : begin + SEGMENT + 1].astype(np.int64))
            inputs = inputs[:, : len(targets)]
            logits, state = self.module(inputs, state)
            losses = torch.nn.functional.cross_entropy(logits[0], targets, reduction="none")
            nats.append(losses.detach().numpy())
            if len(targets) == SEGMENT:
                self.learn(losses.mean())
            state = detached(state)
        return np.concatenate(nats)

    def learn(self, loss: Any) -> None:
        self.module.zero_grad()
        loss.backward()
        with self.torch.no_grad():
            for parameter, trained, factors in self.rules:
                assert parameter.grad is not None
                moved = parameter - self.rate * parameter.grad * factors
                parameter.copy_(moved + PULL * (trained - moved))


def detached(state: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(part.detach() for part in parts) for parts in state]


def mixed(experts: list[np.ndarray]) -> np.ndarray:
    """Nats of a mixture of the trained network, which has half, and others."""
    first = np.array([0.5] + [0.5 / (len(experts) - 1)] * (len(experts) - 1))
    shares, nats = first, []
    for probabilities in np.exp(-np.stack(experts, axis=1).astype(np.float64)):
        total = float(shares @ probabilities)
        nats.append(-math.log(total))
        shares = (1 - 1e-5) * shares * probabilities / total + 1e-5 * first
    return np.array(nats)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
@pytest.mark.parametrize(
    "shape",
    [{}, {"vocabulary": MANY}, {"num_layers": 2, "embedding_size": "onehot"}],
    ids=["few symbols", "many symbols", "one-hot"],
)
def test_it_learns_as_pytorch_does(
    cell: CellName, shape: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = (3e-3, 1e-2)
    monkeypatch.setattr(adaptive, "RATES", rates)
    file = model_file(cell=cell, **shape)
    ids = file.vocabulary.encode(text_of(9 * SEGMENT + 9))
    each_alone = [TorchReader(file, rate).read(ids) for rate in (0.0, *rates)]
    expected = mixed(each_alone)
    assert file.gradient_sizes is not None
    reader = AdaptiveBackend(open_model(file).backend, file.gradient_sizes)  # without counts
    found, _ = reader.score(ids[None, :-1], ids[None, 1:], reader.zero_state(1))
    assert np.abs(found.nats[0] - expected).max() < 2e-4
    assert expected[SEGMENT:].mean() < each_alone[0][SEGMENT:].mean() - 0.02  # it has learned


def test_the_likeliest_symbols_are_the_readers_own() -> None:
    model = open_model(model_file())
    scores = model.score(text_of(400), alternatives=8, adaptive=True)
    assert np.abs(scores.alternative_probabilities[1:].sum(axis=1) - 1).max() < 1e-5
    assert (np.diff(scores.alternative_probabilities[1:], axis=1) <= 1e-7).all()
    chosen = scores.alternative_ids[1:] == scores.ids[1:, np.newaxis]
    nats = -np.log(scores.alternative_probabilities[1:][chosen])
    assert np.abs(nats - scores.nats[1:]).max() < 1e-4


def test_what_teaches_nothing_costs_next_to_nothing() -> None:
    random = np.random.default_rng(3)
    for size in (60, 400, 4000):
        text = "".join("abcdefg"[each] for each in random.integers(0, 7, size))
        model = open_model(model_file(scale=0.01))
        frozen, learned = (model.evaluate(text, adaptive=each) for each in (False, True))
        assert learned.nats <= frozen.nats + math.log(16 / 7) + 2e-5 * size + 1e-3
        assert learned.protocol == "adaptive"
        assert learned.characters == frozen.characters


def test_numbers_that_grow_beyond_all_bounds_are_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adaptive, "RATES", (1e3, 1e30, 3e38))
    model = open_model(model_file())
    text = text_of(2000)
    assert model.evaluate(text, adaptive=True).nats <= model.evaluate(text).nats + 1


def test_the_model_is_not_changed_and_another_is() -> None:
    file = model_file()
    model = open_model(file)
    before = {name: tensor.copy() for name, tensor in file.tensors.items()}
    text = text_of(3000)
    learned = model.adapt(text)
    assert all((before[name] == file.tensors[name]).all() for name in before)
    assert learned.evaluate(text_of(500, 5)).nats < model.evaluate(text_of(500, 5)).nats - 30
    again = learned.adapt(text)
    assert again.evaluate(text).nats < learned.evaluate(text).nats


@pytest.mark.parametrize("vocabulary", [LETTERS, MANY], ids=["few symbols", "many symbols"])
def test_all_weights_learn(vocabulary: Vocabulary) -> None:
    file = model_file(vocabulary)
    learned = open_model(file).adapt(text_of(500)).backend.tensors
    assert all((learned[name] != tensor).any() for name, tensor in file.tensors.items())


def test_a_text_that_teaches_nothing_is_reported() -> None:
    model = open_model(model_file())
    with pytest.warns(NothingLearnedWarning, match="more than 32 symbols, got 32"):
        model.adapt(text_of(SEGMENT))
    model.adapt(text_of(SEGMENT + 1))  # a warning is an error here


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_are_repeated(threads: int) -> None:
    file, text = model_file(), text_of(1500)
    one = open_model(file, threads=1).score(text, adaptive=True)
    other = open_model(file, threads=threads).score(text, adaptive=True)
    assert (one.nats[1:] == other.nats[1:]).all()


def test_a_text_may_come_in_pieces() -> None:
    model, text = open_model(model_file()), text_of(1000)
    whole = model.evaluate(text, adaptive=True)
    assert model.evaluate([text[:333], text[333:700], text[700:]], adaptive=True) == whole


def test_an_adapted_model_is_saved(tmp_path: Path) -> None:
    learned = open_model(model_file()).adapt(text_of(500))
    learned.save(tmp_path / "learned.safetensors")
    loaded = load(tmp_path / "learned.safetensors")
    assert loaded.training["adapted"] is True
    assert loaded.evaluate("abcdabcd") == learned.evaluate("abcdabcd")
    assert loaded.evaluate("abcd" * 40, adaptive=True) == learned.evaluate(
        "abcd" * 40, adaptive=True
    )


@pytest.mark.parametrize(
    "precision, hidden_size, expected",
    [
        ("float32", 12, "float32"),
        ("float32", 300, "bfloat16"),
        ("bfloat16", 12, "bfloat16"),
        ("int8", 12, "float32"),
    ],
)
def test_large_networks_and_those_of_bfloat16_learn_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, hidden_size: int, expected: str
) -> None:
    made: list[str] = []

    def record(*_: Any, precision: str, **__: Any) -> None:
        made.append(precision)

    file = model_file(hidden_size=hidden_size)
    monkeypatch.setattr("ricorda._kernels.AdaptiveReader", record)
    open_model(file, precision).adaptive_backend()
    assert made == [expected]


def test_bfloat16_learns_as_float32_does() -> None:
    file, text = model_file(hidden_size=64), text_of(4000)
    exact, rounded = (open_model(file, each) for each in ("float32", "bfloat16"))
    expected = exact.evaluate(text, adaptive=True).nats_per_character
    found = rounded.evaluate(text, adaptive=True).nats_per_character
    assert found != expected
    assert found == pytest.approx(expected, abs=0.01)
    assert found < exact.evaluate(text).nats_per_character - 0.05
    adapted = rounded.adapt(text)
    assert adapted.backend.precision == "bfloat16"  # type: ignore[attr-defined]


def test_a_network_of_less_precision_adapts_too() -> None:
    """The trained network predicts in its own precision; what is learned stays near float32's."""
    file, text = model_file(), text_of(3000)
    expected = open_model(file).evaluate(text, adaptive=True).nats_per_character
    for precision in ("bfloat16", "int8"):
        found = open_model(file, precision).evaluate(text, adaptive=True).nats_per_character
        assert found == pytest.approx(expected, abs=0.02)


def test_documents_are_read_in_order() -> None:
    """A later document of a kind is less surprising; each still begins from a zero state."""
    model = open_model(model_file(DOCUMENTS))
    documents = [text_of(60, seed) for seed in range(60)]
    rows = list(model.score_documents(documents, adaptive=True))
    nats = [row.nats for row in rows]
    assert np.mean(nats[-20:]) < np.mean(nats[:20]) - 5
    whole = model.evaluate(documents, adaptive=True)
    assert whole.nats == pytest.approx(sum(nats))
    assert (whole.documents, whole.protocol) == (60, "adaptive")
    assert {row.protocol for row in rows} == {"adaptive"}
    assert model.score(documents[0], adaptive=True).figures.protocol == "adaptive"
    assert model.score(documents[0]).figures.protocol == "documents"
    other_order = model.evaluate(documents[::-1], adaptive=True)
    assert other_order.nats != whole.nats


def test_what_is_needed_is_reported() -> None:
    file = model_file()
    bare = ModelFile(file.configuration, file.vocabulary, file.tensors)
    for call in (
        lambda: open_model(bare).adapt("abc"),
        lambda: open_model(bare).evaluate("abc", adaptive=True),
    ):
        with pytest.raises(ConfigurationError, match="lacks the gradient sizes"):
            call()
    with pytest.raises(ConfigurationError, match="compiled kernels"):
        open_model(file, backend="numpy").adapt("abc")
    with pytest.raises(ConfigurationError, match="leave the window out"):
        open_model(file).evaluate("abc", 5, adaptive=True)


def test_sizes_of_gradients_are_root_mean_squares() -> None:
    """Of a text of two segments, the first of which warms up: those of PyTorch's gradients."""
    torch = pytest.importorskip("torch")
    file = model_file()
    ids = LETTERS.encode(text_of(2 * SEGMENT + 1))
    sizes = gather_gradient_sizes(file.configuration, file.tensors, Part.whole(ids), 1)
    assert sizes is not None
    from ricorda.torch import RecurrentLanguageModel

    module = RecurrentLanguageModel(file.configuration, tensors=file.tensors)
    squares = {name: torch.zeros_like(each) for name, each in module.named_parameters()}
    state = None
    for begin in (0, SEGMENT):
        inputs = torch.from_numpy(ids[begin : begin + SEGMENT].astype(np.int64))[None]
        targets = torch.from_numpy(ids[begin + 1 : begin + SEGMENT + 1].astype(np.int64))
        module.zero_grad()
        logits, state = module(inputs, state)
        torch.nn.functional.cross_entropy(logits[0], targets).backward()
        state = detached(state)
        if begin == 0:  # it warms the state up
            continue
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None
            squares[name] += parameter.grad**2
    factors = gradient_factors(sizes)
    expected = {name: each.sqrt().numpy() for name, each in squares.items()}
    mean = np.concatenate([each.ravel() for each in expected.values()]).mean()
    for name, each in expected.items():
        ratio = factors[name] * (each + FLOOR * mean)
        assert (ratio.min(), ratio.max()) == pytest.approx((1, 1), abs=0.06)
