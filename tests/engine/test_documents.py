"""Models of documents: writing, scoring and classifying, against stepping a network alone."""

import itertools
import math
import random
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from ricorda.engine import Model, ReferenceBackend, kernels_are_built, make_backend
from ricorda.engine.generation import GenerationSettings
from ricorda.engine.sampling import log_softmax
from ricorda.engine.session import NativeSession
from ricorda.errors import (
    ConfigurationError,
    TextError,
    UnseenCharactersWarning,
    VocabularyError,
)
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.parts import Part
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

LABELS = ("Greek", "Irish", "Italian")
DOCUMENTS = ["ab", "", "e", "cabé世d", "ba\nab", "dddd" * 30, "abcde" * 7]
BACKENDS = ["numpy", *(["native"] if kernels_are_built() else [])]


def documents_model(
    tensors_of: Callable[..., Any],
    backend: str,
    vocabulary: Vocabulary,
    training: dict[str, Any] | None = None,
    **shape: Any,
) -> Model:
    """A model with random weights whose documents end soon."""
    configuration = ModelConfiguration(
        cell="lstm",
        vocabulary_size=vocabulary.size,
        hidden_size=9,
        documents=True,
        num_labels=len(vocabulary.labels) + 1 if vocabulary.labels else 0,
        **shape,
    )
    tensors = tensors_of(configuration)
    engine: Any = make_backend(configuration, tensors, backend=backend)  # type: ignore[arg-type]
    if backend == "numpy":
        engine = ReferenceBackend(configuration, tensors, np.float64)
    return Model(configuration, vocabulary, engine, training)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def divided(tensors_of: Callable[..., Any], backend: str) -> Model:
    """A model of documents of eight characters."""
    vocabulary = CharacterVocabulary("\nabcdeé世", "\n", has_boundary=True)
    return documents_model(tensors_of, backend, vocabulary, num_layers=2)


@pytest.fixture
def labelled(tensors_of: Callable[..., Any], backend: str) -> Model:
    """The same with three labels."""
    vocabulary = CharacterVocabulary("\nabcdeé世", "\n", has_boundary=True, labels=LABELS)
    return documents_model(tensors_of, backend, vocabulary, {"label_counts": [60, 30, 10]})


def alone(model: Model, text: str, label: int = 0) -> list[float]:
    """The nats of each symbol of a document and of its end, step by step from zeros."""
    boundary = model.vocabulary.size - 1
    ids = [boundary, *model.vocabulary.encode(text).tolist(), boundary]
    state = model.backend.zero_state(1)
    labels = np.array([label]) if label else None
    nats = []
    for current, following in itertools.pairwise(ids):
        logits, state = model.backend.step(np.array([current]), state, labels=labels)
        nats.append(-float(log_softmax(logits)[0, following]))
    return nats


def test_a_document_is_scored_with_its_first_symbol_and_its_end(divided: Model) -> None:
    for text in filter(None, DOCUMENTS):
        scores = divided.score(text, alternatives=2)
        assert scores.symbols[-1] == "◇"
        assert len(scores.nats) == len(text) + 1
        np.testing.assert_allclose(scores.nats, alone(divided, text), rtol=1e-4, atol=1e-5)
        assert len(scores.alternatives(0)) == 2
        assert scores.figures.characters == len(text)
        assert scores.figures.nats == pytest.approx(sum(alone(divided, text)), rel=1e-5)
        assert [character for character, _ in scores.characters()] == list(text)


@pytest.mark.parametrize("rows, at_once", [(64, 2**18), (3, 2**18), (1, 2**18), (64, 20), (2, 1)])
@pytest.mark.parametrize("positions", [10**6, 5])
def test_documents_side_by_side_have_the_scores_of_each_alone(
    divided: Model, monkeypatch: pytest.MonkeyPatch, rows: int, at_once: int, positions: int
) -> None:
    monkeypatch.setattr("ricorda.engine.documents.ROWS", rows)
    monkeypatch.setattr("ricorda.engine.documents.SYMBOLS_AT_ONCE", at_once)
    monkeypatch.setattr("ricorda.engine.documents.positions_at_once", lambda _: positions)
    found = list(divided.score_documents(DOCUMENTS))
    assert len(found) == len(DOCUMENTS)
    for text, figures in zip(DOCUMENTS, found, strict=True):
        assert figures.nats == pytest.approx(sum(alone(divided, text)), rel=1e-5)
        assert figures.predictions == len(text) + 1
        assert (figures.characters, figures.bytes) == (len(text), len(text.encode()))
    assert math.isnan(found[1].bits_per_character)  # the empty document has no character
    assert found[1].as_json()["bits_per_character"] is None


def test_the_order_of_documents_makes_no_difference(divided: Model) -> None:
    documents = [text * times for text in DOCUMENTS for times in range(1, 9)]
    figures = divided.evaluate(documents)
    expected = sum(sum(alone(divided, text)) for text in documents)
    characters = sum(map(len, documents))
    assert figures.nats_per_character == pytest.approx(expected / characters, rel=1e-5)
    assert (figures.characters, figures.documents) == (characters, len(documents))
    assert figures.protocol == "documents"
    shuffled = random.Random(1).sample(documents, len(documents))
    again = divided.evaluate(shuffled).nats
    assert again == (figures.nats if isinstance_native(divided) else pytest.approx(figures.nats))


def isinstance_native(model: Model) -> bool:
    return not isinstance(model.backend, ReferenceBackend)


def test_ids_with_boundaries_and_parts_are_documents(labelled: Model) -> None:
    vocabulary = labelled.vocabulary
    boundary = vocabulary.size - 1
    encoded: list[int] = []
    for number, text in enumerate(["ab", "cad", "e"]):
        encoded += [boundary + number, *vocabulary.encode(text).tolist()]
    encoded.append(boundary)
    part = Part.whole(np.array(encoded, np.uint16), boundary)
    figures = labelled.evaluate(part)
    expected = [sum(alone(labelled, text, n)) for n, text in enumerate(["ab", "cad", "e"])]
    assert figures.nats == pytest.approx(sum(expected), rel=1e-5)
    assert figures.accuracy is not None
    assert figures.accuracy.documents == 2
    plain = part.read(0, len(part))
    without = sum(sum(alone(labelled, text)) for text in ["ab", "cad", "e"])
    for ids in (plain, plain[1:], plain[:-1], plain[1:-1]):
        found = labelled.evaluate(ids)
        assert (found.documents, found.characters) == (3, 6)
        assert found.nats == pytest.approx(without, rel=1e-5)
    with pytest.raises(TextError, match="at least one character"):
        labelled.evaluate(np.zeros(0, np.uint8))


def test_what_follows_an_unseen_character_is_left_out(divided: Model) -> None:
    documents = ["abXcd", "XY", "abX"]
    found = list(divided.score_documents(documents, on_unknown="skip"))
    first = alone(divided, "abcd")
    assert found[0].nats == pytest.approx(sum(first) - first[2], rel=1e-5)
    assert (found[0].unseen, found[0].left_out, found[0].characters) == (1, 1, 3)
    assert [gap.as_json() for gap in found[0].gaps] == [{"before": 2, "characters": "X"}]
    assert (found[1].nats, found[1].characters, found[1].unseen) == (0, 0, 2)  # nor is its end
    assert found[2].nats == pytest.approx(sum(alone(divided, "ab")[:-1]), rel=1e-5)
    with pytest.warns(UnseenCharactersWarning, match="left out 4 characters .*'X' and 'Y'"):
        figures = divided.evaluate(documents, on_unknown="skip")
    assert (figures.unseen, figures.left_out, figures.characters) == (4, 1, 5)
    assert figures.nats == pytest.approx(sum(each.nats for each in found), rel=1e-9)
    with pytest.raises(VocabularyError):
        list(divided.score_documents(documents))
    with pytest.warns(UnseenCharactersWarning):
        assert math.isnan(divided.score("abX", on_unknown="skip").nats[-1])


def test_a_model_of_bytes(tensors_of: Callable[..., Any], backend: str) -> None:
    model = documents_model(tensors_of, backend, ByteVocabulary(10, has_boundary=True))
    texts = ["é", "a€", ""]
    for text, figures in zip(texts, model.score_documents(texts), strict=True):
        assert figures.nats == pytest.approx(sum(alone(model, text)), rel=1e-5)
        assert (figures.characters, figures.bytes) == (len(text), len(text.encode()))
    assert model.generate(seed=1, length=5) == model.generate(seed=1, length=5, count=1)[0]


def test_a_text_ends_at_its_boundary(divided: Model) -> None:
    ended = []
    for seed in range(30):
        generation = divided.begin(seed=seed, temperature=1)
        pieces = list(generation)
        text = "".join(piece.text for piece in pieces)
        assert generation.ended == "stop"
        assert generation.written == len(text) + 1
        assert sum(len(piece.ids) for piece in pieces) == len(text) + 1
        ended.append(len(text))
        if text:
            short = divided.begin(seed=seed, temperature=1, length=len(text))
            assert short.text() == text
            assert short.ended == "length"
    assert max(ended) > 3


def test_a_document_begins_after_the_boundary(divided: Model) -> None:
    boundary = divided.vocabulary.size - 1
    for prompt in ("", "ab"):
        ids = np.array([[boundary, *divided.vocabulary.encode(prompt).tolist()]])
        logits, _ = divided.backend.forward(ids, divided.backend.zero_state(1))
        expected = np.exp(log_softmax(logits[0, -1]))
        found = divided.distribution(prompt, temperature=1).probabilities
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        penalised = divided.distribution(prompt, temperature=1, repetition_penalty=5).probabilities
        if not prompt:  # the boundary before it is no part of the text
            np.testing.assert_allclose(penalised, expected, rtol=1e-5)
    assert divided.begin("ab").start is None
    assert divided.begin("").start == boundary


def test_a_document_may_end_whatever_is_allowed(
    divided: Model, tensors_of: Callable[..., Any], backend: str
) -> None:
    of_bytes = documents_model(tensors_of, backend, ByteVocabulary(10, has_boundary=True))
    for model in (divided, of_bytes):
        each: tuple[dict[str, Any], ...] = (
            {"allowed": "abé"},
            {"banned": "cd"},
            {"allowed": "ab", "banned_word": "ba"},
        )
        for options in each:
            for seed in range(5):
                generation = model.begin("ab", seed=seed, temperature=2, **options)
                assert "\N{REPLACEMENT CHARACTER}" not in generation.text()
                assert generation.ended == "stop"
    for nothing in (
        {"allowed": "Z"},
        {"banned": "\nabcdeé世"},
        {"banned_word": list("\nabcdeé世")},
    ):
        with pytest.raises(ConfigurationError, match="must leave a symbol"):
            divided.generate(**nothing)


def test_the_length_of_a_document(divided: Model) -> None:
    assert divided.begin("ab", length="inf", seed=1).text() == divided.generate("ab", seed=1)
    assert divided.begin("ab").settings.length == 4000
    with pytest.raises(ConfigurationError, match="length"):
        divided.generate("ab", length=-1)


def test_an_endless_text_has_no_hidden_limit(divided: Model) -> None:
    session = divided.backend.session(divided.vocabulary)
    if not isinstance(session, NativeSession):
        pytest.skip("for the kernels, which have a type of their own for it")
    session._session = Mock(**{"add.return_value": 1})
    session.add(np.array([divided.vocabulary.start], np.uint32), GenerationSettings(length=10**12))
    assert session._session.add.call_args.args[2] == 10**12


def test_many_texts_are_those_of_each_alone(
    divided: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = ["ab", "", "e", "ab", "cadé" * 9] * 5
    expected = [divided.generate(prompt, seed=5, temperature=1) for prompt in prompts]
    assert divided.generate_many(prompts, seed=5, temperature=1) == expected
    several = [
        divided.begin("ab", seed=5, temperature=1, stream_index=index).text() for index in range(20)
    ]
    assert divided.generate("ab", seed=5, temperature=1, count=20) == several
    for side_by_side, waiting, steps in [(1, 1, 1), (3, 4, 2), (64, 2, 100)]:
        monkeypatch.setattr("ricorda.engine.texts.SIDE_BY_SIDE", side_by_side)
        monkeypatch.setattr("ricorda.engine.texts.MOST_WAITING", waiting)
        monkeypatch.setattr("ricorda.engine.texts.STEPS", steps)
        assert divided.generate_many(prompts, seed=5, temperature=1) == expected
        assert divided.generate("ab", seed=5, temperature=1, count=20) == several
    assert divided.generate("ab", count=0) == []
    assert divided.generate_many([], seed=1) == []
    assert divided.generate_many(["a", "b"], length=0) == ["", ""]
    with pytest.raises(ConfigurationError, match="count must be at least 0, got -1"):
        divided.generate("ab", count=-1)


def test_prompts_are_read_as_there_is_room(divided: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ricorda.engine.texts.SIDE_BY_SIDE", 4)
    read = itertools.count()

    def prompts() -> Iterator[str]:
        while True:
            next(read)
            yield "ab"

    texts = divided.begin_many(prompts(), seed=1)
    first = [next(texts) for _ in range(3)]
    assert [text.number for text in first] == [0, 1, 2]
    assert first[0].ended == "stop"
    assert next(read) < 40


def test_a_label_conditions_the_whole_document(labelled: Model) -> None:
    for number, label in enumerate(LABELS, 1):
        expected = alone(labelled, "cabéd", number)
        found = labelled.score("cabéd", label=label).nats
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        (figures,) = labelled.score_documents([("cabéd", label)])
        assert figures.nats == pytest.approx(sum(expected), rel=1e-5)
    written = {tuple(labelled.generate(seed=3, label=each, count=9)) for each in (None, *LABELS)}
    assert len(written) == 4
    assert labelled.generate("a", seed=3, label="Irish", count=2) == [
        labelled.begin("a", seed=3, label="Irish", stream_index=index).text() for index in range(2)
    ]


def test_labels_that_a_model_lacks(labelled: Model, divided: Model) -> None:
    with pytest.raises(ConfigurationError, match=r"no label 'italien': did you mean 'Italian'\?"):
        labelled.generate(label="italien")
    with pytest.raises(ConfigurationError, match="it has 'Greek', 'Irish' and 'Italian'"):
        labelled.score("a", label="zzzzzz")
    for use in (
        lambda: divided.generate(label="Irish"),
        lambda: divided.score("a", label="Irish"),
        lambda: divided.classify("a"),
    ):
        with pytest.raises(ConfigurationError, match="the model has no labels"):
            use()


@pytest.mark.parametrize("prior", ["training", "uniform"])
def test_the_label_that_explains_a_document_best(labelled: Model, prior: Any) -> None:
    shares = {"training": [0.6, 0.3, 0.1], "uniform": [1 / 3] * 3}[prior]
    for text in DOCUMENTS:
        likelihoods = [math.exp(-sum(alone(labelled, text, each))) for each in (1, 2, 3)]
        joint = np.array(likelihoods) * shares
        if joint.sum() == 0:
            continue
        found = labelled.classify(text, prior=prior)
        np.testing.assert_allclose(found.probabilities, joint / joint.sum(), rtol=1e-3, atol=1e-6)
        assert found.label == LABELS[int(joint.argmax())]
        assert found.most_likely(1)[0][0] == found.label
    (gapped,) = labelled.classify_documents(["abXd"], prior=prior, on_unknown="skip")
    assert gapped.unseen == 1
    nats = [
        sum(alone(labelled, "abd", each)) - alone(labelled, "abd", each)[2] for each in (1, 2, 3)
    ]
    np.testing.assert_allclose(gapped.nats, nats, rtol=1e-5)
    many = list(labelled.classify_documents(DOCUMENTS, prior=prior))
    assert len(many) == len(DOCUMENTS)
    assert many[3].label == labelled.classify(DOCUMENTS[3], prior=prior).label


def test_accuracy_is_part_of_the_evaluation(labelled: Model) -> None:
    texts = [text for text in DOCUMENTS if text]
    likeliest = [labelled.classify(text).label for text in texts]
    own = [*likeliest[:4], next(each for each in LABELS if each != likeliest[4]), None]
    figures = labelled.evaluate(list(zip(texts, own, strict=True)))
    accuracy = figures.accuracy
    assert accuracy is not None
    assert accuracy.documents == 5
    assert accuracy.overall == pytest.approx(4 / 5)
    groups = {label: [i for i, each in enumerate(own) if each == label] for label in set(own[:5])}
    means = [sum(likeliest[i] == own[i] for i in group) / len(group) for group in groups.values()]
    assert accuracy.mean_over_labels == pytest.approx(sum(means) / len(means))
    expected = sum(
        sum(alone(labelled, text, 0 if label is None else LABELS.index(label) + 1))
        for text, label in zip(texts, own, strict=True)
    )
    assert figures.nats == pytest.approx(expected, rel=1e-5)
    assert figures.as_json()["classification"]["accuracy"] == accuracy.overall
    assert labelled.evaluate(texts).accuracy is None


def test_a_model_of_an_undivided_text_has_no_documents(model: Model, divided: Model) -> None:
    with pytest.raises(ConfigurationError, match="learned one undivided text"):
        model.score_documents(["ab"])
    with pytest.raises(ConfigurationError, match="a window is for a model of an undivided text"):
        divided.evaluate(["ab"], window=3)
    assert len(model.generate("ab", seed=1)) == 200
    assert model.generate("ab", seed=1, count=2)[0] == model.generate("ab", seed=1)


def test_the_trace_of_a_document_begins_after_the_boundary(divided: Model) -> None:
    boundary = divided.vocabulary.size - 1
    ids = np.array([boundary, *divided.vocabulary.encode("abc").tolist()])
    expected, _ = divided.backend.trace(ids, divided.backend.zero_state(1))
    found = divided.trace("abc")
    assert found.symbols == ("a", "b", "c")
    np.testing.assert_allclose(found["hidden"], expected["hidden"][1:], rtol=1e-6)
