"""A model's vocabulary with what a new text has besides."""

from pathlib import Path

import numpy as np
import pytest

from ricorda.text import (
    ByteVocabulary,
    CharacterVocabulary,
    EncodedText,
    PieceVocabulary,
    Source,
    Split,
    Vocabulary,
    WordVocabulary,
    encode_sources,
    split,
)
from ricorda.text.extension import NEW, extended, label_origins, origins
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.second_pass import in_known_symbols

PIECES = PieceVocabulary("\n amo", [(3, 4), (2, 5), (6, 4), (1, 6)], start="\n")
"""The pieces `mo`, `amo`, `amoo`, ` amo`."""

KNOWN: dict[str, Vocabulary] = {
    "characters": CharacterVocabulary("\n amo", start="\n"),
    "rare": CharacterVocabulary("\n amo", start="\n", has_rare=True),
    "documents": CharacterVocabulary("\n amo", start="\n", has_boundary=True, labels=("it", "la")),
    "bytes": ByteVocabulary(start=10),
    "bytes of documents": ByteVocabulary(start=10, has_boundary=True, labels=("la",)),
    "pieces": PIECES,
    "pieces, rare, of documents": PieceVocabulary(
        "\n amo", PIECES.merges, start="\n", has_rare=True, has_boundary=True
    ),
    "words": WordVocabulary("\n amo", ["amo", "mama"], start="\n"),
}


def found_in(known: Vocabulary, *, divided: bool) -> Vocabulary:
    """The vocabulary of a text with the characters a, b and è, and the labels de and it."""
    labels = ("de", "it") if divided else ()
    if isinstance(known, ByteVocabulary):
        return ByteVocabulary(start=97, has_boundary=divided, labels=labels)
    return CharacterVocabulary("abè", start="b", has_boundary=divided, labels=labels)


@pytest.mark.parametrize("divided", [False, True], ids=["one text", "documents"])
@pytest.mark.parametrize("known", KNOWN.values(), ids=list(KNOWN))
def test_symbols_keep_what_they_stand_for(known: Vocabulary, divided: bool) -> None:
    new = extended(known, found_in(known, divided=divided))
    sources = origins(known, new)
    assert len(sources) == new.size
    kept = np.flatnonzero(sources != NEW)
    assert sorted(sources[kept]) == list(range(known.size))  # each old symbol once
    for id in kept.tolist():
        old = int(sources[id])
        assert new.label(id) == known.label(old)
        assert (id == new.boundary, id == new.rare) == (old == known.boundary, old == known.rare)
    added = [new.label(id) for id in np.flatnonzero(sources == NEW).tolist()]
    characters = [] if known.kind == "bytes" else ["b", "è"]
    assert added == characters + ["◇"] * (divided and known.boundary is None)
    assert new.boundary == (new.size - 1 if divided or known.boundary is not None else None)
    assert extended(new, found_in(known, divided=divided)) == new
    assert Vocabulary.from_json(new.to_json()) == new


@pytest.mark.parametrize("known", KNOWN.values(), ids=list(KNOWN))
def test_an_old_text_has_the_same_symbols(known: Vocabulary) -> None:
    text = "amo mamma\namoo ma\n\n mao"
    new = extended(known, found_in(known, divided=True))
    assert [new.label(id) for id in new.encode(text)] == [
        known.label(id) for id in known.encode(text)
    ]
    np.testing.assert_array_equal(origins(known, new)[new.encode(text)], known.encode(text))
    assert new.decode([new.encode("\n")[0]]) == "\n"
    if known.boundary is None and known.kind != "bytes":
        assert extended(known, found_in(known, divided=False)).start == new.encode("\n")[0]


def test_labels_keep_their_numbers_and_new_ones_follow() -> None:
    known = KNOWN["documents"]
    new = extended(known, found_in(known, divided=True))
    assert new.labels == ("it", "la", "de")
    assert label_origins(known, new).tolist() == [0, 1, 2, NEW]


def encoded(
    text: str, known: Vocabulary, folder: Path, *, min_count: int = 1, documents: str = "text"
) -> tuple[EncodedText, Split]:
    """Encode a text as training does that starts from a model, and split it."""
    (folder / "a.txt").write_text(text)
    kind = "bytes" if known.kind == "bytes" else "characters"
    read = encode_sources(
        [Source("a.txt", folder / "a.txt")],
        vocabulary=kind,  # type: ignore[arg-type]
        folder=folder,
        reading=ReadingSettings(documents=documents),
    )
    parts = split(read.part, 0.25, 0.0, "end")
    return in_known_symbols(read, parts, known, min_count, folder)


@pytest.mark.parametrize("known", KNOWN.values(), ids=list(KNOWN))
def test_a_text_is_translated_and_stays_divided(known: Vocabulary, tmp_path: Path) -> None:
    lines = [f"amo {'bè' * number} mama" for number in range(1, 41)]
    text, parts = encoded("\n".join(lines) + "\n", known, tmp_path, documents="lines")
    vocabulary = text.vocabulary
    assert vocabulary.decode(vocabulary.encode("bèamo")) == "bèamo"
    assert parts.validation is not None
    documents = [
        vocabulary.decode(ids)
        for part in (parts.training, parts.validation)
        for ids in part.documents()
    ]
    assert documents == lines
    assert [vocabulary.decode(ids) for ids in text.part.documents()] == lines


def test_labels_of_documents_are_numbered_anew(tmp_path: Path) -> None:
    known = KNOWN["documents"]  # it is 1, la is 2
    for name in ("de", "la"):
        (tmp_path / f"{name}.txt").write_text(f"{name}\n" * 4)
    read = encode_sources(
        [Source(f"{name}.txt", tmp_path / f"{name}.txt") for name in ("de", "la")],
        vocabulary="characters",
        folder=tmp_path,
        reading=ReadingSettings(documents="lines", label_from="file"),
    )
    parts = split(read.part, 0.25, 0.0, "documents")
    text, parts = in_known_symbols(read, parts, known, 1, tmp_path)
    assert text.vocabulary.labels == ("it", "la", "de")
    for part in (text.part, parts.training, parts.validation):
        assert part is not None
        assert part.label_numbers is not None
        names = [text.vocabulary.labels[number - 1] for number in part.label_numbers.tolist()]
        assert names == [text.vocabulary.decode(ids) for ids in part.documents()]


def test_rare_characters_that_the_model_has_are_no_rare_ones(tmp_path: Path) -> None:
    known = KNOWN["characters"]
    text, _ = encoded("o" + "abab" * 20 + "xyz", known, tmp_path, min_count=3)
    assert isinstance(text.vocabulary, CharacterVocabulary)
    assert text.vocabulary.symbols == "\n abmo"
    assert text.vocabulary.rare == 6
    again, _ = encoded("o" + "abab" * 20 + "xyz", text.vocabulary, tmp_path, min_count=3)
    assert again.vocabulary == text.vocabulary


def test_a_text_without_new_symbols_is_not_translated(tmp_path: Path) -> None:
    known = CharacterVocabulary("\namo", start="\n")
    (tmp_path / "a.txt").write_text("mamo\n" * 20)
    read = encode_sources(
        [Source("a.txt", tmp_path / "a.txt")],
        vocabulary="characters",
        folder=tmp_path,
        reading=ReadingSettings(documents="text"),
    )
    text, _ = in_known_symbols(read, split(read.part, 0.25, 0.0, "end"), known, 1, tmp_path)
    assert text.ids is read.ids
    assert text.vocabulary == known
