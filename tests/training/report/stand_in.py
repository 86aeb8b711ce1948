"""Stand-ins for the libraries of dashboards: they record every call that is made of them."""

import sys
from types import ModuleType
from typing import Any

import pytest


class FakeWandB:
    """Runs of Weights & Biases: for each `init`, what was logged, by step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sessions: list[dict[str, Any]] = []
        module = ModuleType("wandb")
        module.init = self._init  # type: ignore[attr-defined]
        module.Settings = dict  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "wandb", module)

    def _init(self, **options: Any) -> "FakeWandB._Run":
        session = {**options, "rows": [], "finished": False}
        self.sessions.append(session)
        return FakeWandB._Run(session)

    class _Run:
        def __init__(self, session: dict[str, Any]) -> None:
            self._session = session

        def log(self, values: dict[str, Any], step: int) -> None:
            rows = self._session["rows"]
            assert not rows or step >= rows[-1][0]  # the library drops earlier steps
            assert not self._session["finished"]
            rows.append((step, values))

        def finish(self, **_: Any) -> None:
            self._session["finished"] = True


class Entity:
    """A metric or a parameter."""

    def __init__(self, key: str, value: Any, timestamp: int = 0, step: int = 0) -> None:
        self.key, self.value, self.timestamp, self.step = key, value, timestamp, step


class FakeMLflow:
    """A store of MLflow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uris: list[str] = []
        self.parameters: dict[str, str] = {}
        self.metrics: list[Entity] = []
        self.files: dict[str, str] = {}
        self.statuses: list[str] = []
        module, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
        module.MlflowClient = self._client  # type: ignore[attr-defined]
        entities.Metric = entities.Param = Entity  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "mlflow", module)
        monkeypatch.setitem(sys.modules, "mlflow.entities", entities)

    def _client(self, tracking_uri: str) -> "FakeMLflow":
        self.uris.append(tracking_uri)
        return self

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        return "1"

    def create_run(self, experiment: str, run_name: str) -> Any:
        self.statuses.append("RUNNING")
        return type("Run", (), {"info": type("Info", (), {"run_id": "run-1"})})

    def get_run(self, identifier: str) -> Any:
        names = {metric.key: 0.0 for metric in self.metrics}
        return type("Run", (), {"data": type("Data", (), {"metrics": names})})

    def get_metric_history(self, identifier: str, key: str) -> list[Entity]:
        return [metric for metric in self.metrics if metric.key == key]

    def update_run(self, identifier: str, status: str) -> None:
        self.statuses.append(status)

    def log_batch(self, identifier: str, metrics: Any = (), params: Any = ()) -> None:
        self.metrics += metrics
        self.parameters |= {each.key: each.value for each in params}

    def log_text(self, identifier: str, text: str, path: str) -> None:
        self.files[path] = text

    def set_terminated(self, identifier: str, status: str) -> None:
        self.statuses.append(status)
