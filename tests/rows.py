"""Rows of metrics.jsonl and samples.jsonl that a test writes."""

from pathlib import Path
from typing import Any

from ricorda.durable import append
from ricorda.runs import json_line


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add one JSON line."""
    append(path, json_line(row))
