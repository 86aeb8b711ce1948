"""Encoding texts into ids on disk."""

import gc
import hashlib
import io
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import TextError, VocabularyError
from ricorda.text import (
    ByteVocabulary,
    CharacterVocabulary,
    EncodedText,
    ReadingSettings,
    Source,
    VocabularyKind,
    encode_sources,
    find_sources,
    reading,
)

Encode = Callable[..., EncodedText]


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    """Encode bytes as one file each, with the encoded text in a folder that stays empty."""
    folder = tmp_path / "work"
    folder.mkdir()

    def encode_files(*contents: bytes, **options: Any) -> EncodedText:
        names = {each.name for each in fields(ReadingSettings)} & options.keys()
        reading = {"documents": "text"} | {name: options.pop(name) for name in names}
        paths = [tmp_path / f"{number}.txt" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        try:
            return encode_sources(
                find_sources(paths), folder=folder, reading=ReadingSettings(**reading), **options
            )
        finally:
            assert list(folder.iterdir()) == []

    return encode_files


def test_characters_are_collected_and_counted(encode: Encode, tmp_path: Path) -> None:
    with encode("\ufeffcosì\r\nè".encode(), b"fine", vocabulary="characters") as text:
        assert text.vocabulary == CharacterVocabulary.from_text("così\nè\nfine")
        assert text.vocabulary.decode(text.ids) == "così\nè\nfine"
        assert text.ids.dtype == np.uint8
        assert isinstance(text.ids, np.memmap)
        assert (text.characters, text.bytes) == (11, 13)
        assert text.digest == hashlib.sha256("così\nè\nfine".encode()).hexdigest()
        assert text.sources == (f"{tmp_path}/0.txt", f"{tmp_path}/1.txt")
        assert text.skipped == {}


@given(st.text(min_size=1), st.integers(1, 7))
def test_any_text_in_any_pieces(text: str, piece_bytes: int) -> None:
    content = io.BytesIO(f"\ufeff{text}".encode("utf-16-le"))
    with (
        patch.object(reading, "_opened", lambda _: content),
        patch.object(reading, "PIECE_BYTES", piece_bytes),
    ):
        encoded = encode_sources(
            [Source("a text", None)],
            vocabulary="characters",
            folder=Path(gettempdir()),
            reading=ReadingSettings(encoding="utf-16-le", newlines="keep"),
        )
    assert encoded.vocabulary == CharacterVocabulary.from_text(text)
    np.testing.assert_array_equal(encoded.ids, encoded.vocabulary.encode(text))
    assert (encoded.characters, encoded.bytes) == (len(text), len(text.encode()))


@pytest.mark.parametrize("count", [256, 257, 65_536, 65_537])
def test_the_smallest_type_that_holds_the_vocabulary(
    encode: Encode, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 1000)
    text = "".join(map(chr, range(0x10000 + count, 0x10000, -1)))
    encoded = encode(text.encode(), vocabulary="characters")
    assert encoded.vocabulary.size == count
    assert encoded.ids.dtype == (
        np.uint8 if count == 256 else np.uint16 if count <= 65536 else np.uint32
    )
    assert encoded.ids.tolist() == list(range(count - 1, -1, -1))


def test_bytes_are_taken_as_they_are(encode: Encode) -> None:
    content = b"\xef\xbb\xbfa\r\n\xff\x00"
    text = encode(content, vocabulary="bytes")
    assert text.ids.tobytes() == content
    assert text.vocabulary == ByteVocabulary(10)
    assert text.digest == hashlib.sha256(content).hexdigest()
    assert (text.characters, text.bytes) == (6, 8)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, b"\xefa\r\n"),
        ({"newlines": "keep"}, b"\xefa\r\n"),
        ({"newlines": "normalise"}, b"\xefa\n"),
        ({"encoding": "latin-1"}, "ïa\n".encode()),
        ({"encoding": "latin-1", "newlines": "keep"}, "ïa\r\n".encode()),
    ],
)
def test_bytes_with_an_encoding_are_its_text_in_utf_8(
    encode: Encode, options: dict[str, str], expected: bytes
) -> None:
    text = encode(b"\xefa\r\n", vocabulary="bytes", **options)
    assert text.ids.tobytes() == expected
    assert (text.characters, text.bytes) == (
        len(expected.decode("utf-8", "replace")),
        len(expected),
    )


def test_bytes_begin_with_the_first_where_there_is_no_line_end(encode: Encode) -> None:
    assert encode(b"\xc3\xa0bc", vocabulary="bytes").vocabulary == ByteVocabulary(0xC3)


@pytest.mark.parametrize("newlines, expected", [("auto", "a\nb"), ("keep", "a\r\nb")])
def test_line_ends_of_characters(encode: Encode, newlines: str, expected: str) -> None:
    text = encode(b"a\r\nb", vocabulary="characters", newlines=newlines)
    assert text.vocabulary.decode(text.ids) == expected


def test_a_vocabulary_that_exists(encode: Encode) -> None:
    learned = encode(b"hello world\n", vocabulary="characters")
    text = encode(b"world", vocabulary=learned.vocabulary)
    assert text.vocabulary is learned.vocabulary
    assert text.vocabulary.decode(text.ids) == "world"
    raw = encode(b"\xff", vocabulary=ByteVocabulary(7))
    assert raw.vocabulary == ByteVocabulary(7)
    assert raw.ids.tolist() == [255]


def test_unknown_characters_are_named_and_counted_in_the_whole_text(
    encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 4)
    vocabulary = CharacterVocabulary.from_text("abc\n")
    content = "abcà abcà ç à".encode()
    with pytest.raises(VocabularyError, match="'à', ' ' and 'ç', 7 times in all"):
        encode(content, vocabulary=vocabulary)
    text = encode(content, vocabulary=vocabulary, on_unknown="skip")
    assert vocabulary.decode(text.ids) == "abcabc"
    assert text.skipped == {"à": 3, " ": 3, "ç": 1}
    assert (text.characters, text.bytes) == (6, 6)
    assert text.digest == hashlib.sha256(b"abcabc").hexdigest()


def test_a_text_of_unknown_characters_alone(encode: Encode) -> None:
    with pytest.raises(TextError, match="none of the text's characters"):
        encode(b"xyz", vocabulary=CharacterVocabulary("abc", "a"), on_unknown="skip")


@pytest.mark.parametrize("vocabulary", ["characters", "bytes", CharacterVocabulary("a", "a")])
def test_an_empty_text(encode: Encode, vocabulary: VocabularyKind) -> None:
    with pytest.raises(TextError, match="empty"):
        encode(b"", vocabulary=vocabulary)


def test_nothing_is_left_behind_by_an_error(encode: Encode) -> None:
    with pytest.raises(TextError, match=r"byte 4 \(0xff\)"):
        encode(b"text\xff", vocabulary="characters")


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"from a pipe\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    text = encode_sources(find_sources(["-"]), vocabulary="characters", folder=tmp_path)
    assert text.vocabulary.decode(text.ids) == "from a pipe\n"
    assert text.sources == ("standard input",)


def test_progress_ends_at_the_size_of_the_text(encode: Encode) -> None:
    seen: list[tuple[int, int | None]] = []
    encode(b"some", b"text", vocabulary="characters", progress=lambda *done: seen.append(done))
    assert seen == [(4, 8), (8, 8)]


def test_ids_outlive_the_text_but_are_not_handed_out_again(encode: Encode) -> None:
    with encode(b"text", vocabulary="bytes") as text:
        ids = text.ids
    assert ids.tobytes() == b"text"
    with pytest.raises(TextError, match="closed"):
        _ = text.ids


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at the process's maps")
def test_the_map_goes_with_the_last_view(encode: Encode, tmp_path: Path) -> None:
    def is_mapped() -> bool:
        return f"{tmp_path}/work" in Path("/proc/self/maps").read_text()

    text = encode(b"text", vocabulary="bytes")
    view = text.ids[1:3]
    text.close()
    gc.collect()
    assert is_mapped()
    assert view.tobytes() == b"ex"
    del view
    gc.collect()
    assert not is_mapped()


@pytest.mark.parametrize("vocabulary", ["characters", "bytes"])
def test_memory_does_not_grow_with_the_text(tmp_path: Path, vocabulary: VocabularyKind) -> None:
    codes = np.random.default_rng(0).integers(0x4E00, 0x4E00 + 5000, 200_000)
    page = "".join(map(chr, codes.tolist())).encode()
    peaks = []
    for pages in [10, 60]:  # 6 MB and 36 MB
        path = tmp_path / f"{pages}.txt"
        path.write_bytes(page * pages)
        tracemalloc.start()
        text = encode_sources(find_sources([path]), vocabulary=vocabulary, folder=tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert text.bytes == len(page) * pages
    assert max(peaks) < 32e6  # how much depends on how the two threads fall together


# The real texts.


@pytest.mark.parametrize("name", ["greek/byz_nt.txt", "japanese/neko.txt", "chinese/wujue-all.txt"])
@pytest.mark.parametrize("vocabulary", ["characters", "bytes"])
def test_other_scripts(data: Path, tmp_path: Path, name: str, vocabulary: VocabularyKind) -> None:
    content = (data / name).read_bytes()
    text = encode_sources(find_sources([data / name]), vocabulary=vocabulary, folder=tmp_path)
    assert text.vocabulary.decode(text.ids) == content.decode()
    assert text.characters == len(content.decode())
    assert text.bytes == len(content)
    assert text.vocabulary.count(text.ids) == (text.characters, text.bytes)


def test_italian_with_a_mark_and_carriage_returns(data: Path, tmp_path: Path) -> None:
    path = data / "italian" / "divina_commedia_pg1012.txt"
    expected = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    text = encode_sources(find_sources([path]), vocabulary="characters", folder=tmp_path)
    assert text.vocabulary.decode(text.ids) == expected
    raw = encode_sources(find_sources([path]), vocabulary="bytes", folder=tmp_path)
    assert raw.ids.tobytes() == path.read_bytes()


def test_malformed_utf_8_can_be_learned_as_bytes(data: Path, tmp_path: Path) -> None:
    path = data / "malformed" / "kuhn-baddata.txt"
    text = encode_sources(find_sources([path]), vocabulary="bytes", folder=tmp_path)
    assert text.ids.tobytes() == path.read_bytes()
