"""Tables and paragraphs, by the terminal's width."""

import re

import pytest
from rich.cells import cell_len

from ricorda.cli.tables import print_paragraph, print_table

COLUMNS = ["unit", "tracks", ">effect", ">control"]
ROWS = [["0:121", "in an uppercase word", "0.994", "0.032"]]
SPARE = (">control", ">effect")


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    """A terminal of so many columns."""
    width: int = request.param
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": str(width)}.items():
        monkeypatch.setenv(name, value)
    return width


@pytest.mark.parametrize(
    "terminal, columns", [(60, 4), (33, 4), (32, 3), (24, 3), (23, 2)], indirect=["terminal"]
)
def test_spare_columns_go_where_the_terminal_is_narrow(
    capsys: pytest.CaptureFixture[str], terminal: int, columns: int
) -> None:
    print_table(COLUMNS, ROWS, SPARE)
    heading, *lines = printed(capsys)
    assert heading.split() == [name.lstrip(">") for name in COLUMNS[:columns]]
    assert max(map(cell_len, lines)) <= terminal
    assert lines[0].startswith("0:121")


@pytest.mark.parametrize("terminal", [40], indirect=True)
def test_a_paragraph_is_broken_between_words(
    capsys: pytest.CaptureFixture[str], terminal: int
) -> None:
    print_paragraph("one two three " * 6, hanging="  ")
    first, *others = printed(capsys)
    assert max(map(len, [first, *others])) <= terminal
    assert all(line.startswith("  ") for line in others)
    assert set(" ".join([first, *others]).split()) == {"one", "two", "three"}


def test_nothing_is_broken_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS * 2, SPARE)
    print_paragraph("word " * 100)
    assert len(printed(capsys)) == 4


def test_a_narrow_table_breaks_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    settings = "hidden_size=128, recurrent_dropout=0.3, weight_decay=0.1"
    note = "first try, 24 s"
    for width in range(44, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(["run", ">bits", "differs", "note"], [["runs/a", "2.5", settings, note]])
        out = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
        assert max(len(line.rstrip()) for line in out.splitlines()) <= width
        words = ["runs/a", "2.5", *settings.split(), *note.split()]
        assert sorted(out.split()) == sorted(["run", "bits", "differs", "note", *words]), width
