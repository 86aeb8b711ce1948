"""Which symbols may be written: allowed and banned characters, banned words, stop strings."""

import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.engine import Model, SamplingSettings
from ricorda.engine.constraints import Constraint, check_stops, constraint_of, notes_on_symbols
from ricorda.errors import ConfigurationError, VocabularyError
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary

CHARACTERS = CharacterVocabulary("\nabcdeé世", "\n")
BYTES = ByteVocabulary(10)


def made(vocabulary: Any = CHARACTERS, read: Any = (), **options: Any) -> Constraint:
    found = constraint_of(SamplingSettings(**options), vocabulary, read)
    assert found is not None
    return found


def first(constraint: Constraint, size: int) -> list[int]:
    return np.flatnonzero(constraint.permitted(constraint.start, size)).tolist()


def texts(constraint: Constraint, length: int, size: int) -> set[tuple[int, ...]]:
    """All that may be written in so many symbols."""
    found: dict[tuple[int, ...], int] = {(): constraint.start}
    for _ in range(length):
        found = {
            (*text, symbol): constraint.after(state, symbol)
            for text, state in found.items()
            for symbol in np.flatnonzero(constraint.permitted(state, size)).tolist()
        }
    return set(found)


def test_only_permitted_characters_may_be_written() -> None:
    assert constraint_of(SamplingSettings(), CHARACTERS) is None
    assert first(made(banned="ab"), 8) == [0, 3, 4, 5, 6, 7]
    assert first(made(allowed="ab世"), 8) == [1, 2, 7]
    assert first(made(allowed="abc", banned="b"), 8) == [1, 3]
    assert first(made(allowed="aXYZ"), 8) == [1]
    assert first(made(banned="XYZ"), 8) == list(range(8))


def test_bytes_make_up_allowed_characters_alone() -> None:
    constraint = made(BYTES, allowed="éàa€")
    characters = [each.encode() for each in "éàa€"]
    wanted = {
        tuple(b"".join(parts)[:6])
        for count in range(1, 7)
        for parts in itertools.product(characters, repeat=count)
        if len(b"".join(parts)) >= 6
    }
    assert texts(constraint, 6, 256) == wanted


@pytest.mark.parametrize("banned", ["", "é", "é€😀a\n", "\ud7ff\ue000\U0010ffff"])
def test_bytes_make_up_valid_utf_8_without_the_banned_characters(banned: str) -> None:
    constraint = made(BYTES, banned=banned, banned_word=() if banned else ["\x00"])
    state = constraint.start
    for code in [*range(0, 0x3000), *range(0xD000, 0xE100), *range(0xF000, 0x10500), 0x1F600,
                 0x10FFFF]:  # fmt: skip
        if 0xD800 <= code < 0xE000 or (code == 0 and not banned):
            continue
        state, written = constraint.start, True
        for byte in chr(code).encode():
            written = written and bool(constraint.permitted(state, 256)[byte])
            state = constraint.after(state, byte) if written else state
        assert written == (chr(code) not in banned)
        assert not written or state == constraint.start


INVALID = [b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f", b"\xed\xa0", b"\xf0\x8f", b"\xf4\x90",
           b"\xf5", b"\xff", b"\xc3a", b"\xc3\xc3", b"\xe2\x82a"]  # fmt: skip


@pytest.mark.parametrize("data", INVALID)
def test_bytes_that_are_not_utf_8_are_not_written(data: bytes) -> None:
    constraint = made(BYTES, banned="é")
    state = constraint.start
    for byte in data[:-1]:
        if not constraint.permitted(state, 256)[byte]:
            return
        state = constraint.after(state, byte)
    assert not constraint.permitted(state, 256)[data[-1]]


@given(
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=4),
    st.text("abc", max_size=4),
    st.none() | st.text("abcde", min_size=2),
)
def test_exactly_the_texts_with_a_banned_word_are_left_out(
    words: list[str], prompt: str, allowed: str | None
) -> None:
    """Every text of 4 symbols is looked at; one from which no text goes on may be left out."""
    read = CHARACTERS.encode(prompt).tolist()
    try:
        constraint = made(banned_word=words, allowed=allowed, read=read)
    except ConfigurationError:
        constraint = None
    found = set()
    if constraint is not None:
        found = {CHARACTERS.decode(list(text)) for text in texts(constraint, 4, 8)}

    def holds_none(text: str) -> bool:
        return all(
            not (prompt + text)[:end].endswith(word)
            for end in range(len(prompt) + 1, len(prompt) + len(text) + 1)
            for word in words
        )

    permitted = CHARACTERS.symbols if allowed is None else "".join(sorted(set(allowed)))
    wanted = set(filter(holds_none, map("".join, itertools.product(permitted, repeat=4))))
    assert found <= wanted
    if allowed is None:  # a symbol that is in no word always goes on
        assert found == wanted
    for text in wanted - found:  # it leads nowhere: no 12 further symbols can follow
        ends = {(prompt + text)[-4:]}  # as long as the longest word
        for _ in range(12):
            longer = {end + each for end in ends for each in permitted}
            ends = {end[-4:] for end in longer if not end.endswith(tuple(words))}
        assert not ends


def test_a_banned_word_of_several_bytes_leaves_valid_characters() -> None:
    constraint = made(BYTES, banned_word=["caffè"], read=list(b"un caff"))
    state = constraint.after(constraint.start, 0xC3)
    permitted = np.flatnonzero(constraint.permitted(state, 256)).tolist()
    assert permitted == [byte for byte in range(0x80, 0xC0) if byte != 0xA8]
    assert first(made(BYTES, banned_word=["é"], allowed="éa"), 256) == [ord("a")]


@pytest.mark.parametrize(
    "vocabulary, options",
    [
        (CHARACTERS, {"allowed": "XYZ"}),
        (CHARACTERS, {"banned": "\nabcdeé世"}),
        (CHARACTERS, {"allowed": "ab", "banned": "ba"}),
        (CHARACTERS, {"allowed": "a", "banned_word": "aa"}),
        (CHARACTERS, {"allowed": "ab", "banned_word": ["aa", "ab", "ba", "bb"]}),
        (BYTES, {"allowed": "é", "banned": "é"}),
        (BYTES, {"allowed": "é", "banned_word": "é"}),
    ],
)
def test_leaving_no_symbol_is_an_error(vocabulary: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="must leave a symbol") as raised:
        constraint_of(SamplingSettings(**options), vocabulary)
    for name in ("allowed", "banned", "banned_word"):  # only what was given is quoted
        assert bool(re.search(rf"\b{name} ['\[]", str(raised.value))) == (name in options)


@pytest.mark.parametrize("options, text", [
    ({"allowed": "éàpl "}, r"[éàpl ]*"),
    ({"banned": "é"}, r"[^é\ufffd]*"),
    ({"allowed": "aé€😀"}, r"[aé€😀]*"),
    ({"banned": "a€"}, r"[^a€\ufffd]*"),
])  # fmt: skip
@pytest.mark.parametrize("length", [1, 2, 3, 50, 300])
def test_a_model_of_bytes_writes_whole_characters(
    byte_model: Model, options: dict[str, Any], text: str, length: int
) -> None:
    for seed in range(5):
        written = byte_model.generate("a", length=length, seed=seed, temperature=2, **options)
        assert re.fullmatch(text, written), written
        assert length < 4 or written


def test_a_banned_word_is_never_completed(model: Model) -> None:
    plain = model.generate("a", length=500, seed=1)
    words = sorted({plain[begin : begin + 2] for begin in range(0, 100, 7)})
    text = model.generate("a", length=500, seed=1, banned_word=words)
    assert len(text) == 500
    assert any(word in plain for word in words)
    assert not any(word in "a" + text for word in words)
    for word in words:
        assert set(word) <= set(model.generate("a", length=500, seed=1, banned_word=word))


def test_the_distribution_tells_what_a_banned_word_leaves(model: Model) -> None:
    found = model.distribution("ab", temperature=1, banned_word=["abc", "bd"])
    zero = [each for each, chance in zip(found.symbols, found.probabilities, strict=True)
            if chance == 0]  # fmt: skip
    assert zero == ["c", "d"]


@pytest.mark.parametrize(
    "stop, options, error, reason",
    [
        ("Q", {}, VocabularyError, "the model has no 'Q'"),
        ("aQbX", {}, VocabularyError, "the model has no 'Q' and 'X'"),
        ("ab", {"banned": "b"}, ConfigurationError, "'b' is banned"),
        ("abc", {"allowed": "a\n"}, ConfigurationError, "'b' and 'c' are not allowed"),
        ("dab", {"banned_word": ["ab"]}, ConfigurationError, "it contains the banned word 'ab'"),
    ],
)
def test_a_stop_string_that_can_never_occur_is_refused(
    model: Model, stop: str, options: dict[str, Any], error: type[Exception], reason: str
) -> None:
    message = re.escape(f"the stop string {stop!r} can never occur: {reason}")
    with pytest.raises(error, match=message):
        check_stops(["a", stop], SamplingSettings(**options), CHARACTERS)
    with pytest.raises(error, match=message):
        model.generate("a", stop=["\n", stop], **options)


def test_other_settings_say_which_characters_the_model_lacks() -> None:
    settings = SamplingSettings(allowed="abX", banned="YcZ", banned_word=("ab", "aQ"))
    assert notes_on_symbols(settings, CHARACTERS) == [
        "allowed: the model has no 'X', so it never writes it",
        "banned: the model has no 'Y' and 'Z', so it never writes them",
        "the banned word 'aQ' can never occur: the model has no 'Q'",
    ]
    assert notes_on_symbols(SamplingSettings(allowed="ab", banned="c"), CHARACTERS) == []
