"""Rows of tables, against the csv and json modules."""

import bz2
import csv
import gzip
import io
import json
import re
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import TextError
from ricorda.text import Document, ReadingSettings, find_sources, read_documents, reading, tables
from ricorda.text.division import Division
from ricorda.text.tables import format_of, rows

FIELDS = st.text("ab,\t\"'\n é猫", max_size=8)


def documents(path: Path, *, needs_label: bool = False, **options: Any) -> list[Document]:
    sources = find_sources([path], tables=True)
    return list(read_documents(sources, ReadingSettings(**options), needs_label=needs_label))


def texts(path: Path, **options: Any) -> list[str]:
    return [each.text for each in documents(path, **options)]


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8", newline="")
    return path


def error_of(path: Path, *, needs_label: bool = True, **options: Any) -> str:
    with pytest.raises(TextError) as caught:
        documents(path, needs_label=needs_label, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    return message.removeprefix(str(path))


def written(table: list[list[str]], delimiter: str) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(table)
    return file.getvalue()


@given(
    st.lists(st.lists(FIELDS, min_size=2, max_size=2), min_size=1, max_size=6),
    st.sampled_from([("csv", ","), ("tsv", "\t")]),
    st.integers(1, 9),
)
def test_what_csv_writes_is_read(table: list[list[str]], kind: tuple[str, str], size: int) -> None:
    ending, delimiter = kind
    text = written([["kind", "body"], *table], delimiter)
    pieces = [text[begin : begin + size] for begin in range(0, len(text), size)]
    division = Division.of("rows", "body", "kind")
    assert division is not None
    found = list(rows(f"t.{ending}", pieces, division, needs_label=True))
    assert [row.text for row in found] == [fields[1] for fields in table]
    labels = [re.sub(r"\s+", " ", fields[0]).strip() or None for fields in table]
    assert [row.label for row in found] == labels


@given(st.lists(st.fixed_dictionaries({"a": st.text(max_size=6)}), min_size=1, max_size=6))
def test_what_json_writes_is_read(records: list[dict[str, str]]) -> None:
    text = "".join(json.dumps({"b": record}, ensure_ascii=False) + "\n" for record in records)
    division = Division.of("rows", "b.a")
    assert division is not None
    found = [row.text for row in rows("t.jsonl", [text], division, needs_label=True)]
    assert found == [record["a"] for record in records]


@pytest.mark.parametrize(
    "name, format",
    [
        ("a/t.CSV", "csv"),
        ("t.csv.gz", "csv"),
        ("t.tsv.bz2", "tsv"),
        ("t.ndjson", "jsonl"),
        ("t.jsonl.zst", "jsonl"),
        ("t.parquet", "parquet"),
        ("standard input", None),
        ("csv", None),
    ],
)
def test_the_format_follows_the_name(name: str, format: str | None) -> None:
    assert format_of(name) == format


@pytest.mark.parametrize(
    "text, field",
    [("a,b\n1,x\n", "b"), ("a\tb\n1\tx\n", "b"), ('{"b": "x"}\n', "b"), ("b\nx", "b")],
)
def test_the_format_of_standard_input_follows_its_first_line(
    monkeypatch: pytest.MonkeyPatch, text: str, field: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = read_documents(find_sources(["-"]), ReadingSettings(field=field))
    assert [each.text for each in found] == ["x"]


def test_compressed_tables(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbfname,text\r\nx,"a\r\nb"\r\n'
    for path, content in (("t.csv.gz", gzip.compress(data)), ("t.csv.bz2", bz2.compress(data))):
        (tmp_path / path).write_bytes(content)
        assert texts(tmp_path / path, field="text") == ["a\nb"]
        assert texts(tmp_path / path, field="text", newlines="keep") == ["a\r\nb"]
        assert texts(tmp_path / path, field="name") == ["x"], "its name has no byte order mark"


def test_positions_need_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "emma,girl\noliver,boy\n")
    assert texts(path, field="1") == texts(path, field="0000000001") == ["emma", "oliver"]
    for field in ("0", "0000000000", "0000000003", "9" * 5000, "²"):
        with pytest.raises(TextError, match="expected a column"):
            texts(path, field=field)
    assert [each.label for each in documents(path, field="1", label_field="2")] == ["girl", "boy"]
    assert texts(write(tmp_path / "u.csv", "Text,kind\na,b\n"), field="1") == ["a"]
    assert texts(write(tmp_path / "v.csv", "given,born\nemma,2001\n"), field="1") == ["emma"]
    assert texts(write(tmp_path / "w.csv", "emma,2000\nava,2001\n"), field="1") == ["emma", "ava"]
    assert texts(write(tmp_path / "x.csv", "2,1\na,b\n"), field="2") == ["a"], "names come first"


def test_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"t": "a", "l": 3}\n\n{"t": "b", "l": null}\n')
    assert [each.label for each in documents(path, field="t", label_field="l")] == ["3", None]
    assert [each.label for each in documents(path, field="t", label_from="file")] == ["t", "t"]
    later = write(tmp_path / "later.jsonl", '{"t": "a"}\n')
    assert [each.label for each in documents(later, field="t", label_field="l")] == [None]
    assert "expected a field 'l' (--label-field)" in error_of(later, field="t", label_field="l")
    table = write(tmp_path / "later.csv", "t\na\n")
    assert [each.label for each in documents(table, field="t", label_field="l")] == [None]
    assert "expected a column 'l' (--label-field)" in error_of(table, field="t", label_field="l")


def test_empty_fields_and_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"t": ""}\n{"t": null}\n{"t": "a\\r\\nb\\n"}\n{"t": 1.5}\n')
    assert texts(path, field="t") == ["a\nb", "1.5"]
    assert texts(path, field="t", newlines="keep") == ["a\r\nb", "1.5"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a,b\n1,2\n3\n", ", line 3: expected 2 fields as in the first row, got 1: put quotes"),
        ("a,b\n1,2,3\n", ", line 2: expected 2 fields as in the first row, got 3"),
        ("c,d\n1,2\n", ", line 1: expected a column 'b' (--field), got the columns 'c', 'd'"),
        ("b,a,b\n1,2,3\n", ", line 1: expected one column 'b' (--field), got 2: give its position"),
        ('a,b\n1,"2\n3,4\n', ", in the row that begins on line 2: expected a field in quotes"),
        ('a,b\n\n1,2\n3,"4"5\n', ", in the row that begins on line 4: expected a field in quotes"),
    ],
)
def test_errors_of_csv(tmp_path: Path, text: str, message: str) -> None:
    assert error_of(write(tmp_path / "t.csv", text), field="b").startswith(message)


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "expected an object in JSON, got '{'"),
        ("[1]", "expected an object in JSON such as"),
        ('{"a": 1}', "expected a field 'b' (--field), got the fields 'a'"),
        ("{}", "expected a field 'b' (--field), got the fields of an empty object"),
        ('{"b": []}', "expected text in the field 'b', got a list"),
        ('{"b": {"c": 1}}', "expected text in the field 'b', got an object"),
        ('{"b": "\\ud800"}', "expected text, got U+D800, half of a surrogate pair"),
        ("[" * 10**5, "expected an object in JSON"),
    ],
)
def test_errors_of_json(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "t.jsonl", f'{{"b": "fine"}}\n\n{line}\n')
    assert error_of(path, field="b").startswith(f", line 3: {message}")


def test_an_empty_table(tmp_path: Path) -> None:
    assert texts(write(tmp_path / "t.csv", ""), field="a") == []
    assert texts(write(tmp_path / "t.jsonl", "\n"), field="a") == []


def test_a_line_without_an_end_and_a_field_without_an_end_are_refused(tmp_path: Path) -> None:
    huge = write(tmp_path / "t.csv", "a\n" + "x" * 5000)
    with patch.object(tables, "LARGEST_FIELD", 1000), patch.object(reading, "PIECE_BYTES", 500):
        assert "expected a table with lines of at most 1,000 characters" in error_of(
            huge, field="a"
        )


def test_a_long_field_is_read(tmp_path: Path) -> None:
    long = "x" * 300_000  # beyond the csv module's own limit
    assert texts(write(tmp_path / "t.csv", f"a\n{long}\n"), field="a") == [long]


def test_parquet_without_pyarrow_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with patch.dict(sys.modules, {"pyarrow": None}):
        message = error_of(tmp_path / "t.parquet", field="a")
    assert message.startswith(": Parquet tables need pyarrow: pip install 'ricorda[parquet]'")


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    records = [{"b": f"text {number}\n"} for number in range(3000)]
    columns = {"text": [each["b"] for each in records], "a": records, "kind": [1, 2, None] * 1000}
    parquet.write_table(pyarrow.table(columns), path)
    expected = [f"text {number}" for number in range(3000)]
    for field in ("text", "1", "a.b"):
        assert texts(path, field=field) == expected
    found = documents(path, field="text", label_field="kind")
    assert [each.label for each in found[:3]] == ["1", "2", None]
    assert ": expected a column 'c' (--field), got the columns 'text', 'a'" in error_of(
        path, field="c"
    )
    assert ", row 1: expected text in the field 'a', got an object" in error_of(path, field="a")
    twice = pyarrow.table([["x"], ["y"]], names=["a", "a"])
    parquet.write_table(twice, path)
    for field in ("a", "2"):
        assert ": expected one column 'a' (--field), got 2: rename one" in error_of(
            path, field=field
        )
    amounts, days = [Decimal("2.50")], [date(2026, 11, 30)]
    parquet.write_table(pyarrow.table({"amount": amounts, "day": days, "raw": [b"a"]}), path)
    assert texts(path, field="amount") == ["2.50"]
    assert texts(path, field="day") == ["2026-11-30"]
    assert "got a value of the type bytes" in error_of(path, field="raw")
    offsets, data = np.array([0, 1], np.int32), np.array([0xFF], np.uint8)
    buffers = [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(data)]
    broken = pyarrow.StringArray.from_buffers(1, *buffers[1:])
    parquet.write_table(pyarrow.table({"a": broken}), path)
    assert error_of(path, field="a").startswith(": expected a Parquet table")
    path.write_bytes(b"PAR1 and nothing else PAR1")
    assert error_of(path, field="a").startswith(": expected a Parquet table")


def test_folders_keep_parquet_tables_where_a_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1\x15\x04")
    assert len(ReadingSettings(field="a").find([tmp_path])) == 1
    with pytest.raises(TextError, match="a folder without text"):
        ReadingSettings().find([tmp_path])


def test_real_tables(data: Path) -> None:
    path = data / "chess_openings" / "a.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file, delimiter="\t"))
    found = documents(path, field="name", label_field="eco", needs_label=True)
    assert [(each.text, each.label) for each in found] == [
        (row["name"], row["eco"]) for row in expected
    ]
    path = data / "jsonl" / "gsm8k_train_1200.jsonl"
    lines = path.read_text("utf-8").splitlines()
    assert texts(path, field="answer") == [json.loads(line)["answer"] for line in lines]
