"""What dashboards show of a run, from its rows."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ricorda.durable import open_untrusting, write_atomically
from ricorda.errors import RunError
from ricorda.runs import RunFolder, read_rows
from ricorda.validation import parse_json

Row = Mapping[str, Any]

TRAINING = {
    "nats_per_character": "bits_per_character/training",
    "learning_rate": "learning_rate",
    "gradient_norm": "gradient_norm",
    "characters_per_second": "characters_per_second",
    "characters_seen": "characters_seen",
    "seconds": "seconds",
}
"""The name on a dashboard of each figure of a training row."""

EVALUATION = {
    "nats_per_character": "bits_per_character/validation",
    "raw_nats_per_character": "bits_per_character/validation_raw",
    "averaged_nats_per_character": "bits_per_character/validation_averaged",
}
"""The same of an evaluation."""

LONGEST_NAMES = 64 * 1024  # bytes of dashboards.json


@dataclass(frozen=True)
class Rows:
    """The rows of metrics.jsonl and samples.jsonl."""

    metrics: list[Row]
    samples: list[Row]

    def up_to(self, step: int) -> "Rows":
        """Return those of the first steps."""
        return Rows(
            [row for row in self.metrics if row["step"] <= step],
            [row for row in self.samples if row["step"] <= step],
        )


def rows_of(run: Path) -> Rows:
    """Read the rows of a run so far."""
    folder = RunFolder(run)
    return Rows(list(read_rows(folder.metrics)), list(read_rows(folder.samples)))


def figures_of(row: Row) -> dict[str, float]:
    """Return the finite figures of a row by their names on a dashboard, losses in bits."""
    if row.get("event") == "ended":
        parts = {name: row.get(name) or {} for name in ("validation", "test")}
        found = {f"final/{name}": part.get("bits_per_character") for name, part in parts.items()}
    else:
        names = {"training": TRAINING, "evaluation": EVALUATION}.get(row.get("event", ""), {})
        found = {
            shown: _in_bits(name, row[name])
            for name, shown in names.items()
            if row.get(name) is not None
        }
    return {name: each for name, each in found.items() if each is not None and math.isfinite(each)}


def _in_bits(name: str, value: float) -> float:
    return value / math.log(2) if "nats" in name else float(value)


def shown_settings(settings: Mapping[str, Any]) -> dict[str, str | float | bool]:
    """Return the settings that have a value, lists as text."""
    return {
        name: value if isinstance(value, str | int | float) else ", ".join(map(str, value))
        for name, value in settings.items()
        if value is not None and value not in ((), [])
    }


def known_as(run: Path, dashboard: str) -> str | None:
    """Return the name by which a dashboard knows a run; None if it does not yet."""
    try:
        with open_untrusting(RunFolder(run).dashboards) as file:
            names = parse_json(file.read(LONGEST_NAMES + 1), longest=LONGEST_NAMES)
        name = names[dashboard]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return name if isinstance(name, str) else None


def remember(run: Path, dashboard: str, name: str) -> None:
    """Write the name into dashboards.json, for a resume. Raises RunError if the disk refuses."""
    names = {each: known_as(run, each) for each in ("mlflow", "wandb")} | {dashboard: name}
    kept = {each: name for each, name in names.items() if name is not None}
    try:
        write_atomically(RunFolder(run).dashboards, (json.dumps(kept) + "\n").encode())
    except OSError as error:
        raise RunError(f"cannot write {RunFolder(run).dashboards}: {error.strerror}") from error
