"""Dashboards of other programs: TensorBoard, Weights & Biases and MLflow.

A dashboard is a Reporter. It may be slower or less reliable than a run must be, so an error of one
is reported once, and the run continues without it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import MissingExtra
from ricorda.extras import require_dashboards
from ricorda.training.configuration import DashboardName
from ricorda.training.report.progress import Reporter


def with_dashboards(reporter: Reporter, names: Sequence[DashboardName]) -> Reporter:
    """Have dashboards receive what a reporter receives.

    One whose package is not installed is left out with a warning: a run that was begun with it may
    be resumed elsewhere.
    """
    dashboards: dict[str, Reporter] = {}
    for name in dict.fromkeys(names):
        try:
            require_dashboards([name])
        except MissingExtra as error:
            reporter.warn(f"{error}; the run continues without it")
        else:
            dashboards[name] = _made(name)
    return cast("Reporter", WithDashboards(reporter, dashboards)) if dashboards else reporter


def _made(name: DashboardName) -> Reporter:
    """The dashboard of a name. Its package is imported when the run begins."""
    if name == "tensorboard":
        from ricorda.training.report.dashboards.tensorboard import TensorBoard

        return TensorBoard()
    if name == "wandb":
        from ricorda.training.report.dashboards.wandb import WeightsAndBiases

        return WeightsAndBiases()
    from ricorda.training.report.dashboards.mlflow import MLflow

    return MLflow()


class WithDashboards:
    """Pass what a reporter receives on to dashboards, except single steps."""

    def __init__(self, reporter: Reporter, dashboards: Mapping[str, Reporter]) -> None:
        self._reporter = reporter
        self._dashboards = dict(dashboards)

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the reporter."""
        return getattr(self._reporter, name)

    def began(self, run: Path, settings: Mapping[str, Any], step: int) -> None:
        """Pass on the beginning."""
        self._reporter.began(run, settings, step)
        self._each(lambda dashboard: dashboard.began(run, settings, step))

    def logged(self, row: Mapping[str, Any]) -> None:
        """Pass on a row."""
        self._reporter.logged(row)
        self._each(lambda dashboard: dashboard.logged(row))

    def sampled(self, step: int, text: str) -> None:
        """Pass on a sample."""
        self._reporter.sampled(step, text)
        self._each(lambda dashboard: dashboard.sampled(step, text))

    def weighed(self, step: int, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Pass on the weights."""
        self._reporter.weighed(step, weights)
        self._each(lambda dashboard: dashboard.weighed(step, weights))

    def finished(self) -> None:
        """Pass on the end."""
        self._reporter.finished()
        self._each(lambda dashboard: dashboard.finished())

    def _each(self, pass_on: Callable[[Reporter], None]) -> None:
        """Call each dashboard; one that fails is called no more."""
        for name, dashboard in list(self._dashboards.items()):
            try:
                pass_on(dashboard)
            except Exception as error:  # whatever a library of others raises
                del self._dashboards[name]
                reason = " ".join(str(error).split()) or type(error).__name__
                self._reporter.warn(
                    f"--log {name} failed ({reason[:300]}): the run continues without it"
                )
