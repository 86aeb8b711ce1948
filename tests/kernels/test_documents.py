"""Boundaries, before which a stream's state is zero, and labels, in the engine."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda import _kernels
from ricorda.engine.native import NativeBackend, make_network, written_text
from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELLS
from ricorda.model.configuration import ModelConfiguration
from tests.kernels.conftest import INSTRUCTION_SETS
from tests.kernels.test_network import LARGEST_ERROR, cells, in_chunks, precisions

MakeCase = Callable[..., Any]
Ids = NDArray[np.uint32]
State = NDArray[np.float32]

SHAPES: dict[str, dict[str, Any]] = {
    "one-hot": {},
    "layers": {"num_layers": 3},
    "embedding": {"num_layers": 2, "embedding_size": 5},
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def boundaries_in(case: Any, ids: Ids, often: float = 0.15) -> Ids:
    """Put boundaries in random places of ids."""
    boundary = case.configuration.vocabulary_size - 1
    ids[np.random.default_rng(ids.size).random(ids.shape) < often] = boundary
    return ids


def labels_for(case: Any, *shape: int) -> Ids:
    random = np.random.default_rng(shape)
    return random.integers(0, case.configuration.num_labels, shape, np.uint32)


def documents_of(ids: Ids, boundary: int) -> list[slice]:
    """Where each document of a text (T,) lies, its boundary included, and what precedes them."""
    begins = [0, *np.flatnonzero(ids == boundary).tolist(), len(ids)]
    return [slice(a, b) for a, b in itertools.pairwise(begins) if a < b]


@cells
@shapes
@pytest.mark.parametrize("streams, steps", [(1, 40), (3, 90), (20, 3)])
def test_logits_scores_and_states_equal_the_reference(
    make_case: MakeCase, cell: dict[str, Any], shape: dict[str, Any], streams: int, steps: int
) -> None:
    case = make_case(hidden_size=21, documents=True, num_labels=4, **cell, **shape)
    ids, state = boundaries_in(case, case.ids(streams, steps)), case.state(streams)
    labels = labels_for(case, streams, steps)
    expected, expected_state = case.reference.forward(ids, state, labels=labels)
    known = case.reference.score(ids, ids, state, labels=labels)[0].nats
    most = max(1, np.abs(expected).max(), np.abs(expected_state).max())  # relu states may grow
    for kernels in INSTRUCTION_SETS:
        network = case.network(kernels)
        near: dict[str, Any] = {"rtol": 0, "err_msg": kernels}
        logits, last = network.forward(ids, state, labels=labels)
        np.testing.assert_allclose(logits, expected, atol=1e-5 * most, **near)
        np.testing.assert_allclose(last, expected_state, atol=1e-5 * most, **near)
        nats, _, _, after = network.score(ids, ids, state, labels=labels)
        np.testing.assert_allclose(nats, known, atol=2e-5 * most, **near)
        np.testing.assert_array_equal(after, last)


@cells
@precisions
def test_a_document_is_read_as_if_it_were_alone(
    make_case: MakeCase, kernels: str, cell: dict[str, Any], precision: str
) -> None:
    """The same bits, whatever came before it and whatever is read beside it."""
    case = make_case(hidden_size=33, num_layers=2, documents=True, num_labels=3, **cell)
    network, boundary = case.network(kernels, precision), case.configuration.boundary
    ids, labels, state = case.ids(4, 130), labels_for(case, 4, 130), case.state(4)
    ids = boundaries_in(case, ids)
    logits, last = network.forward(ids, state, 2, labels=labels)
    for stream in range(4):
        own = state[:, :, stream : stream + 1].copy()
        for place in documents_of(ids[stream], boundary):
            read = {"labels": labels[stream : stream + 1, place].copy()}
            found, after = network.forward(ids[stream : stream + 1, place].copy(), own, **read)
            np.testing.assert_array_equal(found[0], logits[stream, place])
            own = np.zeros_like(own)
        np.testing.assert_array_equal(after[:, :, 0], last[:, :, stream])


@cells
def test_what_precedes_a_boundary_would_matter_without_it(
    make_case: MakeCase, kernels: str, cell: dict[str, Any]
) -> None:
    case = make_case(hidden_size=20, documents=True, **cell)
    ids, zero = case.ids(1, 12), np.zeros_like(case.state(1))
    ids[0, 6] = case.configuration.boundary
    after = {}
    for documents in (True, False):
        shape = {**cell, "vocabulary_size": 65, "hidden_size": 20, "documents": documents}
        network = make_network(ModelConfiguration(**shape), case.tensors, kernels=kernels)
        whole, _ = network.forward(ids, zero)
        after[documents] = np.abs(whole[:, 6:] - network.forward(ids[:, 6:].copy(), zero)[0]).max()
    assert after[True] == 0
    assert after[False] > 1e-3


@cells
@precisions
def test_chunks_and_steps_give_the_same_bits(
    make_case: MakeCase, kernels: str, cell: dict[str, Any], precision: str
) -> None:
    case = make_case(hidden_size=33, num_layers=2, embedding_size=9, documents=True, **cell)
    network, state = case.network(kernels, precision), case.state(2)
    ids = boundaries_in(case, case.ids(2, 150))
    whole, last = network.forward(ids, state)
    for chunk in (1, 64, 97):
        logits, after = in_chunks(network, ids, state, chunk)
        np.testing.assert_array_equal(logits, whole)
        np.testing.assert_array_equal(after, last)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stream_has_the_same_bits_alone_and_in_any_batch(
    make_case: MakeCase, kernels: str, threads: int
) -> None:
    case = make_case(cell="lstm", hidden_size=49, num_layers=2, documents=True, num_labels=5)
    network, state = case.network(kernels, "int8"), case.state(70)
    ids, labels = boundaries_in(case, case.ids(70, 11)), labels_for(case, 70, 11)
    together, last = network.forward(ids, state, threads, labels=labels)
    for size in (1, 5, 23):
        first = 70 - size
        own = state[:, :, first:].copy()
        some, after = network.forward(ids[first:], own, threads, labels=labels[first:])
        np.testing.assert_array_equal(some, together[first:])
        np.testing.assert_array_equal(after, last[:, :, first:])


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
def test_traces_equal_the_reference(make_case: MakeCase, kernels: str, cell: str) -> None:
    case = make_case(cell=cell, hidden_size=21, num_layers=2, documents=True, num_labels=3)
    ids, labels, state = case.ids(1, 130), labels_for(case, 1, 130), case.state(1)
    ids = boundaries_in(case, ids)
    activations, last = case.network(kernels).trace(ids, state, labels=labels)
    expected, expected_state = case.reference.trace(ids[0], state, labels=labels[0])
    for name, array in zip(CELLS[case.configuration.cell].traced, activations, strict=True):
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(last, expected_state, rtol=0, atol=1e-5)


def test_the_state_passed_in_is_not_changed(make_case: MakeCase, kernels: str) -> None:
    case = make_case(cell="lstm", hidden_size=10, documents=True)
    state = case.state(3)
    before = state.copy()
    ids = np.full((3, 2), case.configuration.boundary, np.uint32)
    case.network(kernels).forward(ids, state)
    np.testing.assert_array_equal(state, before)


def test_a_boundary_ends_an_infinite_state(make_case: MakeCase, kernels: str) -> None:
    case = make_case(cell="rnn", nonlinearity="relu", hidden_size=16, documents=True)
    ids = np.array([[1, case.configuration.boundary, 2]], np.uint32)
    logits, _ = case.network(kernels).forward(ids, np.full((1, 1, 1, 16), np.inf, np.float32))
    assert not np.isfinite(logits[0, 0]).all()
    assert np.isfinite(logits[0, 1:]).all()


@cells
@shapes
def test_a_label_is_a_part_of_the_first_bias(
    make_case: MakeCase, kernels: str, cell: dict[str, Any], shape: dict[str, Any]
) -> None:
    """Under one label throughout, a network is one without labels and with another bias."""
    case = make_case(hidden_size=21, num_labels=3, **cell, **shape)
    ids, state, network = case.ids(2, 9), case.state(2), case.network(kernels)
    for label in range(3):
        without = dict(case.tensors)
        row = without.pop("labels.weight")[label]
        without["layers.0.bias_ih"] = without["layers.0.bias_ih"] + row
        plain = ModelConfiguration(**{"vocabulary_size": 65, "hidden_size": 21} | cell | shape)
        expected, _ = make_network(plain, without, kernels=kernels).forward(ids, state)
        labels = np.full((2, 9), label, np.uint32)
        logits, _ = network.forward(ids, state, labels=labels)
        most = max(1, np.abs(expected).max())
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * most)
        if label == 0:
            np.testing.assert_array_equal(network.forward(ids, state)[0], logits)


@precisions
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_labels_and_boundaries_without_a_table(
    make_case: MakeCase, kernels: str, cell: str, precision: str
) -> None:
    symbols, width = 25_000, 4 * 48
    case = make_case(
        cell=cell,
        hidden_size=40,
        embedding_size=3,
        vocabulary_size=symbols,
        documents=True,
        num_labels=2,
    )
    network = case.network(kernels, precision)
    assert network.bytes < 4 * symbols * width
    ids, labels, state = case.ids(2, 9), labels_for(case, 2, 9), case.state(2)
    ids = boundaries_in(case, ids, 0.4)
    logits, last = network.forward(ids, state, labels=labels)
    expected, expected_state = case.reference.forward(ids, state, labels=labels)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=LARGEST_ERROR[precision])
    np.testing.assert_allclose(last, expected_state, rtol=0, atol=LARGEST_ERROR[precision])


def test_labels_count_among_the_bytes(make_case: MakeCase) -> None:
    with_labels = make_case(cell="lstm", hidden_size=64, num_labels=10).network()
    without = make_case(cell="lstm", hidden_size=64).network()
    row = 4 * 4 * 64
    assert with_labels.step_bytes == without.step_bytes + row
    assert with_labels.bytes == without.bytes + 11 * row


def test_labels_that_a_network_does_not_have_are_refused(make_case: MakeCase) -> None:
    case = make_case(cell="rnn", hidden_size=5, num_labels=3)
    ids, state, labels = case.ids(2, 4), case.state(2), np.full((2, 4), 3, np.uint32)
    network, backend = case.network(), NativeBackend(case.configuration, case.tensors)
    with pytest.raises(ValueError, match="labels must be below the number of labels 3"):
        network.forward(ids, state, labels=labels)
    with pytest.raises(ValueError, match="labels must have the shape"):
        network.score(ids, ids, state, labels=labels[:, 1:].copy())
    with pytest.raises(ConfigurationError, match="at least 0 and below 3, got 3"):
        backend.forward(ids, state, labels=labels)
    with pytest.raises(ConfigurationError, match=r"ids' shape \(2, 4\), got uint32 of the shape"):
        backend.forward(ids, state, labels=labels[0])
    plain = make_case(cell="rnn", hidden_size=5)
    with pytest.raises(ValueError, match="the network has no labels"):
        plain.network().trace(ids[:1], state[:, :, :1].copy(), labels=labels[:1])
    with pytest.raises(ConfigurationError, match="the model has no labels"):
        NativeBackend(plain.configuration, plain.tensors).step(
            ids[:, 0], state, labels=np.zeros(2, np.uint32)
        )


def test_labels_may_be_any_integers(make_case: MakeCase) -> None:
    case = make_case(cell="gru", hidden_size=5, num_labels=3)
    backend, ids = NativeBackend(case.configuration, case.tensors), case.ids(2, 6)
    labels = labels_for(case, 2, 6)
    expected, _ = backend.forward(ids, backend.zero_state(2), labels=labels)
    for dtype in (np.uint8, np.int64):
        found, _ = backend.forward(ids, backend.zero_state(2), labels=labels.astype(dtype))
        np.testing.assert_array_equal(found, expected)
    found, _ = backend.step(ids[:, 0], backend.zero_state(2), labels=labels[:, 0])
    np.testing.assert_array_equal(found, expected[:, 0])


def test_a_tensor_of_labels_is_asked_for(make_case: MakeCase) -> None:
    case = make_case(cell="rnn", hidden_size=5, num_labels=3)
    case.tensors["labels.weight"] = case.tensors["labels.weight"][:2].copy()
    with pytest.raises(ValueError, match=r"labels\.weight must have the shape"):
        case.network()


class TestSessions:
    """Texts of documents: each ends at its boundary, and has one label."""

    def test_a_text_ends_at_its_boundary(self, make_case: MakeCase, kernels: str) -> None:
        case = make_case(cell="gru", hidden_size=12, vocabulary_size=6, documents=True)
        case.tensors["output.weight"][:] = 0
        case.tensors["output.bias"][:] = 0
        network = case.network(kernels)
        lengths = []
        for seed in range(40):
            session = _kernels.Session(network)
            session.add(np.array([5], np.uint32), _kernels.SamplingSettings(), 50, seed)
            ((_, ids, *_, chosen, ending),) = session.advance(50)
            assert 5 not in ids[:-1]
            assert (ending, chosen) == ("stop" if ids[-1] == 5 else "length", len(ids))
            lengths.append(len(ids) - 1)
        assert 0 in lengths
        assert 2 < np.mean(lengths) < 10  # a sixth of the symbols are boundaries

    def test_held_symbols_go_out_at_the_boundary(self, make_case: MakeCase) -> None:
        case = make_case(cell="rnn", hidden_size=4, vocabulary_size=4, documents=True)
        case.tensors["output.weight"][:] = 0
        case.tensors["output.bias"][:] = [-99, -99, 0, 0]  # 2 or a boundary
        network, longest = case.network(), 0
        for seed in range(20):
            session = _kernels.Session(network)
            settings = _kernels.SamplingSettings()
            session.add(np.array([3], np.uint32), settings, 60, seed, stops=[[2] * 30 + [1]])
            ((_, ids, *_, chosen, ending),) = session.advance(60)
            assert ending == "stop"
            assert ids.tolist() == [2] * (chosen - 1) + [3]
            longest = max(longest, chosen)
        assert longest > 3

    def test_a_boundary_in_a_prompt_begins_anew(self, make_case: MakeCase) -> None:
        case = make_case(cell="lstm", hidden_size=12, vocabulary_size=9, documents=True)
        network, texts = case.network(), []
        for prompt in ([3, 1, 8, 4], [8, 4], [4, 4, 8, 8, 4]):
            session = _kernels.Session(network)
            ids = np.array(prompt, np.uint32)
            session.add(ids, _kernels.SamplingSettings(), 30, 7, state=case.state(1))
            texts.append(session.advance(100)[0][1].tolist())
        assert texts[0] == texts[1] == texts[2]

    @pytest.mark.parametrize("threads", [1, 2])
    def test_each_text_has_its_label(self, make_case: MakeCase, threads: int) -> None:
        case = make_case(cell="lstm", hidden_size=12, vocabulary_size=9, num_labels=5)
        case.tensors["labels.weight"] *= 10
        network, session = case.network(), _kernels.Session(case.network())
        prompt, settings = np.array([8, 1], np.uint32), _kernels.SamplingSettings()
        for label in range(5):
            session.add(prompt, settings, 20, 3, alternatives=0, label=label)
        found: set[tuple[float, ...]] = set()
        for label, (_, ids, chances, *_) in enumerate(session.advance(30, threads)):
            read = np.concatenate([prompt, ids[:-1]])[np.newaxis]
            labels = np.full(read.shape, label, np.uint32)
            zero = np.zeros_like(case.state(1))
            nats = network.score(read, np.roll(read, -1), zero, labels=labels)[0]
            np.testing.assert_allclose(-chances[:-1], nats[0, 1:-1], rtol=1e-5, atol=1e-6)
            found.add(tuple(chances.tolist()))
        assert len(found) == 5

    def test_a_label_that_the_network_does_not_have_is_refused(self, make_case: MakeCase) -> None:
        prompt, settings = np.array([0], np.uint32), _kernels.SamplingSettings()
        for labels in (0, 3):
            case = make_case(cell="rnn", hidden_size=4, num_labels=labels)
            session = _kernels.Session(case.network())
            session.add(prompt, settings, 5, 1, label=max(0, labels - 1))
            with pytest.raises(ValueError, match=f"below the number of labels {labels}, not 3"):
                session.add(prompt, settings, 5, 1, label=3)


class TestAutomaticPrecision:
    """The text on which `auto` measures precisions."""

    def test_it_consists_of_documents(self, make_case: MakeCase) -> None:
        case = make_case(cell="gru", hidden_size=12, vocabulary_size=9, documents=True)
        case.tensors["output.weight"][:] = 0
        case.tensors["output.bias"][:] = [-60, 0, 0, 0, 0, 0, 0, 0, 1]  # 0 is never written
        ids = written_text(case.configuration, case.network())
        assert (ids[:, 1:] == case.configuration.boundary).sum() > 10
        assert (ids[:, 1:] != 0).all()

    def test_it_is_what_the_network_writes_under_its_labels(self, make_case: MakeCase) -> None:
        case = make_case(cell="lstm", hidden_size=16, vocabulary_size=9, num_labels=8)
        case.tensors["labels.weight"][:] = 0
        network, plain = case.network(), dict(case.tensors)
        del plain["labels.weight"]
        unlabelled = ModelConfiguration(cell="lstm", hidden_size=16, vocabulary_size=9)
        expected = written_text(unlabelled, make_network(unlabelled, plain))
        np.testing.assert_array_equal(written_text(case.configuration, network), expected)
        case.tensors["labels.weight"][5] = 3
        changed = written_text(case.configuration, case.network()) != expected
        assert changed.any(axis=1).tolist() == [row == 5 for row in range(8)]

    @pytest.mark.parametrize("vocabulary_size", [2, 30])
    def test_it_chooses_one(self, make_case: MakeCase, vocabulary_size: int) -> None:
        case = make_case(
            cell="lstm",
            hidden_size=16,
            vocabulary_size=vocabulary_size,
            documents=True,
            num_labels=3,
        )
        backend = NativeBackend(case.configuration, case.tensors, "auto")
        assert backend.precision in ("float32", "bfloat16", "int8")
