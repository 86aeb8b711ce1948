"""Models whose symbols are several characters: constraints, stops, gaps and figures."""

import itertools
import random as standard_random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ricorda.engine import Model, ReferenceBackend, SamplingSettings
from ricorda.engine.choice import make_backend
from ricorda.engine.constraints import constraint_of
from ricorda.engine.generation import GenerationSettings
from ricorda.errors import ConfigurationError, VocabularyError
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.pieces import PieceVocabulary

from .conftest import random_tensors

# texts: \n, space, a, b, c, d, ab, cd, abcd, aa, " a", the rare symbol
VOCABULARY = PieceVocabulary(
    "\n abcd", [(2, 3), (4, 5), (6, 7), (2, 2), (1, 2)], "\n", has_rare=True
)


def token_model(backend: Any = "numpy") -> Model:
    configuration = ModelConfiguration(cell="gru", vocabulary_size=VOCABULARY.size, hidden_size=8)
    tensors = random_tensors(configuration)
    tensors["output.bias"][VOCABULARY.rare] += 4  # a model that would like to write it
    engine = make_backend(configuration, tensors, backend=backend)
    return Model(configuration, VOCABULARY, engine)


@pytest.fixture
def model() -> Model:
    return token_model()


def may_be_written(text: str, more: str, options: dict[str, Any]) -> bool:
    allowed, banned = options.get("allowed"), options.get("banned", "")
    if any(each in banned or (allowed and each not in allowed) for each in more):
        return False
    whole = text + more
    return not any(
        whole[:end].endswith(word)
        for word in options.get("banned_word", ())
        for end in range(len(text) + 1, len(whole) + 1)
    )


@pytest.mark.parametrize("options", [
    {}, {"banned": "b"}, {"allowed": "ab "}, {"banned_word": ("abc", "ca")},
    {"banned_word": ("aab", "dd"), "banned": "c"},
])  # fmt: skip
def test_a_symbol_may_be_written_if_all_of_its_characters_may(options: dict[str, Any]) -> None:
    read = VOCABULARY.encode("ca aa").tolist()
    constraint = constraint_of(SamplingSettings(**options), VOCABULARY, read)
    assert constraint is not None
    draw = standard_random.Random(1)
    for _ in range(100):
        state, text = constraint.start, "ca aa"
        for _ in range(6):
            permitted = constraint.permitted(state, VOCABULARY.size)
            wanted = [
                symbol != VOCABULARY.rare and may_be_written(text, more, options)
                for symbol, more in enumerate(VOCABULARY.texts)
            ]
            assert permitted.tolist() == wanted
            symbol = draw.choice(np.flatnonzero(permitted).tolist())
            state, text = constraint.after(state, symbol), text + VOCABULARY.texts[symbol]


def test_leaving_no_symbol_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="must leave a symbol"):
        constraint_of(SamplingSettings(allowed="XY"), VOCABULARY)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_the_rare_symbol_is_never_written(backend: str) -> None:
    model = token_model(backend)
    symbols = [each for piece in model.begin("a", length=300, seed=1, temperature=2)
               for each in piece.ids]  # fmt: skip
    assert len(symbols) == 300
    assert VOCABULARY.rare not in symbols
    assert "\ufffd" not in model.generate("a", length=100, greedy=True)
    found = model.distribution("a")
    assert found.probabilities[VOCABULARY.rare] == 0
    with pytest.raises(VocabularyError, match="the model has no 'Z'"):
        model.generate("a", stop="aZ")


def cut(text: str, stops: Sequence[str]) -> str:
    for end in range(1, len(text) + 1):
        if complete := [len(stop) for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(complete)]
    return text


STOPS = [["b"], ["bc"], ["da"], [" a"], ["cda", "dab"], ["\n"], ["abcdabcd"], ["bcd", "d "]]


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("stops", STOPS)
@pytest.mark.parametrize("steps", [1, 5, 500])
def test_a_stop_string_ends_the_text_inside_a_symbol(
    backend: str, stops: list[str], steps: int
) -> None:
    model = token_model(backend)
    for seed in range(8):
        options: dict[str, Any] = {"length": 60, "seed": seed, "alternatives": 2}
        plain = [each for piece in model.begin("ab", **options) for each in piece.ids]
        whole = VOCABULARY.decode(plain)
        expected = cut(whole, stops)
        read = 0  # symbols chosen until the stop string is complete
        while read < 60 and not any(stop in VOCABULARY.decode(plain[:read]) for stop in stops):
            read += 1
        session = model.backend.session(VOCABULARY)
        settings = GenerationSettings(stop=tuple(stops), **options)
        stream = session.add(VOCABULARY.encode("ab"), settings)
        pieces = []
        while not stream.ended:
            pieces += [piece for _, piece in session.advance(steps) if piece]
        assert "".join(piece.text for piece in pieces) == expected
        written = [each for piece in pieces for each in piece.ids]
        assert written == plain[: len(written)]
        # The symbols are those of which a character is in the text.
        covered = np.cumsum([len(VOCABULARY.texts[each]) for each in plain])
        assert len(written) == np.searchsorted(covered, len(expected)) + (expected != "")
        is_complete = any(stop in whole for stop in stops)
        assert stream.ended == ("stop" if is_complete else "length")
        assert stream.written == (read if is_complete else 60)
        assert stream.cut == len(VOCABULARY.decode(written)) - len(expected)
        described = [each for piece in pieces for each in piece.symbols]
        assert all(each.log_probability is not None for each in described)
        session.remove(stream)
        assert len(session) == 0


def test_symbols_without_text_are_handed_out_alike() -> None:
    """`advance_symbols` hands out the symbols of `advance`."""
    for backend in ("numpy", "native"):
        model = token_model(backend)
        settings = GenerationSettings(stop=("bc",), length=80, seed=3)
        found = []
        for name in ("advance", "advance_symbols"):
            session = model.backend.session(VOCABULARY)
            stream = session.add(VOCABULARY.encode("ab"), settings)
            ids: list[int] = []
            while not stream.ended:
                for _, piece in getattr(session, name)(7):
                    if piece is not None:
                        ids += piece.ids if isinstance(piece.ids, tuple) else piece.ids.tolist()
            found.append((ids, stream.cut, stream.written))
        assert found[0] == found[1]


def test_a_text_that_a_stop_string_ended_is_not_continued() -> None:
    model = token_model("native")
    session = model.backend.session(VOCABULARY)
    stream = session.add(
        VOCABULARY.encode("ab"), GenerationSettings(stop=("a",), length=500, seed=1)
    )
    while not stream.ended:
        session.advance(50)
    with pytest.raises(ConfigurationError, match="ended at a stop string"):
        session.save(stream)


def test_figures_are_per_character_and_per_byte(model: Model) -> None:
    text = "abcd ab aa\ncd aZb"
    scores = model.score(text)
    figures = scores.figures
    symbols = VOCABULARY.encode(text).tolist()
    total = 0.0
    state = model.backend.zero_state(1)
    for symbol, following in itertools.pairwise(symbols):
        logits, state = model.backend.step(np.array([symbol]), state)
        row = logits[0].astype(np.float64)
        total += float(np.log(np.exp(row - row.max()).sum()) + row.max() - row[following])
    first = VOCABULARY.texts[symbols[0]]
    assert figures.predictions == len(symbols) - 1
    assert figures.characters == len(text) - len(first)
    assert figures.bytes == len(text.replace("Z", "\ufffd").encode()) - len(first)
    assert figures.nats_per_character == pytest.approx(total / (len(text) - len(first)), rel=1e-4)
    assert model.evaluate(text).nats == pytest.approx(figures.nats, rel=1e-5)
    listed = scores.characters()
    assert "".join(shown for shown, _ in listed) == text.replace("Z", "\ufffd")
    assert np.nansum([nats for _, nats in listed]) == pytest.approx(figures.nats)


def test_what_follows_an_unseen_character_is_left_out() -> None:
    vocabulary = PieceVocabulary("\n abcd", [(2, 3), (4, 5), (6, 7)], "\n")
    configuration = ModelConfiguration(cell="gru", vocabulary_size=vocabulary.size, hidden_size=8)
    backend = ReferenceBackend(configuration, random_tensors(configuration))
    model = Model(configuration, vocabulary, backend)
    with pytest.warns(UserWarning, match="left out 2 characters"):
        scores = model.score("abZcd abYab", on_unknown="skip")
    assert vocabulary.decode(scores.ids) == "abcd abab"
    assert [vocabulary.texts[each] for each in scores.ids.tolist()] == ["ab", "cd", " ", "ab", "ab"]
    assert [gap.before for gap in scores.gaps] == [1, 4]
    assert np.isnan(scores.nats).tolist() == [True, True, False, False, True]
    assert scores.figures.left_out == 4
    assert scores.figures.characters == 3
