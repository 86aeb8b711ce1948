"""Documents from files to ids, and read again later."""

import gzip
import random
import tarfile
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import ConfigurationError, TextError, VocabularyError
from ricorda.text import (
    ByteVocabulary,
    Cache,
    CharacterVocabulary,
    EncodedText,
    ReadingSettings,
    cached_encoding,
    division,
    encode_sources,
    encoding,
    find_sources,
    read_documents,
    reading,
)
from ricorda.text.cached_encoding import survey

LETTERS = st.text("ab\n é猫\r", max_size=12)


def encoded(*paths: Path, vocabulary: Any = "characters", **options: Any) -> EncodedText:
    others = {name: options.pop(name) for name in ("cache", "on_unknown") if name in options}
    return encode_sources(
        find_sources(paths, tables="field" in options),
        vocabulary=vocabulary,
        folder=Path(tempfile.gettempdir()),
        reading=ReadingSettings(**options),
        **others,
    )


def documents_of(text: EncodedText) -> list[tuple[str, str | None]]:
    """What the ids hold, by the contract: boundary (V - 1 + label) d1 ... boundary (V - 1)."""
    vocabulary = text.vocabulary
    boundary = vocabulary.boundary
    assert boundary == vocabulary.size - 1
    ids = text.ids.astype(np.int64)
    places = np.flatnonzero(ids >= boundary)
    assert places[0] == 0
    assert places[-1] == len(ids) - 1
    assert ids[-1] == boundary
    labels = (None, *vocabulary.labels)
    return [
        (vocabulary.decode(ids[begin + 1 : end]), labels[ids[begin] - boundary])
        for begin, end in pairwise(places)
    ]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", newline="")
    return path


@given(st.lists(LETTERS, min_size=1, max_size=4), st.sampled_from(["characters", "bytes"]))
def test_files_are_documents_without_their_final_line_end(texts: list[str], kind: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        for number, each in enumerate(texts):
            write(Path(place, f"{number}.txt"), each)
        expected = [each.replace("\r\n", "\n").replace("\r", "\n") for each in texts]
        expected = [each.removesuffix("\n") for each in expected]
        whole = [each for each in expected if each]
        settings = {"documents": "files", "newlines": "normalise", "vocabulary": kind}
        if not whole:
            with pytest.raises(TextError, match="at least one document that is not empty"):
                encoded(Path(place), **settings)
            return
        text = encoded(Path(place), **settings)
        assert documents_of(text) == [(each, None) for each in whole]
        assert text.documents == len(whole)
        assert text.empty_documents == len(expected) - len(whole)
        assert text.characters == sum(map(len, whole))
        assert text.bytes == sum(len(each.encode()) for each in whole)
        assert text.vocabulary.start == text.vocabulary.boundary


DIVISIONS = ("lines", "paragraphs", "files", "separator:b", "separator:\\n\\n")


@pytest.mark.parametrize("kind", ["characters", "bytes"])
@pytest.mark.parametrize("label_from", [None, "file"])
@pytest.mark.parametrize("documents", DIVISIONS)
def test_what_is_encoded_is_what_is_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documents: str, label_from: Any, kind: str
) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 7)
    draw = random.Random(f"{documents} {label_from} {kind}")
    for name in ("y", "x", "z"):
        write(tmp_path / f"{name}.txt", "".join(draw.choices("abc \n\n\ré猫", k=200)))
    settings = ReadingSettings(documents=documents, label_from=label_from)
    text = encoded(tmp_path, documents=documents, label_from=label_from, vocabulary=kind)
    read = list(read_documents(find_sources([tmp_path]), settings, vocabulary=text.vocabulary))
    assert [(each.text, each.label) for each in read] == documents_of(text)
    assert text.vocabulary.labels == (() if label_from is None else ("x", "y", "z"))
    assert text.documents == len(read) > 2
    assert {each.source.name[-5:] for each in read} == {"x.txt", "y.txt", "z.txt"}
    for source in find_sources([tmp_path]):
        numbers = [each.number for each in read if each.source == source]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_same_documents_by_ascii_and_by_other_text(tmp_path: Path) -> None:
    """Beside a character that is not ASCII, the same documents get the same ids."""
    plain = write(tmp_path / "plain.txt", "emma\nolivia\nava\n" * 50)
    other = write(tmp_path / "other.txt", "emma\nolivia\nava\n" * 50 + "猫\n")
    for documents in ("lines", "separator:\\n", "paragraphs"):
        one = documents_of(encoded(plain, documents=documents))
        assert documents_of(encoded(other, documents=documents))[: len(one) - 1] == one[:-1]


def test_raw_bytes_have_257_symbols_in_two_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xff\x00\xed\xa0\x80\n\r\n\n\x80b")
    text = encoded(path, documents="lines", vocabulary="bytes")
    assert text.ids.dtype == np.uint16
    assert text.vocabulary.size == 257
    assert text.ids.tolist() == [256, 0xFF, 0, 0xED, 0xA0, 0x80, 256, 0x80, ord("b"), 256]
    assert (text.bytes, text.documents, text.empty_documents) == (7, 2, 2)
    assert text.characters == sum(byte & 0xC0 != 0x80 for byte in b"\xff\x00\xed\xa0\x80\x80b")
    (first, second) = read_documents(find_sources([path]), text.reading, vocabulary=text.vocabulary)
    for document, data in ((first, b"\xff\x00\xed\xa0\x80"), (second, b"\x80b")):
        assert text.vocabulary.encode(document.text).tobytes() == data
    labelled = encoded(path, documents="lines", vocabulary="bytes", label_from="file")
    assert labelled.ids.tolist() == [257, *text.ids.tolist()[1:6], 257, 0x80, ord("b"), 256]


def test_more_symbols_than_a_byte_holds_with_labels(tmp_path: Path) -> None:
    characters = "".join(map(chr, range(0x4E00, 0x4E00 + 253)))
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.txt", characters)
    text = encoded(tmp_path, label_from="file")
    assert text.vocabulary.size == 254
    assert text.ids.dtype == np.uint16
    assert text.ids.max() == 256
    assert documents_of(text) == [(characters, name) for name in ("a", "b", "c")]


def test_auto_depends_on_the_arguments(tmp_path: Path) -> None:
    one = write(tmp_path / "one.txt", "a\nb\n")
    two = write(tmp_path / "two/two.txt", "c")
    table = write(tmp_path / "three/t.csv", "text\na\n")
    assert encoded(one).reading.documents == "text"
    assert encoded(one).vocabulary.boundary is None
    assert encoded(one).documents == 0
    assert encoded(one, two).reading.documents == "files"
    assert encoded(two.parent).reading.documents == "files"
    assert encoded(Path(f"{tmp_path}/*.txt")).reading.documents == "files"
    assert encoded(one, label_from="file").reading.documents == "files"
    assert encoded(table, field="text").reading.documents == "rows"
    assert encoded(two.parent, documents="text").vocabulary.boundary is None


def test_the_digest_changes_with_the_division_and_with_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "a\nb\n\nc\nd")
    settings: list[dict[str, Any]] = [
        {"documents": documents} for documents in ("text", "files", "lines", "paragraphs")
    ]
    settings += [{"documents": "separator:b"}, {"documents": "lines", "label_from": "file"}]
    for kind in ("characters", "bytes"):
        texts = [encoded(path, vocabulary=kind, **each) for each in settings]
        assert len({text.digest for text in texts}) == len(settings)
    labelled = encoded(path, documents="lines", label_from="file").digest
    assert encoded(path, documents="lines", label_from="folder").digest != labelled
    again = write(tmp_path / "b.txt", "a\nb\n\nc\nd\n")
    assert encoded(again, documents="files").digest == encoded(path, documents="files").digest


def test_a_known_vocabulary_keeps_its_boundary_and_labels(tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary("abc", "a", has_boundary=True, labels=("y", "x"))
    for name, content in (("x", "abc\nzza\n"), ("y", "c"), ("new", "b")):
        write(tmp_path / f"{name}.txt", content)
    settings = {"documents": "lines", "label_from": "file", "vocabulary": vocabulary}
    text = encoded(tmp_path, on_unknown="skip", **settings)
    assert text.ids.tolist() == [3, 1, 5, 0, 1, 2, 5, 0, 4, 2, 3]
    assert text.skipped == {"z": 2}
    assert (text.characters, text.bytes, text.documents) == (6, 6, 4)
    with pytest.raises(VocabularyError, match="never saw: 'z', 2 times"):
        encoded(tmp_path, on_unknown="error", **settings)
    for undivided in (CharacterVocabulary("abc", "a"), ByteVocabulary(10)):
        with pytest.raises(ConfigurationError, match="--documents text"):
            encoded(tmp_path, documents="lines", vocabulary=undivided, on_unknown="skip")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_encoding, "SMALLEST", 1)
    monkeypatch.setattr(cached_encoding, "CHECKPOINT_BYTES", 300)
    monkeypatch.setattr(reading, "PIECE_BYTES", 100)
    monkeypatch.setattr(division, "_ROWS_GATHERED", 50)


def stopped(after: int) -> Callable[..., None]:
    """Writing that fails as if the process had been killed after some pieces."""
    count = 0
    write_piece = encoding.Writing._write

    def write_some(self: Any, *arguments: Any) -> None:
        nonlocal count
        count += 1
        if count > after:
            raise KeyboardInterrupt
        write_piece(self, *arguments)

    return write_some


CASES: dict[str, dict[str, Any]] = {
    "lines": {"documents": "lines"},
    "lines with labels": {"documents": "lines", "label_from": "file"},
    "paragraphs": {"documents": "paragraphs"},
    "files": {"documents": "files", "label_from": "folder"},
    "bytes": {"documents": "lines", "vocabulary": "bytes"},
    "labelled bytes": {"documents": "separator:e", "vocabulary": "bytes", "label_from": "file"},
    "rows": {"field": "text", "label_field": "kind"},
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("after", [1, 7, 20])
@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_encoding_gives_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, after: int
) -> None:
    draw = random.Random(case)
    options = CASES[case]
    for name in ("b", "a", "c"):
        if "field" in options:
            rows = [
                f"{''.join(draw.choices('abce ', k=9))},{draw.choice('vwxyz')}" for _ in range(99)
            ]
            write(tmp_path / f"texts/{name}.csv", "text,kind\n" + "\n".join(rows))
        else:
            content = "".join(draw.choices("abcde\n\né猫", k=1500))
            write(tmp_path / f"texts/{name}.txt", f"{name}\n{content}")
    cache = Cache(tmp_path / "cache", 10**9)
    expected = encoded(tmp_path / "texts", **options)
    with monkeypatch.context() as patched:
        patched.setattr(encoding.Writing, "_write", stopped(after))
        with pytest.raises(KeyboardInterrupt):
            encoded(tmp_path / "texts", cache=cache, **options)
    for _ in range(2):  # gone on with, then from the cache
        text = encoded(tmp_path / "texts", cache=cache, **options)
        np.testing.assert_array_equal(text.ids, expected.ids)
        assert text.ids.dtype == expected.ids.dtype
        assert text.vocabulary == expected.vocabulary
        for name in ("digest", "characters", "bytes", "documents", "empty_documents"):
            assert getattr(text, name) == getattr(expected, name)


@pytest.mark.usefixtures("small")
def test_the_cache_distinguishes_divisions(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "b,c\nd,e\n")
    cache = Cache(tmp_path / "cache", 10**9)
    settings: list[dict[str, Any]] = [
        {},
        {"documents": "lines"},
        {"documents": "lines", "label_from": "file"},
        {"field": "b"},
        {"field": "c"},
        {"field": "b", "label_field": "c"},
    ]
    for _ in range(2):
        for each in settings:
            found = encoded(path, cache=cache, **each)
            expected = encoded(path, **each)
            np.testing.assert_array_equal(found.ids, expected.ids)
            assert found.digest == expected.digest
    assert cache.usage().texts == len(settings)


def test_odd_files(tmp_path: Path) -> None:
    write(tmp_path / "1.txt", "\ufeffa\n")
    write(tmp_path / "2.txt", "\ufeffb\ufeffc")
    write(tmp_path / "3.txt", "")
    write(tmp_path / "4.txt", "\n")
    write(tmp_path / "5.txt", "d\0e" + "f" * 100_000)
    text = encoded(*sorted(tmp_path.iterdir()))
    assert documents_of(text) == [
        ("a", None), ("b\ufeffc", None), ("d\0e" + "f" * 100_000, None)
    ]  # fmt: skip
    assert text.empty_documents == 2
    for documents in ("lines", "paragraphs", "files", "separator:\\n"):
        with pytest.raises(TextError, match=r"3\.txt: empty; at least one document"):
            encoded(tmp_path / "3.txt", documents=documents)
        with pytest.raises(TextError, match=r"4\.txt: empty; at least one document"):
            encoded(tmp_path / "4.txt", documents=documents)


def test_an_undivided_text_is_read_as_one_document_with_its_final_line_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "a\r\nb\r\n")
    settings = ReadingSettings(documents="text")
    (document,) = read_documents(find_sources([path]), settings)
    assert document.text == "a\nb\n"
    lines = read_documents(find_sources([path]), ReadingSettings(documents="lines"))
    assert [each.text for each in lines] == ["a", "b"]


def test_later_documents_are_spelled_as_the_model_knows_them(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress("\ufeffcose\u0300\r\npiù".encode()))
    vocabulary = CharacterVocabulary.from_text("coseèpiù")
    settings = ReadingSettings(documents="lines", label_from="file")
    found = read_documents(find_sources([path]), settings, vocabulary=vocabulary)
    assert [(each.text, each.label) for each in found] == [("cosè", "a"), ("più", "a")]


def test_the_survey_tells_members_of_an_archive_apart(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        write(tmp_path / name, "text")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("a.txt", "b.txt"):
            archive.add(tmp_path / name, name)
    sources = find_sources([tmp_path / "x.tar"])
    assert survey(sources).size == 8
    assert survey(sources[:1]).key != survey(sources[1:]).key


def test_what_a_model_remembers() -> None:
    vocabulary = CharacterVocabulary("ab", "a", has_boundary=True)
    settings = ReadingSettings(field="text", label_field="kind").resolved(find_sources(["-"]))
    written = settings.to_json("characters")
    assert (written["documents"], written["field"]) == ("rows", "text")
    read = ReadingSettings.from_training({"reading": written}, vocabulary)
    assert read.division == settings.division
    assert "documents" not in ReadingSettings(documents="text").to_json("characters")
    with pytest.raises(ConfigurationError, match="'reading' is wrong: --documents: expected auto"):
        ReadingSettings.from_training({"reading": written | {"documents": "x", "field": None,
            "label_field": None}}, vocabulary)  # fmt: skip
