"""What a person compares of runs: their settings, and where each comes from."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ricorda.errors import RunError
from ricorda.runs import RunFolder
from ricorda.training.checkpoint.record import RunRecord, read_record

MODEL = ("cell", "hidden_size", "num_layers", "embedding_size")
TRAINING = (
    *("dropout", "recurrent_dropout", "input_dropout", "weight_decay", "averaging"),
    *("batch_size", "window", "learning_rate", "seed"),
)
SETTINGS = ("text", "vocabulary", *MODEL, "budget", *TRAINING)
"""The names of the settings that are compared, in the order in which they are shown."""


def record_of(run: RunFolder) -> RunRecord | None:
    """Read a run's config.json; None if it cannot be read."""
    try:
        return read_record(run)
    except (RunError, OSError):
        return None


def settings_of(record: RunRecord) -> dict[str, Any]:
    """What a person chooses between: text, network, budget, learning."""
    model, training = record.training.model, record.training
    return {
        "text": _names(record.text.texts),
        "vocabulary": record.text.vocabulary,
        **{name: getattr(model, name) for name in MODEL},
        "budget": str(training.budget),
        **{name: getattr(training, name) for name in TRAINING},
    }


def origins_of(record: RunRecord) -> dict[str, Any]:
    """The model that a run started from, and the run of which it is a branch, where there are."""
    origins = {"from": record.start, "branch": record.branch}
    return {name: each.as_provenance() for name, each in origins.items() if each is not None}


def differing(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of the settings in which runs are not all alike."""
    found = list(settings)
    return [name for name in SETTINGS if len({repr(each.get(name)) for each in found}) > 1]


def _names(texts: Iterable[str]) -> str:
    """The names of a run's texts, without their folders."""
    return ", ".join(Path(name).name for name in texts)
