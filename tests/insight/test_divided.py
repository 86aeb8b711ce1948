"""What is shown of a model of documents with labels: the boundary is read, shown and counted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ricorda.engine import Model, ReferenceBackend, open_model
from ricorda.engine.scoring import Scores
from ricorda.errors import ConfigurationError
from ricorda.insight import (
    Unit,
    alternatives,
    clamped,
    clusters,
    describe,
    influence,
    read_activations,
    shared_stretches,
    step_equation,
    surprisal_page,
    track_units,
    unit_activity,
    unit_health,
)
from ricorda.insight.deletion import METHODS
from ricorda.insight.features import every_column
from ricorda.insight.units import known_text
from ricorda.model import ModelFile
from ricorda.model.cells import CELLS, CellName
from ricorda.text import ByteVocabulary
from ricorda.text.unseen import Gap, KnownText
from tests.model.divided import divided_file, divided_model, divided_vocabulary, without_labels

TEXT = 'anna, "maria"\nand o\'hara'
LABEL = "Irish"  # number 2

every_cell = pytest.mark.parametrize("cell", CELLS)


def undivided(file: ModelFile, label: int = 0) -> Model:
    """The same network without documents and labels, whose ids it reads from a zero state."""
    plain = without_labels(file, label)
    configuration = replace(plain.configuration, documents=False)
    return open_model(replace(plain, configuration=configuration), backend="numpy")


def with_boundary(model: Model | ModelFile, text: str) -> Any:
    boundary = model.vocabulary.size - 1
    return np.concatenate([[boundary], model.vocabulary.encode(text)]).astype(np.uint32)


def test_a_text_begins_with_the_boundary_and_gaps_move_along() -> None:
    model = divided_model()
    ids = with_boundary(model, TEXT)
    for text in (TEXT, ids[1:], ids, KnownText(ids[1:])):
        np.testing.assert_array_equal(known_text(model, text).ids, ids)
    moved = known_text(model, KnownText(ids[1:], (Gap(0, "Ж"), Gap(3, "é"))))
    assert moved.gaps == (Gap(1, "Ж"), Gap(4, "é"))
    kept = known_text(model, KnownText(ids, (Gap(2, "Ж"),)))
    assert kept.gaps == (Gap(2, "Ж"),)


def test_the_boundary_fits_ids_of_bytes() -> None:
    known = known_text(divided_model(of_bytes=True, embedding_size="onehot"), "é")
    assert known.ids.tolist() == [256, 0xC3, 0xA9]


@every_cell
@pytest.mark.parametrize("label, number", [(None, 0), (LABEL, 2)])
def test_activations_are_those_of_the_network_from_the_boundary_on(
    cell: CellName, label: str | None, number: int
) -> None:
    file = divided_file(cell)
    model = open_model(file, backend="numpy")
    expected = undivided(file, number)
    ids = with_boundary(model, TEXT)
    trace, _ = expected.backend.trace(ids, expected.backend.zero_state(1))
    (block,) = read_activations(model, TEXT, label=label)
    for name, array in trace.items():
        np.testing.assert_allclose(block.arrays[name], array, rtol=1e-4, atol=1e-5)
    units = [Unit(0, 3), Unit(1, 5)]
    found = unit_activity(model, TEXT, units, label=label)
    np.testing.assert_allclose(found, trace["hidden"][:, [0, 1], [3, 5]], rtol=1e-4, atol=1e-5)
    health = unit_health(model, TEXT, label=label)
    assert health.symbols == len(ids)
    np.testing.assert_allclose(health.mean, trace["hidden"].mean(axis=0), rtol=1e-3, atol=1e-5)


def test_documents_in_ids_are_read_one_by_one() -> None:
    model = divided_model()
    one, other = with_boundary(model, "anna"), with_boundary(model, "o'hara")
    both = unit_activity(model, np.concatenate([one, other]), [Unit(1, 2)])
    parts = [unit_activity(model, each, [Unit(1, 2)]) for each in (one, other)]
    np.testing.assert_allclose(both, np.concatenate(parts), rtol=1e-5, atol=1e-6)


@every_cell
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("position", [0, 5, 11])
def test_every_number_of_the_equation_is_that_of_the_trace(
    cell: CellName, layer: int, position: int
) -> None:
    """Position 0 is the boundary, 11 is another one."""
    file, unit = divided_file(cell), Unit(layer, 4)
    one, other = with_boundary(file, "anna maria"), with_boundary(file, "joan")
    ids = np.concatenate([one, other])
    backend = ReferenceBackend(file.configuration, file.tensors, np.float64)
    labels = np.full(len(ids), 2)
    trace, _ = backend.trace(ids, backend.zero_state(1), labels=labels)
    step = step_equation(file, ids, position, unit, label=LABEL)
    for terms in step.gates:
        assert terms.value == pytest.approx(trace[terms.name][position, layer, 4], abs=1e-6)
        row = CELLS[cell].gates.index(next(g for g in CELLS[cell].gates if g.name == terms.name))
        expected = file.tensors["labels.weight"][2, row * 8 + 4] if layer == 0 else None
        assert terms.from_label == (None if expected is None else pytest.approx(float(expected)))
        past = terms.scale * ((terms.from_hidden or 0.0) + (terms.hidden_bias or 0.0))
        total = terms.from_input + terms.input_bias + (terms.from_label or 0) + past
        assert terms.total == pytest.approx(total)
    assert step.hidden == pytest.approx(trace["hidden"][position, layer, 4], abs=1e-6)
    if position in (0, 11):
        assert step.symbol == "◇"
        assert step.hidden_before == 0
    assert all(line.count("=") >= 2 for line in step.lines())


def test_the_label_is_a_term_of_the_equation() -> None:
    (line, *_) = step_equation(divided_file("rnn"), "anna", 2, Unit(0, 1), label=LABEL).lines()
    inside = line[line.index("(") + 1 : line.index(")")]
    assert sum(inside.count(sign) for sign in (" + ", " - ")) == 4  # five terms
    (line, *_) = step_equation(divided_file("rnn"), "anna", 2, Unit(1, 1), label=LABEL).lines()
    inside = line[line.index("(") + 1 : line.index(")")]
    assert sum(inside.count(sign) for sign in (" + ", " - ")) == 3


@every_cell
@pytest.mark.parametrize("method", METHODS)
def test_influence_is_that_of_the_network_without_documents(cell: CellName, method: Any) -> None:
    file = divided_file(cell)
    model, plain = open_model(file, backend="numpy"), undivided(file, 2)
    found = influence(model, TEXT, [1, 4, 20], distance=6, method=method, label=LABEL)
    assert found.symbols[0] == "◇"
    ids = with_boundary(model, TEXT)
    expected = influence(plain, ids, [1, 4, 20], distance=6, method=method)
    if method == "leave out":  # which draws nothing, and so not the boundary
        np.testing.assert_allclose(found.nats, expected.nats, rtol=1e-3, atol=1e-5)
    assert found.at(1)[-1][:2] == (0, "◇")


def test_nothing_has_influence_across_a_boundary() -> None:
    model = divided_model()
    ids = np.concatenate([with_boundary(model, "anna"), with_boundary(model, "maria")])
    found = influence(model, ids, [8], distance=8)
    np.testing.assert_allclose(found.divergence[0, 3:], 0, atol=1e-6)
    assert (found.divergence[0, :3] > 1e-5).all()


@pytest.mark.parametrize("measure", ["norm", "product", "integrated"])
@pytest.mark.parametrize("embedding_size", [5, "onehot"])
def test_gradients_are_those_of_the_network_without_documents(
    measure: Any, embedding_size: Any
) -> None:
    pytest.importorskip("torch")
    from ricorda.insight import gradient_influence

    file = divided_file(embedding_size=embedding_size)
    plain = without_labels(file, 2)
    plain = replace(plain, configuration=replace(plain.configuration, documents=False))
    places, found = gradient_influence(
        file, TEXT, [1, 4, 20], distance=6, measure=measure, label=LABEL
    )
    assert places.tolist() == [1, 4, 20]
    ids = with_boundary(file, TEXT)
    _, expected = gradient_influence(plain, ids, [1, 4, 20], distance=6, measure=measure)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)

    before = with_boundary(file, "joan")
    both = np.concatenate([before, ids])
    moved = [5 + 1, 5 + 4, 5 + 20]
    _, later = gradient_influence(file, both, moved, distance=6, measure="norm", label=LABEL)
    _, alone = gradient_influence(file, ids, [1, 4, 20], distance=6, measure="norm", label=LABEL)
    np.testing.assert_allclose(later, np.nan_to_num(alone), rtol=1e-6, atol=1e-12)


def test_a_clamped_unit_is_held_after_each_boundary() -> None:
    file, unit = divided_file(), Unit(0, 3)
    held = clamped(file, {unit: 0.5})
    assert held.configuration == file.configuration
    assert held.tensors["labels.weight"] is not file.tensors["labels.weight"]
    model, ids = open_model(held, backend="numpy"), with_boundary(file, "anna")
    logits, _ = model.backend.forward(
        np.concatenate([ids, ids])[np.newaxis], model.backend.zero_state(1)
    )
    np.testing.assert_allclose(logits[0, 5:], logits[0, :5], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("of_bytes", [False, True])
def test_features_of_documents_are_those_of_each_alone(*, of_bytes: bool) -> None:
    vocabulary = divided_vocabulary(of_bytes=of_bytes)
    documents = ['anna, "maria" (joan', "o'hara). 'one\ntwo'", "b"]
    boundary = np.array([vocabulary.size - 1])
    parts = [vocabulary.encode(each).astype(np.uint32) for each in documents]
    ids = np.concatenate([array for part in parts for array in (boundary, part)])
    ids = np.append(ids, boundary)
    columns = every_column(vocabulary, ids)
    line_end = vocabulary.encode("\n")  # ends the last line, as the boundary does
    alone = [every_column(vocabulary, np.append(part, line_end)) for part in parts]
    for key, column in columns.items():
        found = np.split(column, np.flatnonzero(ids == boundary))[1:-1]
        for ours, theirs in zip(found, alone, strict=True):
            np.testing.assert_array_equal(ours[1:], theirs[key][:-1], err_msg=key)
    at_boundary = {key: column[ids == boundary] for key, column in columns.items()}
    for key in ("letter", "line_end", "punctuation", "inside_quotes", "word_inside", "space"):
        assert not at_boundary[key].any(), key
    assert describe(vocabulary, ids)


def test_a_quotation_does_not_continue_in_the_next_document() -> None:
    vocabulary = divided_vocabulary()
    boundary = np.array([vocabulary.size - 1])
    parts = [vocabulary.encode(each) for each in ('say "ah', 'oh" no')]
    ids = np.concatenate([parts[0], boundary, parts[1]])
    assert not every_column(vocabulary, ids)["inside_straight_quotes"].any()


def test_units_of_a_model_of_documents_are_tracked() -> None:
    model = divided_model()
    documents = [with_boundary(model, each) for each in ("anna, maria", "o'hara b. joan")]
    tracked = track_units(model, np.concatenate(documents * 20), shifts=3, label=LABEL)
    assert tracked.symbols == 20 * sum(map(len, documents))
    assert len(tracked.ranking) == 16
    assert track_units(model, "anna, maria b. " * 20, shifts=3).symbols == 301


@pytest.mark.parametrize("of_bytes", [False, True])
def test_the_boundary_is_a_cluster_of_its_own(*, of_bytes: bool) -> None:
    vocabulary = divided_vocabulary(of_bytes=of_bytes)
    boundary = np.array([vocabulary.size - 1])
    ids = np.concatenate([boundary, vocabulary.encode("ab"), boundary, boundary])
    found = list(clusters(ids, vocabulary))
    assert [each.text for each in found] == ["◇", "a", "b", "◇", "◇"]
    assert [(each.begin, each.end) for each in found] == [(n, n + 1) for n in range(5)]
    assert [each.spelled_out for each in found] == [True, False, False, True, True]


def test_bytes_of_a_character_are_not_joined_across_a_boundary() -> None:
    vocabulary = ByteVocabulary(10, has_boundary=True)
    ids = np.array([0xC3, 256, 0xA9, 0xC3, 0xA9])
    found = [(each.text, each.begin, each.end) for each in clusters(ids, vocabulary)]
    assert found == [(r"\xc3", 0, 1), ("◇", 1, 2), (r"\xa9", 2, 3), ("é", 3, 5)]


def test_the_page_shows_the_end_of_the_document() -> None:
    model = divided_model()
    ids = np.append(model.vocabulary.encode(TEXT), model.vocabulary.size - 1)
    random = np.random.default_rng(1)
    scores = Scores(
        model.vocabulary,
        ids,
        nats=random.uniform(0, 5, len(ids)),
        alternative_ids=np.tile([ids[-1], 5], (len(ids), 1)),
        alternative_probabilities=random.uniform(0, 0.5, (len(ids), 2)),
    )
    page = surprisal_page(scores, title="a name")
    assert page.count(">◇</i>") == 1
    assert "◇ is the end of the document" in page


@pytest.mark.parametrize("label, number", [(None, 0), (LABEL, 2)])
def test_alternatives_begin_with_the_first_character_and_end_with_the_end(
    label: str | None, number: int
) -> None:
    file = divided_file()
    found = alternatives(open_model(file, backend="numpy"), "anna", 3, label=label)
    assert [each.symbol for each in found] == ["a", "n", "n", "a", "◇"]
    plain = undivided(file, number)
    ids = np.append(with_boundary(file, "anna"), file.vocabulary.size - 1)
    logits, _ = plain.backend.forward(ids[np.newaxis, :-1], plain.backend.zero_state(1))
    logits = logits[0].astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -log_probabilities[np.arange(5), ids[1:]]
    assert [each.nats for each in found] == pytest.approx(expected.tolist(), rel=1e-4)
    assert all(len(each.alternatives) == 3 for each in found)


READERS: dict[str, Callable[[ModelFile, Model], object]] = {
    "activity": lambda _, model: unit_activity(model, "anna", [Unit(0, 0)], label="Dutch"),
    "health": lambda _, model: unit_health(model, "anna", label="Dutch"),
    "tracking": lambda _, model: track_units(model, "anna b. " * 40, label="Dutch"),
    "step": lambda file, _: step_equation(file, "anna", 1, Unit(0, 0), label="Dutch"),
    "influence": lambda _, model: influence(model, "anna", label="Dutch"),
    "alternatives": lambda _, model: alternatives(model, "anna", label="Dutch"),
}


@pytest.mark.parametrize("name", READERS)
def test_an_unknown_label_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match="the model has no label 'Dutch'"):
        READERS[name](divided_file(), divided_model())


def longest_within(written: list[str], training: list[str]) -> int:
    return max(
        len(each[begin:end])
        for each in written
        for begin in range(len(each))
        for end in range(begin, len(each) + 1)
        if any(each[begin:end] in other for other in training)
    )


@pytest.mark.parametrize("chunk", [5, 2**20])
def test_a_passage_lies_within_one_document(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr("ricorda.insight.memorisation.CHUNK", chunk)
    random = np.random.default_rng(3)
    for _ in range(40):
        written, training = (
            ["".join(random.choice(list("ab"), int(random.integers(1, 7)))) for _ in range(count)]
            for count in (3, 8)
        )
        (found,) = shared_stretches([written], training, (2, 4), documents=True)
        stretch = found.longest
        assert stretch.length == len(stretch.text) == longest_within(written, training)
        for documents, place in (
            (written, stretch.position),
            (training, stretch.training_position),
        ):
            assert "".join(documents)[place : place + stretch.length] == stretch.text
        assert found.characters == len("".join(written))
        assert found.training_characters == len("".join(training))
        for length, share in found.shares.items():
            parts = [w[n : n + length] for w in written for n in range(len(w) - length + 1)]
            held = [any(part in each for each in training) for part in parts]
            assert share == (pytest.approx(np.mean(held)) if held else None)


def test_documents_of_bytes_share_passages() -> None:
    (found,) = shared_stretches([[b"ab\xff", b"cd"]], [b"xcd", b"ab"], (2,), documents=True)
    assert (found.longest.text, found.longest.position) == ("ab", 0) or found.longest.text == "cd"
    assert found.shares == {2: pytest.approx(2 / 3)}
