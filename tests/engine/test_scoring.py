"""Surprisals and figures against direct computation in float64, and what they are divided by."""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine import Figures, Model, ReferenceBackend, scoring
from ricorda.engine.sampling import log_softmax
from ricorda.errors import (
    ConfigurationError,
    ModelFileError,
    TextError,
    UnseenCharactersWarning,
    VocabularyError,
)
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.vocabulary import CharacterVocabulary

MakeModel = Callable[..., Model]
TEXT = "abacadbébcbd世\n" * 5 + "ab"


def surprisals(model: Model, text: str) -> NDArray[np.float64]:
    """Step by step, by the definition: -log(exp(x) / sum(exp))."""
    ids = model.vocabulary.encode(text)
    state = model.backend.zero_state(1)
    found = []
    for current, following in itertools.pairwise(ids):
        logits, state = model.backend.step(np.array([current]), state)
        weights = np.exp(logits[0].astype(np.float64))
        found.append(-math.log(weights[following] / weights.sum()))
    return np.array(found)


@pytest.fixture
def exact(make_model: MakeModel) -> Model:
    """A model in float64."""
    return make_model("\nabcdé世", num_layers=2)


@pytest.fixture(params=[None, 1, 7])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in chunks as they are, or in tiny ones."""
    if request.param is not None:
        for module in ("scoring", "chunks"):
            name = f"ricorda.engine.{module}.positions_at_once"
            monkeypatch.setattr(name, lambda _: request.param)


@pytest.mark.usefixtures("chunks")
def test_scores_equal_the_direct_computation(exact: Model) -> None:
    scores = exact.score(TEXT, alternatives=3)
    assert math.isnan(scores.nats[0])
    np.testing.assert_allclose(scores.nats[1:], surprisals(exact, TEXT), rtol=1e-10)
    assert len(scores.symbols) == len(scores.nats) == len(TEXT)
    assert scores.symbols[:2] == ("a", "b")
    assert scores.alternatives(0) == []
    for position in (1, 2, 30, len(TEXT) - 1):
        after = exact.distribution(TEXT[:position], temperature=1)
        found = scores.alternatives(position)
        for (symbol, probability), (other, expected) in zip(
            found, after.most_likely(3), strict=True
        ):
            assert symbol == other
            assert math.isclose(probability, expected, rel_tol=1e-10)
    assert scores.alternatives(-1) == scores.alternatives(len(TEXT) - 1)
    with pytest.raises(IndexError):
        scores.alternatives(len(TEXT))


def test_alternatives_are_optional_and_at_most_the_vocabulary(exact: Model) -> None:
    assert exact.score("abc").alternatives(1) == []
    assert len(exact.score("abc", alternatives=99).alternatives(1)) == exact.vocabulary.size
    with pytest.raises(ConfigurationError, match="alternatives must be at least 0, got -1"):
        exact.score("abc", alternatives=-1)


@pytest.mark.usefixtures("chunks")
def test_carried_figures_are_the_mean_of_the_scores(exact: Model) -> None:
    nats = surprisals(exact, TEXT)
    figures = exact.evaluate(TEXT)
    assert figures.predictions == figures.characters == len(TEXT) - 1
    assert figures.bytes == len(TEXT[1:].encode())
    assert figures.protocol == "carried"
    assert math.isclose(figures.nats_per_character, nats.mean(), rel_tol=1e-10)
    assert math.isclose(figures.bits_per_character, nats.mean() / math.log(2), rel_tol=1e-10)
    bits = nats.sum() / math.log(2)
    assert math.isclose(figures.bits_per_byte, bits / len(TEXT[1:].encode()), rel_tol=1e-10)
    assert math.isclose(figures.perplexity, math.exp(nats.mean()), rel_tol=1e-10)
    own = exact.score(TEXT).figures
    assert math.isclose(own.nats, figures.nats, rel_tol=1e-12)
    assert (own.predictions, own.characters, own.bytes) == (
        figures.predictions,
        figures.characters,
        figures.bytes,
    )


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("window", [1, 2, 7, 16, len(TEXT) - 1, 10_000])
@pytest.mark.parametrize("at_once", [1, 3, 64])
def test_each_window_starts_cold_and_all_predictions_count(
    exact: Model, window: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ricorda.engine.scoring.WINDOWS_AT_ONCE", at_once)
    expected = [
        surprisals(exact, TEXT[begin : begin + window + 1])
        for begin in range(0, len(TEXT) - 1, window)
    ]
    figures = exact.evaluate(TEXT, window=window)
    assert figures.predictions == sum(map(len, expected)) == len(TEXT) - 1
    assert math.isclose(figures.nats, np.concatenate(expected).sum(), rel_tol=1e-10)
    assert figures.protocol == f"window {window}"
    assert figures.bytes == len(TEXT[1:].encode())


def test_a_window_changes_the_figures(exact: Model) -> None:
    assert exact.evaluate(TEXT, window=2).nats != exact.evaluate(TEXT).nats


@pytest.mark.parametrize("window", [None, 4])
def test_pieces_are_one_text(exact: Model, window: int | None) -> None:
    whole = exact.evaluate(TEXT, window)
    data = TEXT.encode()
    ids = exact.vocabulary.encode(TEXT)
    for pieces in (
        list(TEXT),
        [TEXT[:10], "", TEXT[10:]],
        [data[:7], data[7:15], data[15:]],  # cuts the characters of several bytes
        [ids[:20], ids[20:]],
        data,
        ids,
    ):
        figures = exact.evaluate(pieces, window)
        assert math.isclose(figures.nats, whole.nats, rel_tol=1e-10)
        assert figures.predictions == whole.predictions


def test_a_generator_of_pieces_is_read_as_it_comes(exact: Model) -> None:
    def pieces() -> Iterator[str]:
        yield from (TEXT[place : place + 5] for place in range(0, len(TEXT), 5))

    assert math.isclose(exact.evaluate(pieces()).nats, exact.evaluate(TEXT).nats, rel_tol=1e-10)


def test_figures_of_bytes_count_characters_and_bytes(byte_model: Model) -> None:
    text = "aé€😀aa"
    nats = surprisals(byte_model, text)
    figures = byte_model.evaluate(text)
    assert figures.predictions == figures.bytes == len(nats) == len(text.encode()) - 1
    assert figures.characters == len(text) - 1
    assert math.isclose(figures.nats_per_character, nats.sum() / 5, rel_tol=1e-5)
    assert math.isclose(figures.perplexity, math.exp(nats.mean()), rel_tol=1e-5)
    assert math.isclose(byte_model.evaluate(text.encode()).nats, figures.nats, rel_tol=1e-9)


def test_bytes_that_are_no_text_are_scored_all_the_same(byte_model: Model) -> None:
    assert byte_model.evaluate(b"\xff\x00\xc3").predictions == 2


def test_the_surprisal_of_a_character_is_that_of_its_bytes(byte_model: Model) -> None:
    text = "aé€a"
    scores = byte_model.score(text)
    assert scores.symbols == ("a", "\\xc3", "\\xa9", "\\xe2", "\\x82", "\\xac", "a")
    characters = scores.characters()
    assert "".join(character for character, _ in characters) == text
    nats = [surprisal for _, surprisal in characters]
    expected = [scores.nats[1:3].sum(), scores.nats[3:6].sum(), scores.nats[6]]
    np.testing.assert_allclose(nats[1:], expected)
    assert math.isnan(nats[0])


def test_half_a_character_is_no_character(byte_model: Model) -> None:
    figures = byte_model.evaluate("é")
    assert figures.characters == 0
    assert math.isnan(figures.nats_per_character)
    assert figures.as_json()["nats_per_character"] is None
    first, second = "é".encode()
    logits, _ = byte_model.backend.forward(np.array([[first]]), byte_model.backend.zero_state(1))
    nats = -log_softmax(logits[0, 0])[second]
    assert figures.bits_per_byte == pytest.approx(nats / math.log(2), rel=1e-5)


def test_figures_as_json() -> None:
    figures = Figures(nats=20 * math.log(2), predictions=10, characters=10, bytes=20)
    assert json.loads(json.dumps(figures.as_json(), allow_nan=False)) == {
        "nats_per_character": pytest.approx(2 * math.log(2)),
        "bits_per_character": pytest.approx(2),
        "bits_per_byte": pytest.approx(1),
        "perplexity": pytest.approx(4),
        "characters": 10,
        "bytes": 20,
        "unseen_characters": 0,
        "left_out": 0,
        "protocol": "carried",
    }
    assert Figures(1e6, 1, 1, 1).as_json()["perplexity"] is None


@pytest.mark.parametrize("window", [None, 3])
def test_less_than_two_symbols_predict_nothing(exact: Model, window: int | None) -> None:
    for text in ("", "a"):
        with pytest.raises(TextError, match="at least two symbols"):
            exact.evaluate(text, window)
    with pytest.raises(TextError, match="at least one symbol"):
        exact.score("")
    assert len(exact.score("a").nats) == 1
    with pytest.raises(TextError, match="at least two symbols"):
        _ = exact.score("a").figures


def test_a_window_of_nothing_is_an_error(exact: Model) -> None:
    with pytest.raises(ConfigurationError, match="window must be at least 1, got 0"):
        exact.evaluate(TEXT, window=0)


def test_unknown_characters_are_an_error_unless_skipped(exact: Model) -> None:
    with pytest.raises(VocabularyError, match="'X'"):
        exact.score("aXb")
    with pytest.raises(VocabularyError, match="'X'"):
        exact.evaluate("aXb")


UNSEEN = ["aXbc", "XYab", "abcXY", "aXbYYcXda", "abXcddXabcd"]


@pytest.mark.filterwarnings("ignore:left out")
@pytest.mark.parametrize("text", UNSEEN)
def test_unseen_characters_count_in_no_figure_nor_do_those_after_them(
    exact: Model, text: str
) -> None:
    known = "".join(each for each in text if each not in "XY")
    artefacts = [
        len(text[: match.start()].translate({88: None, 89: None}))
        for match in re.finditer("(?<=[XY])[^XY]", text)
    ]
    plain = exact.score(known, 3)
    scores = exact.score(text, 3, on_unknown="skip")
    assert "".join(scores.symbols) == known
    for place in range(len(known)):
        if place == 0 or place in artefacts:
            assert math.isnan(scores.nats[place])
            assert scores.alternatives(place) == []
        else:
            assert scores.nats[place] == plain.nats[place]
            assert scores.alternatives(place) == plain.alternatives(place)
    counted = [place for place in range(1, len(known)) if place not in artefacts]
    unseen = len(text) - len(known)
    for figures in (scores.figures, exact.evaluate(text, on_unknown="skip")):
        assert figures.nats == pytest.approx(sum(plain.nats[counted]))
        assert (figures.characters, figures.predictions) == (len(counted), len(counted))
        assert figures.unseen == unseen
        assert figures.left_out == len(known) - 1 - len(counted)
        assert figures.gaps == scores.gaps
    rebuilt = list(known)
    for gap in reversed(scores.gaps):
        rebuilt[gap.before : gap.before] = gap.characters
    assert "".join(rebuilt) == text


@pytest.mark.filterwarnings("ignore:left out")
@pytest.mark.parametrize("window", [1, 2, 3, 4, 50])
@pytest.mark.parametrize("length", [1, 5, 1000])
def test_pieces_and_windows_leave_out_the_same_characters(
    exact: Model, monkeypatch: pytest.MonkeyPatch, window: int, length: int
) -> None:
    monkeypatch.setattr(scoring, "WINDOWS_AT_ONCE", 2)
    text = "abXcddXabcdYYabXaX" * 3
    pieces = [text[begin : begin + length] for begin in range(0, len(text), length)]
    figures = exact.evaluate(pieces, window, on_unknown="skip")
    carried = exact.evaluate(text, on_unknown="skip")
    assert figures.characters == carried.characters
    assert (figures.unseen, figures.left_out) == (18, carried.left_out)
    known = re.findall("[XY]*[^XY]", text)
    nats = 0.0
    for begin in range(0, len(known) - 1, window):
        cut = known[begin : begin + window + 1]
        plain = exact.score("".join(each[-1] for each in cut)).nats
        nats += sum(plain[at] for at in range(1, len(cut)) if len(cut[at]) == 1)
    assert figures.nats == pytest.approx(nats)


def test_a_text_of_which_nothing_counts_is_an_error(exact: Model) -> None:
    with pytest.raises(TextError, match=r"two symbols in a row .* left out 3 characters"):
        exact.evaluate("aXbXcX", on_unknown="skip")


def test_all_bytes_of_the_character_after_a_lone_surrogate_are_left_out(byte_model: Model) -> None:
    with pytest.warns(UnseenCharactersWarning, match="1 character of the text"):
        scores = byte_model.score("a\ud800€b", on_unknown="skip")
    assert np.isnan(scores.nats).tolist() == [True] * 4 + [False]
    assert scores.figures.characters == 1


def test_invalid_utf_8_is_reported(exact: Model) -> None:
    with pytest.raises(TextError, match="UTF-8"):
        exact.evaluate([b"ab", b"\xff"])
    with pytest.raises(TextError, match="UTF-8"):
        exact.evaluate(b"ab\xc3")


def test_a_network_that_overflows_is_reported() -> None:
    configuration = ModelConfiguration(
        cell="rnn", vocabulary_size=2, hidden_size=2, nonlinearity="relu"
    )
    tensors = {
        name: np.full(shape, 100, np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    vocabulary = CharacterVocabulary("ab", "a")
    model = Model(configuration, vocabulary, ReferenceBackend(configuration, tensors))
    for use in (model.score, model.evaluate, model.generate):
        with pytest.raises(ModelFileError, match="overflows"):
            use("ab" * 50)


def test_a_text_of_thousands_of_symbols_and_large_vocabulary(make_model: MakeModel) -> None:
    symbols = "".join(map(chr, range(0x4E00, 0x4E00 + 3000)))
    model = make_model(symbols, embedding_size=4)
    text = symbols[:1500] + symbols[500:1000]
    figures = model.evaluate(text)
    assert figures.predictions == 1999
    assert figures.bytes == 3 * 1999
    assert math.isclose(figures.nats, np.nansum(model.score(text).nats), rel_tol=1e-10)
