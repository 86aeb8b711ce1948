"""Dividing texts that come in any pieces, against whole-text references."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ricorda.errors import ConfigurationError, TextError
from ricorda.text import Source
from ricorda.text.archives import Member
from ricorda.text.boundaries import MARK, MOST_LABELS, Labels, mark
from ricorda.text.division import (
    LONGEST_BLANK,
    Divider,
    Division,
    Row,
    clean_label,
    label_of,
    parse_separator,
)

A_TEXT = Source("a text", None)
SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def pieces_of(text: str, sizes: list[int]) -> Iterator[str]:
    begin = number = 0
    while begin < len(text):
        end = begin + sizes[number % len(sizes)]
        yield text[begin:end]
        begin, number = end, number + 1


def divided(
    text: str, sizes: list[int], documents: str, *, keep: bool = False
) -> tuple[list[str], int]:
    """The documents, and how many were left out as empty."""
    division = Division.of(documents)
    assert division is not None
    divider = Divider(division, Labels(), keeps_line_ends=keep)
    found = list(divider.marked(A_TEXT, pieces_of(text, sizes)))
    assert "" not in found
    whole = "".join(found)
    first = "\n" if division.marks_line_feeds else MARK
    assert not whole or whole.startswith(first)
    return whole.split(first)[1:], divider.empty


def without_end(text: str, *, keep: bool = False) -> str:
    return re.sub(r"\r?\n\Z" if keep else r"\n\Z", "", text)


@given(st.text("ab \n", max_size=30), SIZES)
def test_lines_are_the_lines_that_are_not_empty(text: str, sizes: list[int]) -> None:
    lines = text.split("\n")[: None if text and not text.endswith("\n") else -1]
    found, empty = divided(text, sizes, "lines")
    assert found == [line for line in lines if line]
    assert empty == lines.count("")


@given(st.text("aé\r\n", max_size=30), SIZES)
def test_lines_with_kept_line_ends_end_at_lf_or_cr_lf(text: str, sizes: list[int]) -> None:
    found, _ = divided(text, sizes, "lines", keep=True)
    assert found == [line for line in re.split(r"\r?\n", text) if line]


def paragraphs_of(text: str) -> list[str]:
    """The runs of lines between blank lines."""
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip(" \t"):
            found[-1].append(line)
        else:
            found.append([])
    return ["\n".join(lines) for lines in found if lines]


@given(st.text("ab \t\n", max_size=40), SIZES)
@example("  a\n\n \n b \n c\n   ", [1])
def test_paragraphs_are_the_runs_of_lines_that_are_not_blank(text: str, sizes: list[int]) -> None:
    found, empty = divided(text, sizes, "paragraphs")
    assert found == paragraphs_of(text)
    assert empty == 0


def test_a_paragraph_keeps_a_line_of_spaces_that_is_too_long_for_memory() -> None:
    long = " " * (2 * LONGEST_BLANK)
    assert divided(f"a\n{long}\nb", [1 << 18], "paragraphs") == ([f"a\n{long}\nb"], 0)
    assert divided("a" + "\n" * 10**6 + "b", [1000], "paragraphs") == (["a", "b"], 0)


@given(st.text("ab\n", max_size=30), st.text("ab\n", min_size=1, max_size=4), SIZES)
@example("aaa", "aa", [1])
def test_a_separator_divides_as_split_does(text: str, separator: str, sizes: list[int]) -> None:
    escaped = separator.replace("\n", "\\n")
    parts = [without_end(part) for part in text.split(separator)]
    found, empty = divided(text, sizes, f"separator:{escaped}")
    assert found == [part for part in parts if part]
    assert empty == parts[:-1].count("")


@given(st.text("a\r\n", max_size=12), SIZES, st.booleans())
def test_a_file_loses_its_final_line_end(text: str, sizes: list[int], keep: bool) -> None:
    text = text if keep else text.replace("\r", "")
    expected = without_end(text, keep=keep)
    found, empty = divided(text, sizes, "files", keep=keep)
    assert found == ([expected] if expected else [])
    assert empty == (not expected)


@given(st.lists(st.sampled_from(["a", "\r\n|", "\n|", "|", "\r", "\n\r\n|"]), max_size=8), SIZES)
def test_one_line_end_goes_before_a_separator_with_kept_line_ends(
    parts: list[str], sizes: list[int]
) -> None:
    text = "".join(parts)
    found, _ = divided(text, sizes, "separator:|", keep=True)
    expected = [without_end(part, keep=True) for part in text.split("|")]
    assert found == [part for part in expected if part]


def test_labels_stand_in_the_marks() -> None:
    labels = Labels()
    division = Division.of("lines", label_from="file")
    assert division is not None
    divider = Divider(division, labels, keeps_line_ends=False)
    first = Source("Dutch.txt", Path("names/Dutch.txt"))
    second = Source("Irish.txt.gz", Path("names/Irish.txt.gz"))
    assert list(divider.marked(first, ["Aalst\n\nBos\n"])) == [f"{mark(1)}Aalst{mark(1)}Bos"]
    assert list(divider.marked(second, ["Adam"])) == [f"{mark(2)}Adam"]
    assert labels.names == ["Dutch", "Irish"]


def test_rows_are_gathered_with_their_labels() -> None:
    division = Division.of("rows", "1", "2")
    assert division is not None
    divider = Divider(division, Labels(), keeps_line_ends=False)
    rows = [Row("a", "x"), Row("", "never seen"), Row("b\n", None), Row("c", "x")]
    marked = "".join(divider.marked_rows(A_TEXT, rows))
    assert marked == f"{mark(1)}a{mark()}b\n{mark(1)}c"
    assert divider.empty == 1


@pytest.mark.parametrize(
    "path, member, label_from, expected",
    [
        ("names/Dutch.txt", None, "folder", "names"),
        ("names/Dutch.v2.txt.gz", None, "file", "Dutch.v2"),
        ("data/names.tar.gz", "Dutch.txt", "folder", "names"),
        ("data/names.zip", "eu/Dutch.txt", "folder", "eu"),
        ("data/names.zip", "eu/Dutch.txt", "file", "Dutch"),
        ("Du\x1btch\u202e\n.txt", None, "file", "Dutch"),
        ("caff\udce8.txt", None, "file", "caff\\xe8"),
    ],
)
def test_labels_from_names(path: str, member: str | None, label_from: str, expected: str) -> None:
    inside = None if member is None else Member(0, member, 1)
    source = Source("x", Path(path), inside)
    assert label_of(source, label_from) == expected  # type: ignore[arg-type]


def test_labels_are_cleaned_and_limited() -> None:
    assert clean_label(" a \t b\0 ", "here") == "a b"
    assert clean_label("\x1b\u200b", "here") is None
    assert clean_label("e\u0301", "here") == "é"
    with pytest.raises(
        TextError, match=r"a\.csv, line 2: expected labels of at most 200 characters"
    ):
        clean_label("x" * 201, "a.csv, line 2")


def test_too_many_labels_say_what_looks_wrong() -> None:
    labels = Labels()
    for number in range(MOST_LABELS):
        assert labels.number(f"{number}") == number + 1
    assert labels.number("7") == 8
    assert labels.number(None) == 0
    with pytest.raises(TextError, match=r"t.csv: expected at most 1,000 labels.*'more', after '0'"):
        labels.number("more", "t.csv")


def test_final_labels_are_sorted_and_known_ones_keep_their_numbers() -> None:
    labels = Labels()
    assert [labels.number(name) for name in ("b", "c", "a")] == [1, 2, 3]
    names, numbers = labels.final()
    assert names == ("a", "b", "c")
    assert numbers.tolist() == [0, 2, 3, 1]
    known = Labels(("b", "a"))
    assert [known.number(name) for name in ("a", "z", "z")] == [2, 0, 0]
    assert known.final()[0] == ("b", "a")


@pytest.mark.parametrize(
    "typed, expected",
    [("---", "---"), (r"\n\n", "\n\n"), (r"a\\n", "a\\n"), (r"\x1e\u2028\t", "\x1e\u2028\t")],
)
def test_separators_have_escapes(typed: str, expected: str) -> None:
    assert parse_separator(typed) == expected


@pytest.mark.parametrize("typed", ["", r"\q", "\\", r"\x1", r"\ud800", "x" * 1001])
def test_separators_that_are_none(typed: str) -> None:
    with pytest.raises(ConfigurationError, match="--documents separator:"):
        parse_separator(typed)


@pytest.mark.parametrize(
    "settings, message",
    [
        (("line",), "expected auto, text, files, lines"),
        (("separator",), "expected auto, text, files, lines"),
        (("lines", "text"), "leave out --documents lines"),
        (("rows",), "name the column with the text by --field"),
        (("auto", None, "label"), "name the column with the text too"),
        (("rows", "a", "b", "file"), "give one of them"),
        (("text", None, None, "file"), "leave out --documents text"),
        (("rows", ""), "expected the name or the position"),
    ],
)
def test_settings_that_contradict(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Division.of(*settings)  # type: ignore[arg-type]
