"""Recognizing texts that are lists or tables."""

from pathlib import Path

import pytest

from ricorda.text import document_hint, encode_sources, find_sources
from ricorda.text.lists import looks_like_list

HERE = Path(__file__).parents[2]


def hint(path: Path, folder: Path) -> str | None:
    text = encode_sources(find_sources([path]), vocabulary="characters", folder=folder)
    return document_hint(text)


@pytest.mark.parametrize("name", ["names/names.txt", "names/by_language/Russian.txt"])
def test_lists_look_like_lists(data: Path, tmp_path: Path, name: str) -> None:
    line = hint(data / name, tmp_path)
    assert line == f"{data / name} looks like a list: --documents lines makes each line a document"


@pytest.mark.parametrize(
    "name",
    [
        "tinyshakespeare/input.txt",
        "war_and_peace/war_and_peace_2600-0.txt",
        "chinese/wujue-all.txt",
        "japanese/neko.txt",
        "greek/byz_nt.txt",
        "italian/divina_commedia_clean.txt",
        "italian/divina_commedia_pg1012.txt",
        "canterbury/plrabn12.txt",
        "canterbury/alice29.txt",
        "dna/phix.fa",
    ],
)
def test_prose_verses_and_sequences_do_not(data: Path, tmp_path: Path, name: str) -> None:
    assert hint(data / name, tmp_path) is None


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "pyproject.toml", "src/ricorda/text/lists.py"])
def test_code_and_markdown_do_not(tmp_path: Path, name: str) -> None:
    assert hint(HERE / name, tmp_path) is None


def test_tables_are_known_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\nc,d\n")
    assert "--field NAME makes each row a document" in (hint(tmp_path / "t.csv", tmp_path) or "")


def test_what_is_divided_or_several_files_gets_no_hint(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("Anna\n" * 100)
    assert hint(tmp_path / "names.txt", tmp_path) is not None
    assert hint(tmp_path, tmp_path) is None


def test_a_few_lines_show_too_little() -> None:
    assert looks_like_list("emma\n" * 50)
    assert not looks_like_list("emma\n" * 49)
    assert not looks_like_list("")


@pytest.mark.parametrize(
    "line",
    ["    indented", "a sentence.", "one two three four five", "x" * 80, "- an item", "a;", "a\n"],
)
def test_lines_that_continue_or_are_marked_are_no_list(line: str) -> None:
    assert not looks_like_list(f"{line}\n" * 100)
