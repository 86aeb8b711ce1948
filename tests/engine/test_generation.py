"""Writing: lengths, seeds, stop strings, pieces, whole characters, log-probabilities."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ricorda.engine import Model, Piece, uniforms
from ricorda.engine.generation import WrittenSymbol
from ricorda.engine.writer import HeldSymbols
from ricorda.errors import ConfigurationError, UnseenCharactersWarning, VocabularyError

MakeModel = Callable[..., Model]
WITH_FIXTURE = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the stop string that is complete first; before the longer of two."""
    for end in range(1, len(text) + 1):
        complete = [len(stop) for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(complete)]
    return text


@pytest.fixture
def symbol_by_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces as small as they can be."""
    monkeypatch.setattr("ricorda.engine.generation.STEPS_AT_FIRST", 1)
    monkeypatch.setattr("ricorda.engine.generation.SHORTEST_SECONDS", 0.0)


def test_length_counts_new_symbols(model: Model) -> None:
    for length in (0, 1, 2, 57):
        generation = model.begin("abc", length=length, seed=1)
        assert len(generation.text()) == length
        assert generation.written == length
        assert generation.ended == "length"


def test_the_same_seed_writes_the_same_text(model: Model) -> None:
    texts = {seed: model.generate("ab", seed=seed) for seed in (1, 2, 2**64 - 1)}
    assert len(set(texts.values())) == 3
    for seed, text in texts.items():
        assert model.generate("ab", seed=seed) == text
        assert model.generate("ab", seed=seed, length=50) == text[:50]


def test_without_a_seed_a_fresh_one_is_drawn_and_reported(model: Model) -> None:
    first, second = model.begin("ab"), model.begin("ab")
    assert first.seed != second.seed
    assert model.generate("ab", seed=first.seed) == first.text()


def test_a_seed_has_many_texts(model: Model) -> None:
    texts = {model.begin("ab", seed=1, stream_index=index).text() for index in range(5)}
    assert len(texts) == 5
    assert model.begin("ab", seed=1, stream_index=0).text() == model.generate("ab", seed=1)


def test_each_symbol_is_drawn_from_the_distribution_after_what_came_before(model: Model) -> None:
    text = model.generate("ab", seed=4, length=20, temperature=1.2, top_k=5)
    numbers = uniforms(4)
    for place, character in enumerate(text):
        after = model.distribution("ab" + text[:place], temperature=1.2, top_k=5)
        cumulative = np.cumsum(after.probabilities)
        chosen = int(np.argmax(cumulative > next(numbers)))
        assert model.vocabulary.decode([chosen]) == character


def test_the_distribution_has_the_bias_of_logits(model: Model) -> None:
    after = model.distribution("ab", temperature=1, logit_bias=[(2, 100.0)]).probabilities
    assert after[2] == pytest.approx(1)


def test_greedy_takes_the_most_likely_whatever_the_seed(model: Model) -> None:
    text = model.generate("ab", greedy=True, length=30)
    assert model.generate("ab", temperature=0, seed=9, length=30) == text
    for place in range(30):
        after = model.distribution("ab" + text[:place], temperature=1).probabilities
        assert model.vocabulary.decode([int(after.argmax())]) == text[place]


def test_a_long_prompt_is_read_in_chunks(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = "abcde" * 9
    whole = model.distribution(prompt).probabilities
    monkeypatch.setattr("ricorda.engine.chunks.positions_at_once", lambda _: 4)
    np.testing.assert_allclose(model.distribution(prompt).probabilities, whole, rtol=1e-5)


def test_without_a_prompt_it_starts_from_the_start_symbol(model: Model) -> None:
    generation = model.begin("", seed=3)
    assert generation.start == model.vocabulary.start
    assert generation.text() == model.generate("\n", seed=3)
    assert model.begin("a").start is None


def test_unknown_characters_of_a_prompt(model: Model) -> None:
    with pytest.warns(
        UnseenCharactersWarning, match="left out 3 characters of the prompt"
    ) as warnings:
        generation = model.begin("aXbYX", seed=3)
    assert generation.unknown == "XY"
    assert [str(each.message) for each in warnings] == generation.notes
    assert generation.text() == model.generate("ab", seed=3)
    for write in (model.generate, model.stream):
        with pytest.warns(UnseenCharactersWarning, match="never saw: 'X'"):
            write("aX", length=1)
    with pytest.warns(UnseenCharactersWarning, match="the banned word 'aQ' can never occur"):
        model.generate("a", banned_word="aQ", length=1)
    with pytest.warns(UnseenCharactersWarning):
        nothing_left = model.begin("XY", seed=3)
    assert nothing_left.start == model.vocabulary.start
    with pytest.raises(VocabularyError, match="'X' and 'Y'"):
        model.begin("aXbYX", on_unknown="error")


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.integers(0, 2**64 - 1),
    st.integers(0, 60),
)
@WITH_FIXTURE
def test_stop_strings_cut_what_would_be_written(
    make_model: MakeModel, stops: list[str], seed: int, length: int
) -> None:
    model = make_model("ab")
    everything = model.generate("a", length=length, seed=seed, temperature=1)
    generation = model.begin("a", length=length, seed=seed, temperature=1, stop=stops)
    assert generation.text() == cut(everything, stops)
    assert generation.ended == ("stop" if any(stop in everything for stop in stops) else "length")
    if generation.ended == "stop":  # not a symbol more than was needed to know
        read = everything[: generation.written]
        assert any(read.endswith(stop) for stop in stops)


@given(
    st.lists(st.text("aé€😀\ufffd", min_size=1, max_size=3), max_size=3),
    st.integers(0, 2**64 - 1),
    st.integers(0, 40),
)
@WITH_FIXTURE
def test_bytes_come_out_as_whole_characters(
    byte_model: Model, stops: list[str], seed: int, length: int
) -> None:
    options: dict[str, Any] = {"length": length, "seed": seed, "temperature": 1.5}
    everything = byte_model.generate("é", **options)
    pieces = list(byte_model.begin("é", **options, stop=stops))
    assert "".join(piece.text for piece in pieces) == cut(everything, stops)
    assert all(piece.text for piece in pieces)
    if not stops:
        ids = [symbol for piece in pieces for symbol in piece.ids]
        assert len(ids) == length
        assert byte_model.vocabulary.decode(ids) == everything


@pytest.mark.usefixtures("symbol_by_symbol")
def test_the_bytes_of_a_character_arrive_together(byte_model: Model) -> None:
    pieces = list(byte_model.begin("", allowed="é", length=300, seed=1, temperature=2))
    whole = [
        piece
        for before, piece in itertools.pairwise(pieces)
        if before.text == "é" and piece.text == "é"
    ]
    assert len(whole) > 5
    assert all(piece.ids == (0xC3, 0xA9) for piece in whole)


@pytest.mark.usefixtures("symbol_by_symbol")
def test_streamed_pieces_make_up_the_generated_text(model: Model) -> None:
    for options in ({}, {"stop": "ab"}, {"stop": ["aa", "bcd"]}, {"top_k": 2}):
        pieces = list(model.stream("ab", seed=5, length=100, **options))
        assert "".join(pieces) == model.generate("ab", seed=5, length=100, **options)
    assert list(model.stream("ab", seed=5, length=100)) == list(
        model.generate("ab", seed=5, length=100)
    )


def test_a_stream_checks_its_options_before_it_is_read(model: Model) -> None:
    with pytest.raises(ConfigurationError, match="top_k"):
        model.stream("ab", top_k=0)


def test_pieces_tell_the_symbols_of_their_text_alone(model: Model) -> None:
    everything = model.generate("a", seed=2, length=200)
    stop = everything[100:103]
    other = next(each for each in "abcde" if stop[:2] + each not in everything)
    generation = model.begin("a", seed=2, length=200, stop=[stop, stop[:2] + other])
    pieces = list(generation)
    for piece in pieces:
        assert model.vocabulary.decode(list(piece.ids)) == piece.text
    assert generation.ended == "stop"
    released = sum(len(piece.ids) for piece in pieces)
    assert generation.written == released + len(stop)


@pytest.mark.usefixtures("symbol_by_symbol")
def test_log_probabilities_are_those_of_the_model_before_any_option(model: Model) -> None:
    prompt, text = "ab", ""
    for piece in model.begin(prompt, seed=2, length=20, alternatives=3, top_p=0.5, banned="c"):
        (symbol,) = piece.symbols
        plain = np.log(model.distribution(prompt + text, temperature=1).probabilities)
        assert symbol.log_probability is not None
        assert math.isclose(symbol.log_probability, plain[symbol.id], rel_tol=1e-5)
        best = np.argsort(-plain)[:3]
        assert [number for number, _ in symbol.alternatives] == best.tolist()
        found = [log_probability for _, log_probability in symbol.alternatives]
        np.testing.assert_allclose(found, plain[best], rtol=1e-5)
        text += piece.text


def test_log_probabilities_are_returned_only_when_asked_for(model: Model) -> None:
    (piece,) = model.begin("a", seed=2, length=1)
    assert piece.symbols[0].log_probability is None
    (piece,) = model.begin("a", seed=2, length=1, alternatives=0)
    assert piece.symbols[0].log_probability is not None
    assert piece.symbols[0].alternatives == ()
    (piece,) = model.begin("a", seed=2, length=1, alternatives=99)
    assert len(piece.symbols[0].alternatives) == 8


def test_only_permitted_symbols_are_written(model: Model) -> None:
    assert set(model.generate(allowed="abé", seed=1, length=300)) == set("abé")
    assert set(model.generate(banned="\nabé", seed=1, length=300)) == set("cde世")
    with pytest.raises(ConfigurationError, match="must leave a symbol"):
        model.begin(allowed="X")


def test_sampled_frequencies_follow_the_distribution(model: Model) -> None:
    """Chi-square over 3,000 first symbols with 7 degrees of freedom, at a fixed seed."""
    expected = model.distribution("ab", temperature=1.5).probabilities * 3000
    drawn: Counter[int] = Counter()
    for index in range(3000):
        for piece in model.begin("ab", seed=11, stream_index=index, length=1, temperature=1.5):
            drawn.update(piece.ids)
    counts = np.array([drawn[symbol] for symbol in range(8)])
    assert ((counts - expected) ** 2 / expected).sum() < 24.32


@pytest.mark.parametrize(
    "options, message",
    [
        ({"length": -1}, "length must be at least 0, got -1"),
        ({"length": "many"}, "length must be a whole number, got 'many'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": 2**64}, "seed must be at most 18446744073709551615, got 18446744073709551616"),
        ({"stop": ("a", "")}, "stop[1] must be at least 1 long, got ''"),
        ({"stop": 5}, "stop must be a list, got 5"),
        ({"alternatives": -1}, "alternatives must be at least 0, got -1"),
        ({"on_unknown": "ignore"}, "on_unknown must be 'error' or 'skip', got 'ignore'"),
        ({"lenght": 5}, "unknown option lenght: did you mean length?"),
    ],
)
def test_what_is_out_of_range_is_reported(
    model: Model, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        model.begin("a", **options)
    assert str(caught.value) == message


@pytest.mark.usefixtures("symbol_by_symbol")
def test_stopping_to_iterate_stops_the_work(model: Model) -> None:
    generation = model.begin("a", seed=1, length=10**9)
    first: Piece = next(generation)
    assert first.text
    assert generation.written == 1
    assert generation.ended is None


def test_symbols_wait_for_their_characters() -> None:
    held = HeldSymbols()
    first, second, third = (WrittenSymbol(number) for number in (1, 2, 3))
    held.add(first, 0)  # the first byte of a character
    assert held.release(0) == ()
    held.add(second, 1)
    assert held.release(1) == (first, second)
    held.add(third, 2)  # a wrong byte and a good one
    assert held.release(1) == ()
    assert held.release(1) == (third,)
