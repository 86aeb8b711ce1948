"""Recognize ricorda's own files by content, so that a folder's runs are not learned as text."""

import json
import re
from pathlib import Path
from typing import Any, Literal

OwnFolder = Literal["a run of ricorda", "a cache"]

LARGEST_CONFIG = 16 << 20  # bytes; a run may name many texts
LARGEST_ROW = 1 << 16  # bytes of a row of figures that are looked at
PAGE_BYTES = 2048

_RUN_KEYS = frozenset({"format", "text", "training", "made_with"})
_CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/
_PAGE = re.compile(rb'<meta name="generator" content="ricorda [^"<>]{1,50}">')


def own_folder(folder: Path, names: list[str]) -> OwnFolder | None:
    """Return what a folder with these names in it is, a run or a cache; None if neither."""
    if "config.json" in names and _is_config(folder / "config.json"):
        return "a run of ricorda"
    if "metrics.jsonl" in names and "samples.jsonl" in names:  # a run that lost its config.json
        row = _parsed(_beginning(folder / "metrics.jsonl", LARGEST_ROW).partition(b"\n")[0])
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            return "a run of ricorda"
    is_tagged = "CACHEDIR.TAG" in names
    if is_tagged and _beginning(folder / "CACHEDIR.TAG", 64).startswith(_CACHE_TAG):
        return "a cache"
    return None


def is_own_page(head: bytes) -> bool:
    """Return whether a file begins like a report or another page that ricorda wrote."""
    return head.startswith(b"<!DOCTYPE html>") and _PAGE.search(head[:PAGE_BYTES]) is not None


def _is_config(path: Path) -> bool:
    found = _parsed(_beginning(path, LARGEST_CONFIG))
    return isinstance(found, dict) and found.keys() >= _RUN_KEYS


def _beginning(path: Path, size: int) -> bytes:
    """Return a regular file's first bytes; none if it is not regular or cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
