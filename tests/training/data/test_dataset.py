"""What `locate` reports of the files of a training."""

import shutil
from pathlib import Path

import pytest

from ricorda.training.data.dataset import locate
from ricorda.training.options import TrainingOptions

ALSO_TRAINED_ON = "is also trained on"


def said(texts: list[Path], validation: Path) -> list[str]:
    lines: list[str] = []
    locate([str(text) for text in texts], TrainingOptions(validation=validation), lines.append)
    return [line for line in lines if ALSO_TRAINED_ON in line]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        path = tmp_path / "texts" / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(name * 100)
    return tmp_path / "texts" / "a.txt"


def test_a_validation_file_that_is_also_trained_on_is_reported(text: Path) -> None:
    expected = f"warning: --validation {text} is also trained on: "
    for texts in ([text], [text.with_name("b.txt"), text], [text.parent]):
        (line,) = said(texts, text)
        assert line.startswith(expected)


@pytest.mark.parametrize("kind", ["copy", "hard link", "symbolic link"])
def test_so_is_a_copy_or_a_link_of_it(text: Path, tmp_path: Path, kind: str) -> None:
    other = tmp_path / "other.txt"
    if kind == "copy":
        shutil.copy(text, other)
    elif kind == "hard link":
        other.hardlink_to(text)
    else:
        other.symlink_to(text)
    assert len(said([text], other)) == 1


def test_a_validation_folder_with_a_shared_file(text: Path, tmp_path: Path) -> None:
    (tmp_path / "validation").mkdir()
    shutil.copy(text, tmp_path / "validation")
    (tmp_path / "validation" / "new.txt").write_text("new")
    assert len(said([text.parent], tmp_path / "validation")) == 1


def test_another_text_of_the_same_size_is_no_copy(text: Path) -> None:
    assert said([text.with_name("b.txt")], text) == []
