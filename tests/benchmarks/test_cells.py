"""The documentation's comparison of cells: its text, its picture and its table."""

import re
from pathlib import Path

from benchmarks.cells import BEGIN, END, library_text, markdown, measure, write_pages


def test_the_picture_and_the_table_are_those_of_the_comparison(tmp_path: Path) -> None:
    text = tmp_path / "my.txt"
    text.write_text("".join(f"{number} bottles of beer\n" for number in range(200)))
    picture = tmp_path / "cells.svg"
    done = measure(text, ["lstm", "gru"], minutes=0.005, seeds=2, folder=tmp_path, picture=picture)
    assert picture.read_text() == (done.folder / "chart.svg").read_text()
    head, rule, *rows = markdown(done).splitlines()
    assert head.startswith("| cell | bits/character |")
    assert re.fullmatch(r"\| --- (\| ---: )+\|", rule)
    assert [row.split(" | ")[0] for row in rows] == ["| lstm", "| gru"]
    page = tmp_path / "page.md"
    page.write_text(f"# Cells\n\n{BEGIN}\nold\n{END}\n\nMore.\n")
    write_pages(done, text, 0.005, {page: "{text}, {minutes} min, {seeds} seeds:"})
    table = f"{BEGIN}\nmy.txt, 0.005 min, 2 seeds:\n\n{markdown(done)}\n{END}"
    assert page.read_text() == f"# Cells\n\n{table}\n\nMore.\n"
    assert all(row.split(" | ")[1] == cell[1] for row, cell in zip(rows, done.table(), strict=True))


def test_anyone_has_the_text(tmp_path: Path) -> None:
    first, again = library_text(tmp_path / "one"), library_text(tmp_path / "two")
    assert 500_000 < first.stat().st_size <= 2_000_000
    assert first.read_bytes() == again.read_bytes()
    assert "def " in first.read_text("utf-8")
