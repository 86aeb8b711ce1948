"""Weights & Biases, offline: nothing leaves the machine before `wandb sync` is called.

What was written cannot be taken back, and a killed run repeats steps. So each session writes all
rows of the run anew, under the same id: the newest folder has the whole run, each step once.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ricorda.training.report.dashboards.figures import (
    Row,
    Rows,
    figures_of,
    known_as,
    remember,
    rows_of,
    shown_settings,
)
from ricorda.training.report.progress import Silent


class WeightsAndBiases(Silent):
    """Writes losses, rates, the gradient's norm, speed, samples and settings into RUN/wandb."""

    _run: Any = None
    """The run in the library of Weights & Biases, while it is open."""

    def began(self, run: Path, settings: Mapping[str, Any], step: int) -> None:
        """Begin the run, or continue it under the same id."""
        self._path, self._settings = run, shown_settings(settings)
        self._rows = rows_of(run)
        self._id = known_as(run, "wandb")
        if self._id is None:
            self._id = secrets.token_hex(4)
            remember(run, "wandb", self._id)
        self._start()

    def logged(self, row: Row) -> None:
        """Log the figures of a row; a return to a checkpoint begins a folder without the rest."""
        if row.get("event") == "returned":
            self._rows = self._rows.up_to(row["step"])
            self.finished()
            self._start()
        self._rows.metrics.append(row)
        self._log(row["step"], figures_of(row))

    def sampled(self, step: int, text: str) -> None:
        """Log a sample."""
        self._rows.samples.append({"step": step, "text": text})
        self._log(step, {"sample": text})

    def finished(self) -> None:
        """End this session's folder."""
        if self._run is not None:
            self._run.finish()
            self._run = None

    def _start(self) -> None:
        """Begin a folder with all rows so far, in the order of their steps."""
        import wandb

        self._run = wandb.init(
            mode="offline",
            project="ricorda",
            name=self._path.resolve().name,
            id=self._id,
            dir=self._path,
            config=dict(self._settings),
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True
            ),
        )
        for step, values in _in_order(self._rows):
            self._log(step, values)

    def _log(self, step: int, values: Mapping[str, Any]) -> None:
        if values:
            self._run.log(dict(values), step=step)


def _in_order(rows: Rows) -> list[tuple[int, Mapping[str, Any]]]:
    """The figures and samples of rows, by step."""
    metrics = [(row["step"], figures_of(row)) for row in rows.metrics]
    samples = [(row["step"], {"sample": row["text"]}) for row in rows.samples]
    return sorted([*metrics, *samples], key=lambda entry: entry[0])
