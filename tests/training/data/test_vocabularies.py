"""The vocabulary that a run learns: the options, the same again, and what is refused."""

from pathlib import Path

import pytest

from ricorda.errors import ConfigurationError
from ricorda.text import PieceVocabulary
from ricorda.training.data.dataset import Dataset, read_dataset
from ricorda.training.data.dataset import locate as sources_of
from ricorda.training.options import TrainingOptions
from ricorda.validation import validated

TEXT = "the cat saw the dog, and the dog saw the cat.\n" * 40 + "Zz the end of it all\n" * 20


def read(folder: Path, text: Path | None = None, **options: object) -> tuple[Dataset, list[str]]:
    (folder / "my.txt").write_text(TEXT)
    given = validated(TrainingOptions, **options)
    lines: list[str] = []
    sources = sources_of([str(text or folder / "my.txt")], given, lines.append)
    return read_dataset(sources, folder, given, lines.append), lines


@pytest.mark.parametrize("vocabulary", ["characters", "pieces:60", "words"])
@pytest.mark.parametrize("min_count", [1, 30])
def test_the_parts_hold_the_same_characters_with_every_vocabulary(
    vocabulary: str, min_count: int, tmp_path: Path
) -> None:
    dataset, _ = read(tmp_path, vocabulary=vocabulary, min_count=min_count)
    known = dataset.text.vocabulary
    assert known.kind == vocabulary.partition(":")[0]
    assert (known.rare is None) == (min_count == 1)
    border = len(TEXT) - len(TEXT) // 10
    assert dataset.validation is not None
    for part, expected in ((dataset.training, TEXT[:border]), (dataset.validation, TEXT[border:])):
        shown = known.decode(part.read(0, len(part)))
        assert len(shown) == pytest.approx(len(expected), abs=1)
        assert "Zz" not in shown or min_count == 1
    whole = known.decode(dataset.training.read(0, 10**6)) + known.decode(
        dataset.validation.read(0, 10**6)
    )
    assert min_count > 1 or whole == TEXT
    assert dataset.symbols_per_character == pytest.approx(len(dataset.text.ids) / len(TEXT))


def test_the_same_text_gives_the_same_vocabulary_again(tmp_path: Path) -> None:
    first, again = (read(tmp_path, vocabulary="pieces:60")[0] for _ in range(2))
    assert isinstance(first.text.vocabulary, PieceVocabulary)
    assert again.text.vocabulary == first.text.vocabulary
    assert again.text.ids.tolist() == first.text.ids.tolist()


def test_a_validation_text_is_read_in_the_same_symbols(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("the dog and the cat sawQ it.\n")
    dataset, lines = read(tmp_path, vocabulary="pieces:60", validation=tmp_path / "other.txt")
    assert dataset.validation is not None
    ids = dataset.validation.read(0, 10**6)
    assert dataset.text.vocabulary.decode(ids) == "the dog and the cat saw it.\n"
    assert len(ids) < 20
    assert any("left out 1 character of --validation" in line for line in lines)
    assert dataset.validation_text is not None
    assert dataset.validation_text.characters == 28


def test_documents_of_validation_with_unknown_labels_are_reported(tmp_path: Path) -> None:
    for folder, names in {"text": "ab", "other": "bc"}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.txt").write_text("the cat\nthe dog\n")
    dataset, lines = read(
        tmp_path,
        tmp_path / "text",
        documents="lines",
        label_from="file",
        validation=tmp_path / "other",
    )
    assert dataset.validation is not None
    assert dataset.validation.label_numbers is not None
    assert dataset.validation.label_numbers.tolist() == [2, 2, 0, 0]
    assert any("2 documents of --validation" in line for line in lines)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"vocabulary": "letters"}, "such as pieces:512"),
        ({"vocabulary": "pieces:0"}, "such as pieces:512"),
        ({"vocabulary": "bytes", "min_count": 3}, "--min-count 3 is for characters"),
        ({"min_count": 0}, "min_count must be at least 1"),
    ],
)
def test_what_is_refused(options: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        validated(TrainingOptions, **options)
