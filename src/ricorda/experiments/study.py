"""The trials of a search in Optuna's storage, one SQLite file: which settings come next.

Only this file imports Optuna. Processes that search together share the file; the decisions that
must not be taken twice are taken under the lock of the experiment's folder.
"""

import contextlib
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from ricorda.experiments.folder import ExperimentFolder
from ricorda.experiments.halving import (
    FIRST_RUNG_UNITS,
    REDUCTION,
    RUNGS,
    Spent,
    affords,
    next_rung,
    units_of,
)
from ricorda.experiments.search_space import Dimension
from ricorda.experiments.trial_result import State, TrialResult

NAME = "ricorda"
STARTUP = 4  # trials besides the planner's that are drawn at random
LOCK_SECONDS = 120.0  # to wait for another process that writes into the file
TOP = 1 / 3  # of the trials, whose settings the importances explain

COUNTED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)


class Search:
    """The trials of a search: claimed, reported, stopped and finished."""

    def __init__(
        self, folder: ExperimentFolder, space: Sequence[Dimension], trials: int, seed: int
    ) -> None:
        self._folder, self._trials, self._seed = folder, trials, seed
        self._space = {each.name: _distribution(each) for each in space}
        with _quietly():
            self._study = optuna.create_study(
                study_name=NAME,
                storage=_storage(folder.study),
                pruner=optuna.pruners.SuccessiveHalvingPruner(
                    min_resource=FIRST_RUNG_UNITS, reduction_factor=REDUCTION
                ),
                load_if_exists=True,
            )

    def begin(self, planned: Sequence[Mapping[str, Any]]) -> None:
        """Queue the planner's own settings, once. The folder must be locked."""
        for options in planned[len(self._study.get_trials(deepcopy=False)) :]:
            self._study.enqueue_trial(dict(options), user_attrs={"planned": True})

    def claim(self) -> "Claim | None":
        """Take the next trial: one whose process has ended, or a new one; None if there is none."""
        with self._folder.locked():
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                lock = self._folder.take_trial(name_of(trial.number))
                if lock is not None:
                    with _quietly():
                        again = optuna.Trial(self._study, trial._trial_id)
                    return self._claim(again, lock)
            if len(self._study.get_trials(deepcopy=False, states=COUNTED)) >= self._trials:
                return None
            with _quietly():
                self._study.sampler = self._sampler()
                new = self._study.ask()
            lock = self._folder.take_trial(name_of(new.number))
            assert lock is not None, "another process has the lock of a trial that is new"
            return self._claim(new, lock)

    def _claim(self, trial: optuna.Trial, lock: int) -> "Claim":
        with _quietly():
            options = {name: _suggested(trial, name, each) for name, each in self._space.items()}
        if "until" not in trial.user_attrs:
            is_planned = trial.user_attrs.get("planned", False)
            trial.set_user_attr("until", 1.0 if is_planned else RUNGS[0])
        return Claim(self, trial, options, lock)

    def _sampler(self) -> optuna.samplers.BaseSampler:
        """A sampler whose draws follow from the seed and the number of trials so far."""
        begun = len(self._study.get_trials(deepcopy=False))
        return optuna.samplers.TPESampler(
            n_startup_trials=STARTUP, seed=(self._seed * 1000 + begun) % 2**32, constant_liar=True
        )

    @property
    def is_running(self) -> bool:
        """Whether a trial has begun and not ended, in this process or another."""
        return bool(self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def may_continue(self, trial: optuna.Trial, budget: float) -> bool:
        """Promise a trial the budget up to its next rung, if there is enough for all."""
        with self._folder.locked():
            found = self._study.get_trials(deepcopy=False, states=COUNTED)
            until = trial.user_attrs["until"]
            wanted = next_rung(max(until, trial.user_attrs["share"]))
            left = self._trials - len(found)
            if not affords(map(_spent, found), left, until, wanted, budget):
                return False
            trial.set_user_attr("until", wanted)
            return True

    def results(self) -> list[TrialResult]:
        """Return every trial by its number."""
        return [_result(each) for each in self._study.get_trials(deepcopy=False)]

    def finish(
        self, trial: optuna.Trial, loss: float | None = None, error: str | None = None
    ) -> None:
        """End a trial: with its final loss, with an error, or stopped."""
        if error is not None:
            trial.set_user_attr("error", error)
        with _quietly():
            if loss is not None:
                self._study.tell(trial, loss)
            else:
                self._study.tell(trial, state=TrialState.PRUNED)


class Claim:
    """A trial that this process trains; its lock is held until `release`."""

    def __init__(
        self, search: Search, trial: optuna.Trial, options: dict[str, Any], lock: int
    ) -> None:
        self._search, self._trial, self._lock = search, trial, lock
        self.options = options
        self.number = trial.number

    @property
    def is_planned(self) -> bool:
        """Whether the settings are the planner's own."""
        return bool(self._trial.user_attrs.get("planned", False))

    def should_stop(self, share: float, loss: float, budget: float) -> bool:
        """Report an evaluation; return whether the trial is among the worse ones at a rung.

        share: of the trial's budget. budget: of the search, in whole trials.
        """
        self._trial.set_user_attr("share", share)
        if share >= 1:
            return False
        with _quietly():
            self._trial.report(loss, units_of(share))
            is_worse = self._trial.should_prune()
        if self.is_planned:
            return False
        is_due = share >= self._trial.user_attrs["until"] - 1e-9
        return is_worse or (is_due and not self._search.may_continue(self._trial, budget))

    def complete(self, loss: float) -> None:
        """End the trial with its final loss."""
        self._trial.set_user_attr("share", 1.0)
        self._search.finish(self._trial, loss=loss)

    def stop(self) -> None:
        """End the trial before its budget is used."""
        self._search.finish(self._trial)

    def fail(self, error: str) -> None:
        """End the trial, whose training broke."""
        self._search.finish(self._trial, error=error)

    def release(self) -> None:
        """Release the lock; a trial that has not ended can be claimed by another process."""
        os.close(self._lock)


def name_of(number: int) -> str:
    """Return the name of a trial's folder."""
    return f"{number:03d}"


def importances(results: Sequence[TrialResult], space: Sequence[Dimension]) -> dict[str, float]:
    """Return how much each option matters for being in the best third, the shares summing to 1.

    It is PED-ANOVA (Watanabe et al., 2023, arXiv 2304.10255) on the losses at the first rung, which
    every trial has. Empty for fewer than four trials.
    """
    known = [each for each in results if each.first_rung is not None]
    if len(known) < STARTUP or not space:
        return {}
    distributions = {each.name: _distribution(each) for each in space}
    with _quietly():
        study = optuna.create_study()
        for each in known:
            study.add_trial(
                optuna.trial.create_trial(
                    params=each.options, distributions=distributions, value=each.first_rung
                )
            )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def _storage(path: Path) -> optuna.storages.RDBStorage:
    """Optuna's storage in a file of any name.

    With a write-ahead log a commit does not wait for the disk; the file stays whole if power fails.
    """

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=LOCK_SECONDS, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    return optuna.storages.RDBStorage("sqlite:///study.db", engine_kwargs={"creator": connect})


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Hide Optuna's messages and warnings; what goes wrong raises."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.scale == "choice":
        return CategoricalDistribution(dimension.choices)
    if dimension.step is not None:
        return IntDistribution(int(dimension.low), int(dimension.high), step=dimension.step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.scale == "logarithmic")


def _suggested(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """The value of an option in a trial: drawn now, or what was drawn before."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
        case IntDistribution(low=low, high=high, step=step):
            return trial.suggest_int(name, low, high, step=step)
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
    raise AssertionError(distribution)


def _spent(trial: FrozenTrial) -> Spent:
    attributes = trial.user_attrs
    is_running = trial.state is TrialState.RUNNING
    return Spent(attributes.get("share", 0.0), attributes.get("until", RUNGS[0]), is_running)


def _result(trial: FrozenTrial) -> TrialResult:
    error = trial.user_attrs.get("error")
    states: dict[TrialState, State] = {
        TrialState.WAITING: "waiting",
        TrialState.RUNNING: "running",
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "stopped" if error is None else "failed",
        TrialState.FAIL: "failed",
    }
    reported = trial.intermediate_values
    last = reported[max(reported)] if reported else None
    at_rung = [step for step in sorted(reported) if step >= FIRST_RUNG_UNITS]
    options = trial.params or trial.system_attrs.get("fixed_params", {})
    return TrialResult(
        number=trial.number,
        state=states[trial.state],
        options=dict(options),
        nats_per_character=trial.value if trial.state is TrialState.COMPLETE else last,
        share=trial.user_attrs.get("share", 0.0),
        is_planned=trial.user_attrs.get("planned", False),
        error=error,
        first_rung=reported[at_rung[0]] if at_rung else None,
    )
