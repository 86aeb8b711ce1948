"""Boundaries and labels in the NumPy engine, and texts that are read in parts with their labels."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine import ReferenceBackend, chunks
from ricorda.engine.generation import GenerationSettings, Piece
from ricorda.engine.writer import Writer
from ricorda.errors import ConfigurationError
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

TensorsOf = Callable[..., dict[str, NDArray[np.float32]]]
SIZE, BOUNDARY = 8, 7
LABELS = 3
cells = pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
embeddings = pytest.mark.parametrize("embedding_size", ["onehot", 5])


def shape(**changes: Any) -> ModelConfiguration:
    given: dict[str, Any] = {
        "cell": "lstm",
        "vocabulary_size": SIZE,
        "hidden_size": 6,
        "num_layers": 2,
    }
    return ModelConfiguration(**(given | changes))


def random_state(backend: ReferenceBackend, streams: int) -> NDArray[np.float64]:
    shape = backend.zero_state(streams).shape
    return np.random.default_rng(3).uniform(-1, 1, shape)


@cells
@embeddings
def test_a_boundary_begins_from_a_zero_state(
    tensors_of: TensorsOf, cell: str, embedding_size: Any
) -> None:
    """Each document as a model without documents reads it alone."""
    configuration = shape(cell=cell, embedding_size=embedding_size)
    tensors = tensors_of(configuration)
    plain = ReferenceBackend(configuration, tensors, np.float64)
    divided = ReferenceBackend(
        shape(cell=cell, embedding_size=embedding_size, documents=True), tensors, np.float64
    )
    ids = np.array([[1, 2, 7, 3, 7, 7, 4, 5, 6], [7, 1, 2, 3, 4, 7, 5, 6, 0]])
    state = random_state(plain, 2)
    logits, last = divided.forward(ids, state)
    for stream, begins in enumerate([[0, 2, 4, 5, 9], [0, 5, 9]]):
        for begin, end in itertools.pairwise(begins):
            own = plain.zero_state(1)
            if begin == 0 and stream == 0:
                own = state[:, :, :1]
            expected, after = plain.forward(ids[stream : stream + 1, begin:end], own)
            np.testing.assert_allclose(logits[stream, begin:end], expected[0], rtol=1e-12)
        np.testing.assert_allclose(last[:, :, stream], after[:, :, 0], rtol=1e-12)
    assert np.abs(plain.forward(ids, state)[0] - logits).max() > 1e-3


@cells
@embeddings
def test_a_label_is_a_part_of_the_first_bias(
    tensors_of: TensorsOf, cell: str, embedding_size: Any
) -> None:
    configuration = shape(cell=cell, embedding_size=embedding_size, num_labels=LABELS)
    tensors = tensors_of(configuration)
    labelled = ReferenceBackend(configuration, tensors, np.float64)
    ids, labels = np.array([[1, 2, 5, 3]]), np.array([[2, 0, 1, 1]])
    logits, _ = labelled.forward(ids, labelled.zero_state(1), labels=labels)
    without = {name: tensor for name, tensor in tensors.items() if name != "labels.weight"}
    state = labelled.zero_state(1)
    for time, label in enumerate(labels[0]):
        bias = tensors["layers.0.bias_ih"].astype(np.float64) + tensors["labels.weight"][label]
        plain = ReferenceBackend(
            shape(cell=cell, embedding_size=embedding_size),
            {**without, "layers.0.bias_ih": bias},
            np.float64,
        )
        expected, state = plain.step(ids[:, time], state)
        np.testing.assert_allclose(logits[:, time], expected, rtol=1e-9)
    zeros, _ = labelled.forward(ids, labelled.zero_state(1), labels=np.zeros_like(ids))
    np.testing.assert_array_equal(labelled.forward(ids, labelled.zero_state(1))[0], zeros)


def test_labels_that_a_model_does_not_have_are_refused(tensors_of: TensorsOf) -> None:
    plain = ReferenceBackend(shape(), tensors_of(shape()))
    labelled = ReferenceBackend(shape(num_labels=3), tensors_of(shape(num_labels=3)))
    ids = np.array([[1, 2]])
    with pytest.raises(ConfigurationError, match="the model has no labels"):
        plain.forward(ids, plain.zero_state(1), labels=np.zeros_like(ids))
    for wrong, match in [
        (np.array([[1, 3]]), "at least 0 and below 3, got 3"),
        (np.array([[-1, 0]]), "at least 0 and below 3, got -1"),
        (np.array([1, 0]), r"of the ids' shape \(1, 2\), got int64 of the shape \(2,\)"),
        (np.array([[0.0, 1.0]]), "labels as integers"),
    ]:
        with pytest.raises(ConfigurationError, match=match):
            labelled.score(ids, ids, labelled.zero_state(1), labels=wrong)


class TestChunks:
    """A text of several parts is read with its labels as it would be at once."""

    @pytest.fixture
    def backend(self, tensors_of: TensorsOf, monkeypatch: pytest.MonkeyPatch) -> ReferenceBackend:
        monkeypatch.setattr(chunks, "NUMBERS_AT_ONCE", 24 * 5)  # five symbols
        configuration = shape(documents=True, num_labels=LABELS)
        return ReferenceBackend(configuration, tensors_of(configuration), np.float64)

    @pytest.fixture
    def ids(self) -> NDArray[np.int64]:
        return np.random.default_rng(1).integers(0, SIZE, 23)

    @pytest.fixture
    def labels(self) -> NDArray[np.int64]:
        return np.random.default_rng(2).integers(0, LABELS, 23)

    def test_reading(
        self, backend: ReferenceBackend, ids: NDArray[Any], labels: NDArray[Any]
    ) -> None:
        expected, state = backend.forward(ids[None], backend.zero_state(1), labels=labels[None])
        logits, after = chunks.read(backend, ids, labels=labels)
        np.testing.assert_allclose(logits, expected[0, -1], rtol=1e-9)
        np.testing.assert_allclose(after, state, rtol=1e-9)

    def test_scoring(self, backend: ReferenceBackend, ids: NDArray[Any]) -> None:
        labels = np.full((1, 22), LABELS - 1)
        expected, _ = backend.score(
            ids[None, :-1], ids[None, 1:], backend.zero_state(1), labels=labels
        )
        found = [nats.nats for _, nats in chunks.scored_text(backend, [ids], label=LABELS - 1)]
        assert len(found) > 2
        np.testing.assert_allclose(np.concatenate(found, axis=1), expected.nats, rtol=1e-9)

    def test_tracing(
        self, backend: ReferenceBackend, ids: NDArray[Any], labels: NDArray[Any]
    ) -> None:
        expected, _ = backend.trace(ids, backend.zero_state(1), labels=labels)
        parts = list(chunks.traced(backend, ids, labels=labels))
        assert len(parts) > 2
        for name, array in expected.items():
            np.testing.assert_allclose(
                np.concatenate([part[name] for part in parts]), array, rtol=1e-9
            )


def written(
    vocabulary: Vocabulary, symbols: str, **options: Any
) -> tuple[list[Piece], str | None, int]:
    """What a writer makes of these symbols and a boundary: its pieces, its ending, its count."""
    writer = Writer(vocabulary, GenerationSettings(temperature=0, **options), [vocabulary.start])
    ids = vocabulary.encode(symbols).tolist() if symbols else []
    pieces = []
    for symbol in [*ids, vocabulary.size - 1]:
        _, piece = writer.write(np.eye(vocabulary.size)[symbol])
        pieces += [piece] if piece else []
        if writer.ended:
            break
    return pieces, writer.ended, writer.written


CHARACTERS = CharacterVocabulary("\nabc", "\n", has_boundary=True)
BYTES = ByteVocabulary(10, has_boundary=True)


@pytest.mark.parametrize("vocabulary", [CHARACTERS, BYTES], ids=["characters", "bytes"])
def test_a_boundary_ends_a_text_and_has_no_characters(vocabulary: Vocabulary) -> None:
    pieces, ended, count = written(vocabulary, "abba", alternatives=2)
    assert ("".join(piece.text for piece in pieces), ended, count) == ("abba", "stop", 5)
    ids = [symbol for piece in pieces for symbol in piece.ids]
    assert ids == [*vocabulary.encode("abba").tolist(), vocabulary.boundary]
    (end,), ended, count = written(vocabulary, "")
    assert (end.text, end.ids, ended, count) == ("", (vocabulary.boundary,), "stop", 1)
    assert written(vocabulary, "abba", length=4)[1:] == ("length", 4)
    assert written(vocabulary, "abba", length=5)[1:] == ("stop", 5)


@pytest.mark.parametrize("vocabulary", [CHARACTERS, BYTES], ids=["characters", "bytes"])
def test_what_might_have_become_a_stop_string_belongs_to_the_text(vocabulary: Vocabulary) -> None:
    pieces, ended, count = written(vocabulary, "cab", stop=("abc",))
    assert [piece.text for piece in pieces] == ["c", "ab"]
    assert pieces[1].ids == (*vocabulary.encode("ab").tolist(), vocabulary.boundary)
    assert (ended, count) == ("stop", 4)
    assert written(vocabulary, "cabca", stop=("abc",))[2] == 4  # the stop string comes first


@pytest.mark.parametrize("cut, text", [(b"a\xe2", "a\ufffd"), (b"\xe2\xe2", "\ufffd\ufffd")])
def test_bytes_of_an_incomplete_character_are_shown(cut: bytes, text: str) -> None:
    writer = Writer(BYTES, GenerationSettings(temperature=0), [10])
    pieces = [writer.write(np.eye(257)[symbol])[1] for symbol in [*cut, 256]]
    assert "".join(piece.text for piece in pieces if piece) == text
    assert [symbol for piece in pieces if piece for symbol in piece.ids] == [*cut, 256]
    assert writer.ended == "stop"
