"""The rows of a run as tables for other programs: CSV, JSON lines or Parquet."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ricorda.errors import MissingExtra
from ricorda.runs import RunFolder, json_line, read_rows

TableName = Literal["metrics", "samples"]
TableFormat = Literal["csv", "parquet", "jsonl"]

FIRST = ("step", "event", "seconds", "characters_seen")
"""The columns that a table begins with, if it has them."""

Row = Mapping[str, Any]


def table_of(run: RunFolder, name: TableName) -> list[dict[str, Any]]:
    """Read the rows of metrics.jsonl or samples.jsonl, all with the same columns.

    A figure within another, such as the validation loss at the end, is a column
    `validation.nats_per_character`; a list becomes JSON. A cell without a value is None. The run
    may still be training. Raises RunError if the rows are damaged.
    """
    path = run.metrics if name == "metrics" else run.samples
    rows = [_flat(row) for row in read_rows(path)]
    columns = dict.fromkeys(name for row in rows for name in row)
    ordered = [*(name for name in FIRST if name in columns), *columns]
    return [{name: row.get(name) for name in dict.fromkeys(ordered)} for row in rows]


def _flat(row: Row, prefix: str = "") -> dict[str, Any]:
    """Return a row whose values are numbers, texts and None."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            shown = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
            found[f"{prefix}{name}"] = shown
    return found


def encoded(rows: Sequence[Row], kind: TableFormat) -> bytes:
    """Return the file's content. Raises MissingExtra for Parquet without pyarrow."""
    if kind == "csv":
        return _csv(rows)
    if kind == "jsonl":
        return b"".join(json_line(dict(row)) for row in rows)
    return _parquet(rows)


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["step"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _parquet(rows: Sequence[Row]) -> bytes:
    """A column of numbers holds numbers; one that mixes them with texts holds texts."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra(
            "Parquet tables need pyarrow: pip install 'ricorda[parquet]', or export CSV"
        ) from error
    columns = {}
    for name in rows[0] if rows else ["step"]:
        values = [row[name] for row in rows]
        if len({isinstance(value, str) for value in values if value is not None}) > 1:
            values = [None if value is None else str(value) for value in values]
        columns[name] = pyarrow.array(values)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink)
    return bytes(sink.getvalue().to_pybytes())
