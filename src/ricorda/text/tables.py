"""Read the rows of tables: CSV, TSV and JSON lines.

The format follows the file's name, or its first line where the name does not say. Rows are read
one after another, in bounded memory. A row with another number of fields than the first one, or a
quote that never ends, is an error: reading on would learn fields of other columns.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from itertools import chain, islice
from pathlib import PurePath
from typing import Any, Literal

from ricorda.errors import TextError
from ricorda.text.compression import without_suffixes
from ricorda.text.division import Division, Row, clean_label

TableFormat = Literal["csv", "tsv", "jsonl", "parquet"]

LARGEST_FIELD = 64 << 20
"""Characters of a field, or of a line of JSON."""

_FORMATS: dict[str, TableFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_DELIMITERS: dict[str, str] = {"csv": ",", "tsv": "\t"}
_LOOKED_AT = 50  # rows that show whether the first one is a header
_USUAL_NAMES = {
    *("text", "texts", "name", "names", "title", "titles", "content", "body", "sentence"),
    *("message", "comment", "document", "label", "labels", "class", "category", "language"),
    *("id", "url"),
}
SHOWN_COLUMNS = 8
"""Columns that a message names."""


def format_of(name: str) -> TableFormat | None:
    """Return the format that a file's name shows, below a suffix of compression; None if none."""
    return _FORMATS.get(PurePath(without_suffixes(PurePath(name).name)).suffix.lower())


def rows(
    name: str, pieces: Iterable[str], division: Division, *, needs_label: bool
) -> Iterator[Row]:
    """Yield the rows of a table of text that comes in pieces.

    needs_label: whether a table without the column of labels is an error.
    Raises TextError, naming the row or line, for what is not as expected.
    """
    lines = _lines(name, pieces)
    first = next(lines, None)
    if first is None:
        return iter(())
    lines = chain([first], lines)
    format = format_of(name) or _format_of_line(first)
    if format == "jsonl":
        return _json_rows(name, lines, division, needs_label)
    return _Delimited(name, format, division, needs_label).rows(lines)


def _format_of_line(line: str) -> TableFormat:
    if line.lstrip().startswith("{"):
        return "jsonl"
    return "tsv" if "\t" in line else "csv"


def _lines(name: str, pieces: Iterable[str]) -> Iterator[str]:
    """Yield lines with their line ends (LF), of bounded length."""
    held: list[str] = []
    size = 0
    for piece in pieces:
        begin = 0
        while end := piece.find("\n", begin) + 1:
            yield "".join([*held, piece[begin:end]])
            held, size, begin = [], 0, end
        held.append(piece[begin:])
        size += len(held[-1])
        if size > LARGEST_FIELD:
            raise TextError(
                f"{name}: expected a table with lines of at most {LARGEST_FIELD:,} characters, got "
                "a longer one: check that it is a table, or leave out --field"
            )
    if size:
        yield "".join(held)


class _Delimited:
    """The rows of a CSV or TSV table."""

    def __init__(
        self, name: str, format: TableFormat, division: Division, needs_label: bool
    ) -> None:
        self._name, self._format, self._division = name, format, division
        self._needs_label = needs_label

    def rows(self, lines: Iterable[str]) -> Iterator[Row]:
        csv.field_size_limit(max(csv.field_size_limit(), LARGEST_FIELD))
        reader = csv.reader(lines, delimiter=_DELIMITERS[self._format], strict=True)
        records = self._records(reader)
        looked_at = list(islice(records, _LOOKED_AT))
        if not looked_at:
            return
        text, label, has_header = self._columns([fields for _, fields in looked_at])
        width = len(looked_at[0][1])
        for line, fields in chain(looked_at[has_header:], records):
            if len(fields) != width:
                raise self._ragged(line, width, len(fields))
            place = f"{self._name}, line {line}"
            _check_text(fields[text], place)
            yield Row(fields[text], None if label is None else clean_label(fields[label], place))

    def _records(self, reader: Any) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows that are not blank, with the line on which each begins."""
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise self._malformed(line, error) from error
            if fields is None:
                return
            if fields:
                yield line, fields

    def _columns(self, looked_at: list[list[str]]) -> tuple[int, int | None, bool]:
        """Return the columns of the text and of the label, and whether a header names them."""
        names = [name.strip() for name in looked_at[0]]
        text = self._column("--field", self._division.field, names, is_needed=True)
        assert text is not None, "it was needed"
        label_field = self._division.label_field
        label = None
        if label_field is not None:
            label = self._column("--label-field", label_field, names, is_needed=self._needs_label)
        named = self._division.field in names or label_field in names
        has_header = named or _looks_like_header(names, looked_at[1:], text)
        return text, label, has_header

    def _column(self, option: str, field: str, names: list[str], *, is_needed: bool) -> int | None:
        """Return the number of a column from 0; None where there is none and none is needed."""
        count = names.count(field)
        if count > 1 and position(names, field) is None:
            raise TextError(
                f"{self._name}, line 1: expected one column {field!r} ({option}), got {count}: "
                f"give its position, from 1 to {len(names)}"
            )
        found = column(names, field)
        if found is None and is_needed:
            shown = ", ".join(repr(name[:30]) for name in names[:SHOWN_COLUMNS])
            more = f" and {len(names) - SHOWN_COLUMNS} more" * (len(names) > SHOWN_COLUMNS)
            raise TextError(
                f"{self._name}, line 1: expected a column {field!r} ({option}), got the columns "
                f"{shown}{more}: give one of these names, or a position from 1 to {len(names)}"
            )
        return found

    def _ragged(self, line: int, width: int, found: int) -> TextError:
        what = "field" if width == 1 else "fields"
        return TextError(
            f"{self._name}, line {line}: expected {width} {what} as in the first row, got {found}: "
            f"put quotes around fields that hold {_SPELLED[self._format]}, or repair the row"
        )

    def _malformed(self, line: int, error: csv.Error) -> TextError:
        return TextError(
            f"{self._name}, in the row that begins on line {line}: expected a field in quotes to "
            f"end with its quote, and quotes in it to be doubled ({error}): repair the row"
        )


_SPELLED = {"csv": "commas", "tsv": "tabs"}


def column(names: list[str], field: str) -> int | None:
    """Return the number of a column from 0, by its name or its position from 1; None if none."""
    return names.index(field) if field in names else position(names, field)


def position(names: list[str], field: str) -> int | None:
    """Return the number of a column from 0 by its position from 1; None where there is none."""
    digits = field.lstrip("0")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return None
    return int(digits) - 1 if int(digits) <= len(names) else None


def _looks_like_header(names: list[str], following: list[list[str]], text: int) -> bool:
    """Guess whether the first row, of which only positions were given, holds names.

    It does if its field of the text is a usual name of a column, or if a column of numbers has no
    number there.
    """
    if names[text].lower() in _USUAL_NAMES:
        return True
    same = [fields for fields in following if len(fields) == len(names)]
    return bool(same) and any(
        not _is_number(name) and name and all(_is_number(fields[place]) for fields in same)
        for place, name in enumerate(names)
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _json_rows(
    name: str, lines: Iterable[str], division: Division, needs_label: bool
) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TextError(
                f"{place}: expected an object in JSON, got {line.strip()[:40]!r} ({error}): repair "
                "the line"
            ) from error
        if not isinstance(record, dict):
            raise TextError(
                f"{place}: expected an object in JSON such as {{{division.field!r}: ...}}, got "
                f"{line.strip()[:40]!r}"
            )
        yield record_row(place, record, division, needs_label)


def record_row(place: str, record: dict[str, Any], division: Division, needs_label: bool) -> Row:
    """Return the document of a record. Raises TextError, naming the place, if it has none."""
    text = _as_text(_member(record, division.field, place, "--field"), division.field, place)
    _check_text(text, place)
    if division.label_field is None:
        return Row(text, None)
    try:
        found = _member(record, division.label_field, place, "--label-field")
    except TextError:
        if needs_label:
            raise
        return Row(text, None)
    return Row(text, clean_label(_as_text(found, division.label_field, place), place))


def _member(record: dict[str, Any], field: str, place: str, option: str) -> Any:
    """Return a value by its key, or by keys of nested objects: `a.b`."""
    if field in record:
        return record[field]
    found: Any = record
    for key in field.split("."):
        if not isinstance(found, dict) or key not in found:
            shown = ", ".join(repr(each[:30]) for each in list(record)[:SHOWN_COLUMNS])
            raise TextError(
                f"{place}: expected a field {field!r} ({option}), got the fields "
                f"{shown or 'of an empty object'}: give one of these names (a.b for b in a)"
            )
        found = found[key]
    return found


def _as_text(value: object, field: str, place: str) -> str:
    """Return text as it is, numbers and truth values as JSON, times as ISO 8601, "" for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Decimal | date):  # of Parquet
        return str(value)
    names: dict[type, str] = {list: "a list", dict: "an object"}
    got = names.get(type(value), f"a value of the type {type(value).__name__}")
    raise TextError(
        f"{place}: expected text in the field {field!r}, got {got}: name a field with text in it "
        "(a.b for b in a)"
    )


def _check_text(text: str, place: str) -> None:
    """Refuse halves of UTF-16 pairs, which JSON may escape and no text can hold."""
    try:
        text.isascii() or text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextError(
            f"{place}: expected text, got U+{ord(text[error.start]):04X}, half of a surrogate "
            "pair: repair the row"
        ) from error
