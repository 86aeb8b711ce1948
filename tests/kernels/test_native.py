"""The kernels behind the Backend protocol, and texts by way of sessions."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from ricorda.engine import Model, Piece, ReferenceBackend
from ricorda.engine.generation import GenerationSettings
from ricorda.engine.native import NativeBackend
from ricorda.engine.session import NativeSession, NativeStream
from ricorda.errors import ConfigurationError, ModelFileError, VocabularyError
from ricorda.model.cells import CellName
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

MakeCase = Callable[..., Any]


def native(case: Any, **options: Any) -> NativeBackend:
    return NativeBackend(case.configuration, case.tensors, **{"precision": "float32"} | options)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
def test_it_is_a_backend(make_case: MakeCase, kernels: str, cell: str) -> None:
    case = make_case(cell=cell, hidden_size=20, num_layers=2, embedding_size=6)
    backend, reference = native(case, kernels=kernels), case.reference
    assert backend.instruction_set == kernels
    ids, state = case.ids(3, 7), backend.zero_state(3)
    assert state.shape == (case.configuration.state_parts, 2, 3, 20)
    logits, last = backend.forward(ids, state)
    step_logits, step_state = backend.step(ids[:, 0], state)
    np.testing.assert_allclose(logits, reference.forward(ids, state)[0], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(step_logits, logits[:, 0])
    np.testing.assert_array_equal(backend.forward(ids[:, 1:], step_state)[1], last)
    scores, _ = backend.score(ids[:, :-1], ids[:, 1:], state, 2)
    expected, _ = reference.score(ids[:, :-1], ids[:, 1:], state, 2)
    np.testing.assert_allclose(scores.nats, expected.nats, rtol=0, atol=1e-5)
    arrays, _ = backend.trace(ids[0], backend.zero_state(1))
    expected_arrays, _ = reference.trace(ids[0], backend.zero_state(1))
    assert arrays.keys() == expected_arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(array, expected_arrays[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int8, np.int32, np.int64, np.uint64])
def test_ids_may_be_any_integers(make_case: MakeCase, dtype: type) -> None:
    case = make_case(cell="rnn", hidden_size=5)
    backend, ids = native(case), case.ids(2, 6)
    expected, _ = backend.forward(ids, backend.zero_state(2))
    logits, _ = backend.forward(ids.astype(dtype)[:, ::2], backend.zero_state(2))
    np.testing.assert_array_equal(logits[:, 0], expected[:, 0])


@pytest.mark.parametrize("wrong", [-1, 65, 2**32, 2**40])
def test_ids_out_of_range_are_refused(make_case: MakeCase, wrong: int) -> None:
    case = make_case(cell="rnn", hidden_size=5)
    backend = native(case)
    with pytest.raises(VocabularyError, match=f"65, got {wrong}"):
        backend.step(np.array([wrong]), backend.zero_state(1))
    with pytest.raises(VocabularyError):
        backend.step(np.array([65], np.uint8), backend.zero_state(1))


def test_wrong_shapes_and_options_are_refused(make_case: MakeCase) -> None:
    case = make_case(cell="rnn", hidden_size=5)
    backend = native(case)
    with pytest.raises(ConfigurationError, match="integers in 2 dimensions"):
        backend.forward(np.zeros(3, np.uint32), backend.zero_state(1))
    with pytest.raises(ConfigurationError, match="integers in 1 dimensions"):
        backend.trace(np.zeros(3), backend.zero_state(1))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="state must have the shape"):
        backend.step(case.ids(2), backend.zero_state(1))
    with pytest.raises(ConfigurationError, match="threads must be at least 1, got 0"):
        native(case, threads=0)
    with pytest.raises(ConfigurationError, match="kernels must be one of"):
        native(case, kernels="mmx")
    del case.tensors["output.bias"]
    with pytest.raises(ConfigurationError, match=r"output\.bias is missing"):
        native(case)


CHARACTERS = CharacterVocabulary("\nabcdeé世", "\n")


def writing_models(
    vocabulary: Vocabulary, cell: CellName, seed: int
) -> tuple[Model, NativeSession]:
    """The same network by the reference in float64 and by the kernels."""
    configuration = ModelConfiguration(
        cell=cell,
        vocabulary_size=vocabulary.size,
        hidden_size=16,
        documents=vocabulary.boundary is not None,
        num_labels=len(vocabulary.labels) and len(vocabulary.labels) + 1,
    )
    random = np.random.default_rng(seed)
    tensors = {
        name: random.normal(0, 0.25, shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    tensors["output.weight"] *= 4
    if vocabulary.kind == "bytes":  # mostly the bytes of some characters of one to four
        tensors["output.bias"] -= 30
        tensors["output.bias"][list("aé€😀".encode())] += 30
        tensors["output.bias"][256:] += 30  # the boundary
    reference = ReferenceBackend(configuration, tensors, np.float64)
    backend = NativeBackend(configuration, tensors, "float32", threads=2)
    return Model(configuration, vocabulary, reference), backend.session(vocabulary)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
@pytest.mark.parametrize(
    "vocabulary", [CHARACTERS, ByteVocabulary(10)], ids=["characters", "bytes"]
)
def test_a_session_writes_what_the_reference_writes(vocabulary: Vocabulary, cell: CellName) -> None:
    """Fixed seeds: float32 and float64 then always agree on every choice."""
    model, session = writing_models(vocabulary, cell, seed=7)
    random = np.random.default_rng(8)
    expected: dict[NativeStream, tuple[str, Any]] = {}
    pieces: dict[NativeStream, list[Piece]] = {}
    for number in range(24):
        options: dict[str, Any] = {"seed": number, "length": int(random.integers(0, 60))}
        options["temperature"] = float(random.choice([0, 0.7, 1.2]))
        options["alternatives"] = [None, 0, 3][number % 3]
        if number % 2:
            options["stop"] = ("ab", "ba", "aé")
        if number % 5 == 0:
            options |= {"repetition_penalty": 1.5, "repetition_window": 6, "banned": "d"}
        if number % 4 == 2:
            options["banned_word"] = ("aé", "éa", "aab")
        if number % 6 == 2:
            options["allowed"] = "aé€😀" if vocabulary.kind == "bytes" else "aébc"
        prompt = "aé"[: 1 + number % 2]
        generation = model.begin(prompt, **options)
        stream = session.add(vocabulary.encode(prompt), generation.settings)
        expected[stream] = (generation.text(), generation)
        pieces[stream] = []
        collect(session, pieces, steps=1 + number % 4)
    while collect(session, pieces, steps=5):
        pass
    for stream, (text, generation) in expected.items():
        assert "".join(piece.text for piece in pieces[stream]) == text
        assert (stream.ended, stream.written) == (generation.ended, generation.written)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
@pytest.mark.parametrize("vocabulary", [
    CharacterVocabulary("\nabcdeé世", "\n", has_boundary=True, labels=("x", "y")),
    ByteVocabulary(10, has_boundary=True, labels=("x", "y")),
], ids=["characters", "bytes"])  # fmt: skip
def test_a_session_of_documents_writes_what_the_reference_writes(
    vocabulary: Vocabulary, cell: CellName
) -> None:
    """Texts of all labels side by side, with fixed seeds; only the last symbol may end them."""
    model, session = writing_models(vocabulary, cell, seed=7)
    reference = model.backend.session(vocabulary)
    boundary, streams = vocabulary.size - 1, {}
    pieces: dict[NativeStream, list[Piece]] = {}
    for number in range(30):
        settings = GenerationSettings(
            seed=number,
            length=40,
            temperature=(0.7, 1.2)[number % 2],
            alternatives=(None, 2)[number % 2],
            stop=("ab", "ba", "aaé")[: number % 4],
            repetition_penalty=(1.0, 1.0, 1.5)[number % 3],
        )
        prompt = [boundary, *vocabulary.encode("aé"[: number % 3]).tolist()]
        stream = session.add(np.array(prompt), settings, label=number % 3)
        pieces[stream] = []
        streams[stream] = reference.add(np.array(prompt), settings, label=number % 3)
    expected: dict[Any, list[Piece]] = {stream: [] for stream in streams.values()}
    while collect(session, pieces, steps=3):
        pass
    while progress := reference.advance(7):
        for written, piece in progress:
            expected[written] += [piece] if piece else []
    for stream, known in streams.items():
        assert (stream.ended, stream.written) == (known.ended, known.written)
        assert text_of(pieces[stream]) == text_of(expected[known])
        ids = [symbol for piece in pieces[stream] for symbol in piece.ids]
        assert ids == [symbol for piece in expected[known] for symbol in piece.ids]
        assert boundary not in ids[:-1]
    ends = [stream.ended for stream in streams]
    assert ends.count("stop") > 5
    assert "length" in ends or cell != "gru"


def text_of(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_a_text_may_end_at_once() -> None:
    vocabulary = CharacterVocabulary("\nab", "\n", has_boundary=True)
    model, session = writing_models(vocabulary, "gru", seed=3)
    settings = GenerationSettings(seed=1, length=9, logit_bias=((3, 100.0),))
    for each in (session, model.backend.session(vocabulary)):
        stream = each.add(np.array([3]), settings)
        [(_, piece)] = each.advance(3)
        assert piece is not None
        assert (piece.text, piece.ids) == ("", (3,))
        assert (stream.ended, stream.written) == ("stop", 1)
        assert len(each.advance_symbols(3)) == 0


def test_no_penalty_keeps_a_text_from_ending(make_case: MakeCase) -> None:
    """A prompt begins with a boundary, which is no symbol of the text."""
    vocabulary = CharacterVocabulary("\nab", "\n", has_boundary=True)
    case = make_case(cell="gru", hidden_size=4, vocabulary_size=4, documents=True)
    case.tensors["output.weight"][:] = 0
    case.tensors["output.bias"][:] = [1, 0, 0, 2]
    settings = GenerationSettings(temperature=0, length=9, repetition_penalty=100)
    reference = ReferenceBackend(case.configuration, case.tensors, np.float64)
    for backend in (native(case), reference):
        session = backend.session(vocabulary)
        stream = session.add(np.array([3, 1]), settings, before=np.array([2, 3]))
        session.advance(3)
        assert (stream.ended, stream.written) == ("stop", 1)


def test_a_label_that_the_model_does_not_have_is_refused() -> None:
    vocabulary = CharacterVocabulary("\nab", "\n", has_boundary=True, labels=("x",))
    for each, match in [(vocabulary, "below 2, got 2"), (CHARACTERS, "the model has no labels")]:
        model, session = writing_models(each, "gru", seed=3)
        for texts in (session, model.backend.session(each)):
            texts.add(np.array([1]), GenerationSettings(), label=0)
            with pytest.raises(ConfigurationError, match=match):
                texts.add(np.array([1]), GenerationSettings(), label=2)


def collect(session: NativeSession, pieces: dict[NativeStream, list[Piece]], steps: int) -> bool:
    progress = session.advance(steps)
    for stream, piece in progress:
        if piece:
            pieces[stream].append(piece)
    return bool(progress)


def test_pieces_tell_their_symbols() -> None:
    model, session = writing_models(ByteVocabulary(10), "gru", seed=3)
    settings = GenerationSettings(seed=5, length=200, alternatives=2)
    stream = session.add(np.array([97]), settings)
    pieces: dict[NativeStream, list[Piece]] = {stream: []}
    while collect(session, pieces, steps=1):
        pass
    ids = [symbol.id for piece in pieces[stream] for symbol in piece.symbols]
    assert len(ids) == 200
    assert model.vocabulary.decode(ids) == "".join(piece.text for piece in pieces[stream])
    for piece in pieces[stream]:
        for symbol in piece.symbols:
            assert symbol.log_probability is not None
            assert symbol.log_probability <= symbol.alternatives[0][1] <= 0
            assert len(symbol.alternatives) == 2


def test_a_fresh_seed_is_drawn_and_reported() -> None:
    _, session = writing_models(CHARACTERS, "gru", seed=3)
    first = session.add(np.array([1]), GenerationSettings())
    second = session.add(np.array([1]), GenerationSettings())
    assert first.seed != second.seed


def test_streams_leave_and_may_be_saved() -> None:
    _, session = writing_models(CHARACTERS, "gru", seed=3)
    stream = session.add(np.array([1, 2]), GenerationSettings(seed=1))
    session.advance(3)
    unread, state = session.save(stream)
    assert unread.shape == (1,)
    assert state.shape == (1, 1, 1, 16)
    session.remove(stream)
    assert len(session) == 0
    assert session.advance() == []


def test_a_session_refuses_what_cannot_be_written() -> None:
    _, session = writing_models(CHARACTERS, "gru", seed=3)
    with pytest.raises(VocabularyError):
        session.add(np.array([8]), GenerationSettings())
    with pytest.raises(ConfigurationError, match="at least one symbol"):
        session.add(np.array([], np.uint8), GenerationSettings())
    with pytest.raises(ConfigurationError, match="must leave a symbol"):
        session.add(np.array([1]), GenerationSettings(allowed="z"))
    with pytest.raises(ConfigurationError, match="state must have the shape"):
        session.add(np.array([1]), GenerationSettings(), state=np.zeros((1, 1, 2, 16)))


def test_a_stop_string_that_the_model_cannot_write_is_refused() -> None:
    _, session = writing_models(CHARACTERS, "gru", seed=3)
    with pytest.raises(VocabularyError, match="'aZ' can never occur: the model has no 'Z'"):
        session.add(np.array([1]), GenerationSettings(seed=1, length=9, stop=("a", "aZ")))


def test_a_text_that_overflows_is_an_error_and_the_others_continue(make_case: MakeCase) -> None:
    case = make_case(cell="rnn", nonlinearity="relu", hidden_size=16, vocabulary_size=8)
    session = native(case).session(CHARACTERS)
    settings = GenerationSettings(seed=1, length=9)
    first = session.add(np.array([1]), settings)
    session.add(np.array([1]), settings, state=np.full((1, 1, 1, 16), np.inf, np.float32))
    last = session.add(np.array([1]), settings)
    with pytest.raises(ModelFileError, match="finite"):
        session.advance(4)
    assert len(session) == 2
    pieces: dict[NativeStream, list[Piece]] = {first: [], last: []}
    while collect(session, pieces, steps=4):
        pass
    texts = ["".join(piece.text for piece in pieces[stream]) for stream in (first, last)]
    assert len(texts[0]) == 9
    assert texts[0] == texts[1]


def test_several_threads_may_use_one_session() -> None:
    _, session = writing_models(CHARACTERS, "gru", seed=3)
    pieces: dict[NativeStream, list[Piece]] = {}
    lock = threading.Lock()

    def work() -> None:
        for _ in range(20):
            stream = session.add(np.array([1]), GenerationSettings(seed=1, length=30))
            with lock:
                pieces.setdefault(stream, [])
            for other, piece in session.advance(3):
                if piece:
                    with lock:
                        pieces.setdefault(other, []).append(piece)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    while collect(session, pieces, steps=10):
        pass
    lengths = [sum(len(piece.text) for piece in found) for found in pieces.values()]
    assert lengths == [30] * 80


@pytest.mark.parametrize("wrong", [-1, 8, 2**32])
def test_a_prompt_out_of_range_is_refused(wrong: int) -> None:
    _, session = writing_models(CHARACTERS, "gru", seed=3)
    with pytest.raises(VocabularyError):
        session.add(np.array([1, wrong]), GenerationSettings())
    with pytest.raises(VocabularyError):
        session.add(np.array([1]), GenerationSettings(), before=np.array([wrong]))
