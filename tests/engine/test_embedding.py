"""Vectors of texts, against the states that stepping a network alone leaves behind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine import Model, ReferenceBackend, VectorKind, kernels_are_built, make_backend
from ricorda.engine.embedding import SideBySide, vectors_of
from ricorda.errors import (
    ConfigurationError,
    ModelFileError,
    UnseenCharactersWarning,
    VocabularyError,
)
from ricorda.model.cells import CellName
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

LETTERS = CharacterVocabulary("\nabcdeé世", "\n")
LABELLED = CharacterVocabulary("\nabcdeé世", "\n", has_boundary=True, labels=("Greek", "Irish"))
TEXTS = ["ab", "", "e", "cabé世d", "ba\nab", "dddd" * 30, "abcde" * 7, "世", "", "ab"]
BACKENDS = ["numpy", *(["native"] if kernels_are_built() else [])]
Numbers = NDArray[np.floating[Any]]
KINDS: list[VectorKind] = ["hidden", "layers", "state"]

pytestmark = pytest.mark.filterwarnings("error")


def made(
    tensors_of: Callable[..., Any], vocabulary: Vocabulary, backend: str, **shape: Any
) -> tuple[Model, ReferenceBackend]:
    """A model with random weights, and the reference in float64."""
    options: dict[str, Any] = {"cell": "lstm", "hidden_size": 9, "num_layers": 2} | shape
    configuration = ModelConfiguration(
        vocabulary_size=vocabulary.size,
        documents=vocabulary.boundary is not None,
        num_labels=len(vocabulary.labels) + 1 if vocabulary.labels else 0,
        **options,
    )
    tensors = tensors_of(configuration)
    engine = make_backend(configuration, tensors, backend=backend, threads=2)  # type: ignore[arg-type]
    model = Model(configuration, vocabulary, engine)
    return model, ReferenceBackend(configuration, tensors, np.float64)


def alone(reference: ReferenceBackend, model: Model, text: str, label: int = 0) -> Numbers:
    """The state (S, L, H) after a text, step by step."""
    state = reference.zero_state(1)
    ids = model.vocabulary.encode(text).tolist()
    if model.vocabulary.boundary is not None:
        ids = [model.vocabulary.boundary, *ids]
    labels = np.array([label]) if label else None
    for symbol in ids:
        _, state = reference.step(np.array([symbol]), state, labels=labels)
    return np.asarray(state[:, :, 0])


def part(state: Numbers, kind: VectorKind) -> Numbers:
    """A vector (D,) of a state (S, L, H)."""
    if kind == "hidden":
        return np.asarray(state[0, -1])
    if kind == "layers":
        return np.concatenate(list(state[0]))
    return np.concatenate([each for layer in state.transpose(1, 0, 2) for each in layer])


def test_large_states_are_normalized_too() -> None:
    state = np.array([3e30, 4e30], np.float32).reshape(1, 1, 1, 2)
    np.testing.assert_allclose(vectors_of(state, "hidden", normalize=True), [[0.6, 0.8]])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("vocabulary", [LETTERS, LABELLED], ids=["undivided", "documents"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
def test_a_vector_is_the_state_after_the_text(
    tensors_of: Callable[..., Any], backend: str, vocabulary: Vocabulary, cell: CellName
) -> None:
    model, reference = made(tensors_of, vocabulary, backend, cell=cell)
    for kind in KINDS:
        vectors = model.embed(TEXTS, vector=kind)
        expected = np.stack([part(alone(reference, model, text), kind) for text in TEXTS])
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=2e-5)
        lengths = np.linalg.norm(expected, axis=1, keepdims=True)
        normalized = model.embed(TEXTS, vector=kind, normalize=True)
        np.testing.assert_allclose(
            normalized, expected / np.where(lengths > 0, lengths, 1), rtol=1e-4, atol=2e-5
        )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "side_by_side, at_once, numbers, positions",
    [
        (64, 2**18, 2**24, 10**6),
        (3, 2**18, 2**24, 7),
        (2, 9, 2**24, 1),
        (1, 1, 1, 1),
        (4, 50, 9, 5),
    ],
)
def test_texts_side_by_side_have_the_vectors_of_each_alone(
    tensors_of: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    side_by_side: int,
    at_once: int,
    numbers: int,
    positions: int,
) -> None:
    model, _ = made(tensors_of, LABELLED, backend)
    texts: list[Any] = [*TEXTS, ("cab", "Irish"), ("cab", "Greek"), ("abcde" * 3, "Irish"), "cab"]
    each_alone = np.concatenate([model.embed([text], vector="state") for text in texts])
    monkeypatch.setattr("ricorda.engine.embedding.SIDE_BY_SIDE", side_by_side)
    monkeypatch.setattr("ricorda.engine.documents.SYMBOLS_AT_ONCE", at_once)
    monkeypatch.setattr("ricorda.engine.embedding.NUMBERS_AT_ONCE", numbers)
    monkeypatch.setattr("ricorda.engine.embedding.positions_at_once", lambda _: positions)
    together = model.embed(texts, vector="state")
    np.testing.assert_allclose(together, each_alone, rtol=0, atol=1e-6)
    assert np.abs(together[-4] - together[-1]).max() > 1e-3  # the label is read
    assert np.abs(together[-4] - together[-3]).max() > 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_label_is_read(tensors_of: Callable[..., Any], backend: str) -> None:
    model, reference = made(tensors_of, LABELLED, backend)
    (found,) = model.embed([("cab", "Irish")])
    np.testing.assert_allclose(
        found, part(alone(reference, model, "cab", 2), "hidden"), rtol=1e-4, atol=2e-5
    )
    with pytest.raises(ConfigurationError, match="no label 'Roman'"):
        model.embed([("cab", "Roman")])
    plain, _ = made(tensors_of, LETTERS, backend)
    with pytest.raises(ConfigurationError, match="the model has no labels"):
        plain.embed([("cab", "Irish")])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_reads_as_it_predicts(
    tensors_of: Callable[..., Any], backend: str, random: np.random.Generator
) -> None:
    """`read` leaves the state that `forward` leaves, from any state, across boundaries."""
    model, _ = made(tensors_of, LABELLED, backend)
    ids = random.integers(0, LABELLED.size, (5, 70))
    labels = random.integers(0, 3, (5, 70))
    state = random.normal(0, 1, (2, 2, 5, 9)).astype(np.float32)
    before = state.copy()
    read = model.backend.read(ids, state, labels=labels)
    _, expected = model.backend.forward(ids, state, labels=labels)
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(state, before)


def test_a_single_text_ids_bytes_and_no_text(tensors_of: Callable[..., Any]) -> None:
    model, _ = made(tensors_of, LETTERS, "numpy")
    expected = model.embed(["cabé"])
    for given in ("cabé", "cabé".encode(), LETTERS.encode("cabé"), ["cabé".encode()]):
        np.testing.assert_array_equal(model.embed(given), expected)
    assert model.embed([]).shape == (0, 9)
    assert model.embed([], vector="state").shape == (0, 36)
    assert not model.embed([""]).any()
    assert not model.embed([""], normalize=True).any()
    assert model.embed(iter(["a", "b", "c"])).shape == (3, 9)
    by_bytes, _ = made(tensors_of, ByteVocabulary(10), "numpy")
    np.testing.assert_array_equal(by_bytes.embed("é"), by_bytes.embed([b"\xc3\xa9"]))


def test_unseen_characters_are_reported(tensors_of: Callable[..., Any]) -> None:
    model, _ = made(tensors_of, LABELLED, "numpy")
    with pytest.raises(VocabularyError):
        model.embed(["ab", "aXb"])
    with pytest.warns(UnseenCharactersWarning, match="left out 3 characters of the texts"):
        found = model.embed(["aXb", "YY"], on_unknown="skip")
    np.testing.assert_array_equal(found, model.embed(["ab", ""]))
    first, second = model.embed_documents(["aXb", "YY"], on_unknown="skip")
    assert (first.symbols, first.unseen, second.symbols, second.unseen) == (2, 1, 0, 2)
    assert [gap.as_json() for gap in first.gaps] == [{"before": 1, "characters": "X"}]


def test_documents_may_be_endless(
    tensors_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors come while texts are read: no more is read than a group of them."""
    model, _ = made(tensors_of, LETTERS, "numpy")
    monkeypatch.setattr("ricorda.engine.documents.SYMBOLS_AT_ONCE", 3000)
    taken = 0

    def texts() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield "abc" * 100

    found = model.embed_documents(texts())
    assert next(found).symbols == 300
    assert taken < 20


def test_numbers_that_are_not_finite_are_refused(tensors_of: Callable[..., Any]) -> None:
    model, _ = made(tensors_of, LETTERS, "numpy", cell="rnn", nonlinearity="relu")
    tensors = {name: 50 * np.abs(each) for name, each in model.backend.tensors.items()}
    overflowing = ReferenceBackend(model.configuration, tensors)
    with pytest.raises(ModelFileError, match="expected finite numbers"):
        Model(model.configuration, LETTERS, overflowing).embed(["abcde" * 30])


def test_options_are_checked(tensors_of: Callable[..., Any]) -> None:
    model, _ = made(tensors_of, LETTERS, "numpy")
    with pytest.raises(ConfigurationError, match="vector must be 'hidden' or 'layers' or 'state'"):
        model.embed(["a"], vector="cells")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"texts\[0\] must be text or bytes"):
        model.embed([3])  # type: ignore[list-item]


def test_a_batch_reads_a_bounded_number_of_symbols(tensors_of: Callable[..., Any]) -> None:
    model, _ = made(tensors_of, LETTERS, "numpy")
    texts = [LETTERS.encode("a" * length) for length in (9, 9, 7, 2, 0)]
    batch = SideBySide(model.backend, texts)
    read = []
    while symbols := batch.advance(6):
        read.append(symbols)
    assert sum(read) == 27
    assert max(read) <= 6
