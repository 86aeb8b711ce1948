"""Counts in adaptive reading: distributions that sum to one, and what repeats becomes cheap."""

import math
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest

from ricorda.engine import kernels_are_built, open_model
from ricorda.engine.adaptive import AdaptiveBackend, LearningPrecision, letters_of
from ricorda.engine.backend import Ids
from ricorda.engine.model import Model
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.pieces import PieceVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary
from ricorda.text.words import WordVocabulary

pytestmark = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")

VOCABULARIES: dict[str, Vocabulary] = {
    "one symbol": CharacterVocabulary("a", "a"),
    "characters": CharacterVocabulary("\n abcdeè", "\n"),
    "rare characters": CharacterVocabulary("\n abc", "\n", has_rare=True),
    "bytes": ByteVocabulary(10),
    "pieces": PieceVocabulary("\n abcdeè", [(1, 2), (3, 4), (9, 5), (8, 10)], "\n"),
    "words": WordVocabulary("\n abcdeè", ["abc", "de"], "\n"),
    "documents": CharacterVocabulary("\n abcdeè", "\n", has_boundary=True),
    "byte documents": ByteVocabulary(10, has_boundary=True),
    "labels": CharacterVocabulary("\n abcdeè", "\n", has_boundary=True, labels=("x", "y")),
}


def model_of(vocabulary: Vocabulary, *, seed: int = 1, scale: float = 0.3) -> Model:
    """A model with random weights, and gradients of one size."""
    labels: dict[str, Any] = {}
    if vocabulary.labels:
        labels = {"num_labels": len(vocabulary.labels) + 1}
    configuration = ModelConfiguration(
        vocabulary_size=vocabulary.size,
        cell="gru",
        hidden_size=10,
        embedding_size=5,
        documents=vocabulary.boundary is not None,
        **labels,
    )
    random = np.random.default_rng(seed)
    shapes = configuration.tensor_shapes().items()
    tensors = {name: random.normal(0, scale, each).astype(np.float32) for name, each in shapes}
    sizes = {name: np.full(each, 200, np.uint8) for name, each in shapes}
    return open_model(ModelFile(configuration, vocabulary, tensors, {}, sizes))


def repeating(vocabulary: Vocabulary, length: int, seed: int = 2) -> Ids:
    """Phrases that come again and again, with the boundary among them where there is one."""
    random = np.random.default_rng(seed)
    phrases = [random.integers(0, vocabulary.size, random.integers(3, 20)) for _ in range(5)]
    if vocabulary.boundary is not None:
        phrases.append(np.array([vocabulary.boundary]))
    chosen = np.concatenate([phrases[k] for k in random.integers(0, len(phrases), length)])
    return chosen[:length].astype(np.uint32)


def read(model: Model, ids: Ids, alternatives: int = 0, *, counts: bool = True) -> Any:
    """Read symbols with a new reader; the first is not predicted."""
    assert model.gradient_sizes is not None
    vocabulary = model.vocabulary if counts else None
    backend = AdaptiveBackend(model.backend, model.gradient_sizes, vocabulary)
    state = backend.zero_state(1)
    labels = np.zeros((1, len(ids) - 1), np.uint32) if model.vocabulary.labels else None
    found, _ = backend.score(ids[None, :-1], ids[None, 1:], state, alternatives, labels=labels)
    return found


@pytest.mark.parametrize("kind", VOCABULARIES)
@pytest.mark.parametrize("counts", [False, True], ids=["networks", "counts"])
def test_every_distribution_sums_to_one(kind: str, counts: bool) -> None:
    vocabulary = VOCABULARIES[kind]
    ids = repeating(vocabulary, 400)
    found = read(model_of(vocabulary), ids, vocabulary.size, counts=counts)
    nats = found.alternative_nats[0].astype(np.float64)  # (T, V)
    assert np.abs(np.exp(-nats).sum(axis=1) - 1).max() < 1e-6
    assert (np.diff(nats, axis=1) >= 0).all()
    symbols = found.alternative_ids[0]
    assert (np.sort(symbols, axis=1) == np.arange(vocabulary.size)).all()
    at_target = nats[symbols == ids[1:, np.newaxis]]
    np.testing.assert_allclose(at_target, found.nats[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["characters", "bytes", "documents"])
def test_the_likeliest_symbols_are_those_of_the_whole_distribution(kind: str) -> None:
    vocabulary = VOCABULARIES[kind]
    model, ids = model_of(vocabulary), repeating(vocabulary, 300)
    whole, some, none = (read(model, ids, count) for count in (vocabulary.size, 3, 0))
    np.testing.assert_array_equal(some.alternative_nats, whole.alternative_nats[..., :3])
    np.testing.assert_array_equal(some.nats, whole.nats)
    np.testing.assert_array_equal(none.nats, whole.nats)


def test_what_repeats_becomes_cheap() -> None:
    vocabulary = VOCABULARIES["characters"]
    random = np.random.default_rng(5)
    block = random.integers(0, vocabulary.size, 600).astype(np.uint32)
    model, ids = model_of(vocabulary), np.concatenate([block, block])
    networks, mixed = (read(model, ids, counts=counts).nats[0] for counts in (False, True))
    assert mixed[-500:].mean() < 0.1 < networks[-500:].mean() / 10
    evaluated = model.evaluate(ids, adaptive=True)
    assert evaluated.nats == pytest.approx(float(mixed.sum(dtype=np.float64)), rel=1e-6)


def test_what_never_repeats_costs_next_to_nothing() -> None:
    vocabulary = VOCABULARIES["characters"]
    model = model_of(vocabulary, scale=0.01)
    for size in (100, 1000, 5000):
        ids = np.random.default_rng(size).integers(0, vocabulary.size, size).astype(np.uint32)
        frozen = model.evaluate(ids).nats
        assert (
            model.evaluate(ids, adaptive=True).nats < frozen + math.log(16 / 7) + 2e-5 * size + 1e-3
        )


def test_contexts_end_at_a_documents_boundary() -> None:
    """The end of a document says how the next begins; its reader may not use that."""
    vocabulary = VOCABULARIES["documents"]
    model = model_of(vocabulary, scale=0.01)
    next_is = np.random.default_rng(7).integers(0, 2, 201).tolist()
    documents = ["ac"[now] + "bbbbbb" + "de"[after] for now, after in pairwise(next_is)]
    boundary = np.array([vocabulary.boundary])
    encoded = [np.concatenate([vocabulary.encode(each), boundary]) for each in documents]
    ids = np.concatenate([boundary, *encoded]).astype(np.uint32)
    nats = read(model, ids).nats[0].reshape(len(documents), -1)[-100:]
    assert nats[:, 0].mean() > 0.5
    assert nats[:, 3].mean() < 0.02  # within a document they help


def test_products_in_bfloat16_lose_next_to_nothing() -> None:
    vocabulary = VOCABULARIES["characters"]
    model, ids = model_of(vocabulary), repeating(vocabulary, 1500)
    assert model.gradient_sizes is not None
    nats = []
    for precision in get_args(LearningPrecision):
        reader = AdaptiveBackend(model.backend, model.gradient_sizes, precision=precision)
        found, _ = reader.score(ids[None, :-1], ids[None, 1:], reader.zero_state(1))
        nats.append(found.nats[0].astype(np.float64))
    assert np.abs(nats[0] - nats[1]).max() > 0
    assert nats[1].mean() < nats[0].mean() + 0.01


def test_letters_share_a_number_in_both_cases() -> None:
    characters = letters_of(CharacterVocabulary("\n1ABabÈè", "\n", has_boundary=True))
    assert characters.tolist() == [0, 0, 97, 98, 97, 98, 232, 232, 0]
    found = letters_of(ByteVocabulary(10, has_boundary=True))
    letters = {byte: number for byte, number in enumerate(found.tolist()) if number}
    assert letters == {
        **{byte: byte | 32 for byte in range(256) if chr(byte).isalpha() and byte < 128},
        **{byte: byte for byte in range(128, 256)},
    }
    assert letters_of(VOCABULARIES["words"]).max() == 0
