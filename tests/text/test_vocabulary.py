"""Vocabularies of characters and bytes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import VocabularyError
from ricorda.text import ByteVocabulary, CharacterVocabulary, Vocabulary, id_type

ANY_TEXT = st.text(max_size=40)  # hypothesis leaves lone surrogates out
BYTES = ByteVocabulary(10)
GREETING = CharacterVocabulary("\n !aeéπ😀", "\n")


@pytest.mark.parametrize(
    "size, expected",
    [
        (1, np.uint8),
        (256, np.uint8),
        (257, np.uint16),
        (65536, np.uint16),
        (65537, np.uint32),
        (0x110000, np.uint32),
    ],
)
def test_ids_are_as_small_as_they_can_be(size: int, expected: type) -> None:
    assert id_type(size) == expected


def test_characters_are_numbered_in_ascending_order() -> None:
    vocabulary = CharacterVocabulary.from_text("hello")
    assert vocabulary.symbols == "ehlo"
    assert vocabulary.size == 4
    ids = vocabulary.encode("hole")
    assert ids.tolist() == [1, 3, 2, 0]
    assert ids.dtype == np.uint8
    assert vocabulary.decode(ids) == "hole"


@pytest.mark.parametrize("text, start", [("ab\ncd", "\n"), ("banana", "b"), ("\rx", "\r")])
def test_generation_starts_from_a_line_end_or_the_first_character(text: str, start: str) -> None:
    vocabulary = CharacterVocabulary.from_text(text)
    assert vocabulary.decode([vocabulary.start]) == start


@pytest.mark.parametrize("count, type_", [(256, np.uint8), (257, np.uint16)])
def test_the_type_follows_the_size(count: int, type_: type) -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + count)))
    ids = CharacterVocabulary.from_text(text).encode(text)
    assert ids.dtype == type_
    assert ids.tolist() == list(range(count))


def test_all_of_unicode() -> None:
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    vocabulary = CharacterVocabulary(everything, "\n")
    ids = vocabulary.encode(everything[::-1])
    assert ids.dtype == np.uint32
    assert vocabulary.decode(ids) == everything[::-1]
    assert vocabulary.count(ids) == (len(everything), len(everything.encode()))


@given(ANY_TEXT.filter(bool))
def test_characters_come_back(text: str) -> None:
    vocabulary = CharacterVocabulary.from_text(text)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert vocabulary.count(ids) == (len(text), len(text.encode()))
    assert vocabulary.unknown(text) == ""


@given(ANY_TEXT)
def test_bytes_come_back(text: str) -> None:
    ids = BYTES.encode(text)
    assert ids.tobytes() == text.encode()
    assert BYTES.decode(ids) == text
    assert BYTES.count(ids) == (len(text), len(text.encode()))


@given(ANY_TEXT, ANY_TEXT.filter(bool))
def test_unknown_characters(text: str, learned: str) -> None:
    vocabulary = CharacterVocabulary.from_text(learned)
    expected = "".join(dict.fromkeys(symbol for symbol in text if symbol not in learned))
    known = "".join(symbol for symbol in text if symbol in learned)
    assert vocabulary.unknown(text) == expected
    assert vocabulary.decode(vocabulary.encode(text, "skip")) == known
    if expected:
        with pytest.raises(VocabularyError, match="never saw"):
            vocabulary.encode(text)


def test_an_unknown_character_is_named_and_counted() -> None:
    with pytest.raises(VocabularyError) as caught:
        GREETING.encode("a\x00à\x00😎 z")
    assert str(caught.value) == (
        "the text has characters that the model never saw: '\\x00', 'à', '😎' and 'z', 5 times "
        "in all; leave them out of the text or with --on-unknown skip"
    )
    with pytest.raises(VocabularyError, match="and 16 more, 26 times in all"):
        CharacterVocabulary("A", "A").encode("abcdefghijklmnopqrstuvwxyz")
    with pytest.raises(VocabularyError, match="'Z', once;"):
        GREETING.encode("Z")


def test_lone_surrogates_are_unknown() -> None:
    assert GREETING.unknown("a\udce8\ud800") == "\udce8\ud800"
    assert GREETING.encode("a\udce8", "skip").tolist() == [3]


def test_bytes_of_a_command_line_come_back_as_they_were() -> None:
    argument = b"caff\xe8".decode("utf-8", "surrogateescape")
    assert BYTES.unknown(argument) == ""
    assert BYTES.encode(argument).tobytes() == b"caff\xe8"
    assert BYTES.unknown("a\ud800b\ud800") == "\ud800"
    assert BYTES.encode("a\ud800b\ud800", "skip").tobytes() == b"ab"
    with pytest.raises(VocabularyError, match="2 times"):
        BYTES.encode("a\ud800b\ud800")


@given(st.binary(max_size=30), st.lists(st.integers(1, 4)))
def test_bytes_decoded_in_pieces(data: bytes, cuts: list[int]) -> None:
    decoder = BYTES.decoder()
    text, rest = "", list(data)
    for cut in cuts:
        text += decoder.decode(rest[:cut])
        rest = rest[cut:]
    text += decoder.decode(rest) + decoder.finish()
    assert text == BYTES.decode(list(data)) == data.decode("utf-8", "replace")


def test_a_character_appears_with_its_last_byte() -> None:
    decoder = BYTES.decoder()
    assert [decoder.decode([byte]) for byte in "à😀".encode()] == ["", "à", "", "", "", "😀"]
    assert decoder.decode([0xE2]) == ""
    assert decoder.finish() == "\ufffd"


def test_characters_decoded_in_pieces() -> None:
    decoder = GREETING.decoder()
    assert decoder.decode(GREETING.encode("é😀")) + decoder.decode([]) == "é😀"
    assert decoder.finish() == ""


def test_labels_can_be_read() -> None:
    assert [GREETING.label(id) for id in range(GREETING.size)] == [
        *["\\n", " ", "!", "a", "e", "é", "π", "😀"]
    ]
    assert CharacterVocabulary("\x00\u200b", "\x00").label(1) == "\\u200b"
    labels = [BYTES.label(byte) for byte in [9, 10, 0, 32, 101, 127, 128, 0xE9, 255]]
    assert labels == ["\\t", "\\n", "\\x00", " ", "e", "\\x7f", "\\x80", "\\xe9", "\\xff"]


def test_counting_looks_at_blocks_of_long_texts() -> None:
    ids = np.tile(GREETING.encode("aé😀"), 1_000_000)
    assert GREETING.count(ids) == (3_000_000, 7_000_000)
    assert BYTES.count(np.tile(BYTES.encode("aé😀"), 1_000_000)) == (3_000_000, 7_000_000)


def test_continuation_bytes_alone_are_no_characters() -> None:
    assert BYTES.count([0x80, 0xBF, 0x41, 0xC3, 0xA0]) == (2, 5)


@pytest.mark.parametrize("vocabulary", [BYTES, GREETING])
def test_empty_texts(vocabulary: Vocabulary) -> None:
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.encode("").dtype == np.uint8
    assert vocabulary.decode([]) == ""
    assert vocabulary.count([]) == (0, 0)
    assert vocabulary.unknown("") == ""


@pytest.mark.parametrize("vocabulary", [BYTES, GREETING])
@pytest.mark.parametrize("use", ["decode", "count"])
@pytest.mark.parametrize("wrong", [[0, 256], [-1], [0.5], np.array([2**40])])
def test_ids_that_do_not_exist(vocabulary: Vocabulary, use: str, wrong: object) -> None:
    method: Callable[[object], object] = getattr(vocabulary, use)
    with pytest.raises(VocabularyError, match="ids"):
        method(wrong)


@pytest.mark.parametrize("vocabulary", [BYTES, ByteVocabulary(0), GREETING])
def test_json_round_trip(vocabulary: Vocabulary) -> None:
    description = vocabulary.to_json()
    again = Vocabulary.from_json(json.loads(json.dumps(description)))
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)
    assert again.start == vocabulary.start
    assert type(again) is type(vocabulary)


def test_what_json_holds() -> None:
    assert BYTES.to_json() == {"kind": "bytes", "start": 10}
    assert CharacterVocabulary("\na", "\n").to_json() == {
        "kind": "characters",
        "symbols": "\na",
        "start": "\n",
    }


def test_vocabularies_differ_by_symbols_and_start() -> None:
    assert CharacterVocabulary("ab", "a") != CharacterVocabulary("ab", "b")
    assert CharacterVocabulary("ab", "a") != CharacterVocabulary("abc", "a")
    assert ByteVocabulary(10) == BYTES
    assert ByteVocabulary(11) != BYTES
    assert BYTES != "bytes"
    assert repr(BYTES) == r"ByteVocabulary(size=256, start='\\n')"


@pytest.mark.parametrize(
    "description, expected",
    [
        (None, "vocabulary of kind"),
        ([], "vocabulary of kind"),
        ({}, "vocabulary of kind"),
        ({"kind": "letters"}, "it is 'letters'"),
        ({"kind": ["bytes"], "start": 10}, "vocabulary of kind"),
        ({"kind": "bytes"}, "with kind, start, but it has kind;"),
        ({"kind": "bytes", "start": 10, "symbols": "a"}, "it has kind, start, symbols"),
        ({"kind": "bytes", "start": 10, 7: 8}, "it has 7, kind, start"),
        ({"kind": "bytes", "start": 256}, "byte from 0 to 255, but it is 256"),
        ({"kind": "bytes", "start": -1}, "byte from 0 to 255"),
        ({"kind": "bytes", "start": True}, "byte from 0 to 255"),
        ({"kind": "bytes", "start": 10.0}, "byte from 0 to 255"),
        ({"kind": "bytes", "start": "\n"}, "byte from 0 to 255"),
        ({"kind": "characters", "symbols": "ab"}, "with kind, start, symbols"),
        ({"kind": "characters", "symbols": "", "start": "a"}, "has none"),
        ({"kind": "characters", "symbols": ["a", "b"], "start": "a"}, "has none"),
        ({"kind": "characters", "symbols": "aab", "start": "a"}, "'a' comes twice"),
        ({"kind": "characters", "symbols": "ba", "start": "a"}, "'b' comes before 'a'"),
        ({"kind": "characters", "symbols": "a\ud800", "start": "a"}, "lone surrogate"),
        ({"kind": "characters", "symbols": "ab", "start": "c"}, "one of its characters"),
        ({"kind": "characters", "symbols": "ab", "start": "ab"}, "one of its characters"),
        ({"kind": "characters", "symbols": "ab", "start": ""}, "one of its characters"),
        ({"kind": "characters", "symbols": "ab", "start": 0}, "one of its characters"),
    ],
)
def test_json_is_read_strictly(description: object, expected: str) -> None:
    with pytest.raises(VocabularyError, match=expected) as caught:
        Vocabulary.from_json(description)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["greek/byz_nt.txt", "japanese/neko.txt", "chinese/wujue-all.txt"])
def test_real_texts(data: Path, name: str) -> None:
    text = (data / name).read_text("utf-8")
    vocabulary = CharacterVocabulary.from_text(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.symbols == "".join(sorted(set(text)))
    assert vocabulary.count(vocabulary.encode(text)) == (len(text), len(text.encode()))
