"""The MODEL argument: a model file or a run's folder, by default the newest run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ricorda.errors import ModelFileError
from ricorda.runs import list_runs

if TYPE_CHECKING:
    from ricorda.engine import Model


def model_path(given: Path | None) -> Path:
    """The model that was named, else the newest run's. Raises ModelFileError if there is none."""
    if given is not None:
        return given
    for run in list_runs():
        if run.model.is_file():
            return run.path
    raise ModelFileError(
        "no model given and no run with one found under runs/: name a model file, "
        "or train one with `ricorda train my.txt`"
    )


def load_model(given: Path | None, **options: Any) -> "Model":
    """Load the model that was named, else the newest run's."""
    from ricorda.engine import load

    return load(model_path(given), **options)
