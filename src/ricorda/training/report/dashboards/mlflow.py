"""MLflow: a store on this machine, mlflow.db beside the run's folder, or MLFLOW_TRACKING_URI.

What was logged stays. A resume asks the store for the last step of each figure, and logs only
later ones: a killed run repeats its steps with the same losses.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ricorda.training.report.dashboards.figures import (
    Row,
    figures_of,
    known_as,
    remember,
    rows_of,
    shown_settings,
)
from ricorda.training.report.progress import Silent

EXPERIMENT = "ricorda"
LONGEST_VALUE = 500  # characters of a parameter that every store takes
ENDINGS = {"interrupted": "KILLED"}
"""The status of a run by its reason for stopping, if not FINISHED."""


class MLflow(Silent):
    """Logs losses, rates, the gradient's norm, speed, samples and settings."""

    _client: Any = None
    """MLflow's client, while the run is open."""

    _status = "KILLED"

    def began(self, run: Path, settings: Mapping[str, Any], step: int) -> None:
        """Begin a run in the store, or continue the same one."""
        from mlflow import MlflowClient

        folder = run.absolute().parent
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"
        client = MlflowClient(tracking_uri=uri)
        self._last: dict[str, int] = {}
        self._id = known_as(run, "mlflow") or ""
        if self._id:
            client.update_run(self._id, status="RUNNING")
            for name in client.get_run(self._id).data.metrics:
                history = client.get_metric_history(self._id, name)
                self._last[name] = max(each.step for each in history)
        else:
            artifacts = None if "MLFLOW_TRACKING_URI" in os.environ else folder / "mlflow-files"
            self._id = _new_run(client, run.resolve().name, settings, artifacts)
            remember(run, "mlflow", self._id)
        self._client = client
        rows = rows_of(run)
        for row in rows.metrics:
            self.logged(row)
        if not self._last:
            for row in rows.samples:
                self.sampled(row["step"], row["text"])

    def logged(self, row: Row) -> None:
        """Log the figures of a row that the store does not have."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, row["step"])
            for name, value in figures_of(row).items()
            if row["step"] > self._last.get(name, -1)
        ]
        if metrics:
            self._client.log_batch(self._id, metrics=metrics)
            self._last |= {metric.key: metric.step for metric in metrics}
        if row.get("event") == "ended":
            self._status = ENDINGS.get(row["stopped_because"], "FINISHED")

    def sampled(self, step: int, text: str) -> None:
        """Keep a sample as a file of its step."""
        self._client.log_text(self._id, text, f"samples/{step:09}.txt")

    def finished(self) -> None:
        """Log how the run ended."""
        if self._client is not None:
            self._client.set_terminated(self._id, self._status)
            self._client = None


def _new_run(client: Any, name: str, settings: Mapping[str, Any], artifacts: Path | None) -> str:
    """Begin a run of the experiment, with the settings as its parameters; return its id."""
    from mlflow.entities import Param

    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        location = None if artifacts is None else artifacts.as_uri()
        identifier = client.create_experiment(EXPERIMENT, artifact_location=location)
    else:
        identifier = experiment.experiment_id
    made = client.create_run(identifier, run_name=name).info.run_id
    shown = shown_settings(settings).items()
    parameters = [Param(key, str(value)[:LONGEST_VALUE]) for key, value in shown]
    client.log_batch(made, params=parameters)
    return str(made)
