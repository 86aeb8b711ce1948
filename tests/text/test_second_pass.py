"""Vocabularies learned from the training part, and texts translated into their symbols."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ricorda.errors import TextError
from ricorda.text import (
    CharacterVocabulary,
    EncodedText,
    Part,
    PieceVocabulary,
    Split,
    WordVocabulary,
    second_pass,
    split,
)
from ricorda.text.kinds import wanted
from ricorda.text.reading_settings import DEFAULTS
from ricorda.text.second_pass import in_symbols, note_on_rare
from ricorda.text.splits import SplitName

TEXT = "the cat saw the dog.\n\nthe dog saw a cat.\nÄh, so!\n" * 20


def encoded(text: str, vocabulary: CharacterVocabulary | None = None) -> EncodedText:
    vocabulary = vocabulary or CharacterVocabulary.from_text(text)
    ids = vocabulary.encode(text)
    return EncodedText(ids, vocabulary, len(text), len(text.encode()), "digest", {}, DEFAULTS)


def part(text: EncodedText, begin: int, end: int) -> Part:
    return Part(text.ids, np.array([begin]), np.array([end - begin]), None)


def translated(
    text: EncodedText, cuts: list[int], want: str, folder: Path, min_count: int = 1
) -> tuple[EncodedText, Split]:
    """The parts are the text until the first cut, until the second, and the rest."""
    ends = [*cuts, *[len(text.ids)] * 3]
    training, validation, test = (
        part(text, a, b) for a, b in zip([0, *ends[:2]], ends[:3], strict=True)
    )
    parts = Split(training, validation, test)
    return in_symbols(text, parts, wanted(want), min_count, folder)


def shown(part: Part | None, text: EncodedText) -> str:
    assert part is not None
    return text.vocabulary.decode(part.read(0, len(part)))


@pytest.mark.parametrize("block", [1 << 20, 64, 7])
@pytest.mark.parametrize("want", ["pieces:40", "words", "characters"])
def test_a_text_is_the_same_and_its_parts_too(
    want: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_pass, "BLOCK", block)
    monkeypatch.setattr(second_pass, "SAMPLE_BLOCKS", 10**6)
    text, parts = translated(encoded(TEXT), [500, 801], want, tmp_path, 20)
    counts = Counter(TEXT[:500])
    expected = "".join(each if counts[each] >= 20 else "\ufffd" for each in TEXT)
    assert "\ufffd" in expected
    assert text.vocabulary.decode(text.ids) == expected
    assert shown(parts.training, text) == expected[:500]
    assert shown(parts.validation, text) == expected[500:801]
    assert shown(parts.test, text) == expected[801:]
    assert (text.characters, text.bytes, text.digest) == (len(TEXT), len(TEXT.encode()), "digest")


@pytest.mark.parametrize("want", ["pieces:40", "words"])
def test_words_are_encoded_as_a_whole_wherever_blocks_end(
    want: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_pass, "SAMPLE_BLOCKS", 1000)
    monkeypatch.setattr(second_pass, "BLOCK", 51)
    text, _ = translated(encoded(TEXT), [], want, tmp_path)
    assert isinstance(text.vocabulary, PieceVocabulary | WordVocabulary)
    assert len(text.ids) < 0.6 * len(TEXT)
    assert np.array_equal(text.ids, text.vocabulary.encode(TEXT))


def test_nothing_is_learned_from_the_rest(tmp_path: Path) -> None:
    text, _ = translated(encoded("ab " * 50 + "xyz " * 50), [150], "pieces:12", tmp_path)
    assert isinstance(text.vocabulary, PieceVocabulary)
    assert " ab" in text.vocabulary.texts
    assert not any("xy" in each for each in text.vocabulary.texts)
    rare, _ = translated(encoded("ab" * 50 + "x" * 99 + "b"), [100], "characters", tmp_path, 2)
    assert rare.vocabulary.to_json() == {
        "kind": "characters", "symbols": "ab", "start": "a", "rare": True}  # fmt: skip


def test_frequent_characters_alone_change_nothing(tmp_path: Path) -> None:
    given = encoded(TEXT)
    assert translated(given, [], "characters", tmp_path, 5)[0] is given


@pytest.mark.parametrize("want", ["characters", "pieces:12", "words"])
@pytest.mark.parametrize("block", [1 << 20, 4])
@pytest.mark.parametrize("how", ["documents", "blocks", "end"])
def test_documents_and_their_labels_stay(
    want: str, block: int, how: SplitName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_pass, "BLOCK", block)
    characters = CharacterVocabulary("\n abc", "a", has_boundary=True, labels=["one", "two"])
    documents = [f"{'ab ' * (each % 7)}c{'aba ' * (each % 3)}" for each in range(70)]
    coded = [
        np.concatenate([[5 + number % 3], characters.encode(each)])
        for number, each in enumerate(documents)
    ]
    ids = np.concatenate([*coded, [5]]).astype(np.uint8)
    text = EncodedText(ids, characters, 10, 10, "digest", {}, DEFAULTS)
    before = split(text.part, 0.2, 0.1, how)
    found, after = in_symbols(text, before, wanted(want), 71, tmp_path)
    assert found.vocabulary.labels == ("one", "two")
    assert found.vocabulary.boundary == found.vocabulary.size - 1
    assert found.vocabulary.rare is not None
    whole = [found.vocabulary.decode(each) for each in found.part.documents()]
    assert whole == [each.replace("c", "\ufffd") for each in documents]
    assert found.part.label_numbers is not None
    assert found.part.label_numbers.tolist() == [number % 3 for number in range(70)]
    for old, new in zip(
        (before.training, before.validation, before.test),
        (after.training, after.validation, after.test),
        strict=True,
    ):
        assert old is not None
        assert new is not None
        assert new.label_numbers is not None
        assert old.label_numbers is not None
        assert new.label_numbers.tolist() == old.label_numbers.tolist()
        assert [found.vocabulary.decode(each) for each in new.documents()] == [
            characters.decode(each).replace("c", "\ufffd") for each in old.documents()
        ]
        assert new.boundary == found.vocabulary.boundary


def test_no_frequent_character_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="most frequent one occurs 2 times"):
        translated(encoded("abab"), [], "characters", tmp_path, 3)


def test_many_rare_characters_are_noted() -> None:
    common, rare = "".join(map(chr, range(0x4E00, 0x4F00))), "".join(map(chr, range(65, 165)))
    text = encoded(common * 10 + rare)
    assert note_on_rare(text.vocabulary, text.part) == (
        "100 of 356 characters occur fewer than 5 times (3.8 % of the text) and cost time and "
        "memory: --min-count 5 makes them one symbol"
    )
    for other in (common * 10, common * 10 + rare[:60], rare):
        text = encoded(other)
        assert note_on_rare(text.vocabulary, text.part) == ""
