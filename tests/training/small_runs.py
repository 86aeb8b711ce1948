"""Small runs for tests: a text, options that make a run short, and the rows that it leaves."""

from collections.abc import Callable
from typing import Any

from ricorda.runs import RunFolder, read_rows
from ricorda.training import Run

BOTTLES = "".join(f"{number} bottles of beer on the wall\n" for number in range(100, 0, -1))

SHORT: dict[str, Any] = {
    **{"batch_size": 4, "window": 8, "steps": 8, "threads": 1, "precision": "float32"},
}
SMALL: dict[str, Any] = SHORT | {"hidden_size": 6, "embedding_size": 5}

Learn = Callable[..., Run]
"""Begins a run of named texts, with options besides those above."""

WALL_CLOCK = {"seconds", "characters_per_second", "train_seconds", "run", "model"}


def rows(run: Run) -> list[dict[str, Any]]:
    """Every row, without what the clock decides."""
    return [
        {name: value for name, value in row.items() if name not in WALL_CLOCK}
        for row in read_rows(RunFolder(run.folder).metrics)
    ]
