"""Read the rows of Parquet tables with pyarrow, the extra `parquet`."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ricorda.errors import TextError
from ricorda.text.division import Division, Row
from ricorda.text.file_names import unreadable
from ricorda.text.tables import SHOWN_COLUMNS, column, record_row

_BATCH_ROWS = 1024


def parquet_rows(
    name: str,
    path: Path,
    division: Division,
    *,
    needs_label: bool,
    progress: Callable[[int], None],
) -> Iterator[Row]:
    """Yield the rows of a Parquet table. Raises TextError."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise TextError(
            f"{name}: Parquet tables need pyarrow: pip install 'ricorda[parquet]', or export the "
            "table as CSV or JSON lines"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            columns = _columns(name, names, division, needs_label)
            named = _by_name(division, names)
            row = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                for record in batch.to_pylist():
                    row += 1
                    yield record_row(f"{name}, row {row}", record, named, needs_label)
        progress(path.stat().st_size)
    except OSError as error:
        raise unreadable(name, error) from error
    except (pyarrow.ArrowException, ValueError) as error:  # ValueError: text that is not UTF-8
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TextError(
            f"{name}: expected a Parquet table, but it cannot be read ({reason}): download it again"
        ) from error


def _columns(name: str, names: list[str], division: Division, needs_label: bool) -> list[str]:
    """Return the columns to read."""
    columns = []
    for option, field in (("--field", division.field), ("--label-field", division.label_field)):
        if field is None:
            continue
        place = column(names, field)
        found = names[place] if place is not None else field.split(".")[0]
        if names.count(found) > 1:
            raise TextError(
                f"{name}: expected one column {found!r} ({option}), got {names.count(found)}: "
                "rename one of them"
            )
        if found in names:
            columns.append(found)
        elif option == "--field" or needs_label:
            shown = ", ".join(repr(each[:30]) for each in names[:SHOWN_COLUMNS])
            raise TextError(
                f"{name}: expected a column {field!r} ({option}), got the columns {shown}: give "
                f"one of these names, or a position from 1 to {len(names)}"
            )
    return columns


def _by_name(division: Division, names: list[str]) -> Division:
    """Name the columns that were given by position."""

    def named(field: str | None) -> str | None:
        place = None if field is None else column(names, field)
        return field if place is None else names[place]

    return Division(
        division.kind, field=named(division.field) or "", label_field=named(division.label_field)
    )
