"""Search for good settings of a training within a total budget."""

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Unpack

from pydantic import Field
from pydantic.dataclasses import dataclass as settings_class

from ricorda.cores import usable_cores
from ricorda.durable import CAN_LOCK, write_atomically
from ricorda.errors import ConfigurationError
from ricorda.experiments.folder import ExperimentFolder, absolute, folder_for, plain
from ricorda.experiments.keywords import TuningKeywords
from ricorda.experiments.search_space import Dimension
from ricorda.experiments.searching import Searcher, SearchPlan, plan_search, setting_text
from ricorda.experiments.trial import (
    BUDGETS,
    TRIAL_OPTIONS,
    Text,
    TrialReporter,
    check_texts,
    named,
)
from ricorda.experiments.trial_result import TrialResult
from ricorda.experiments.workers import Workers
from ricorda.extras import require_optuna
from ricorda.model.cells import CELLS
from ricorda.option_groups import Group, options_of
from ricorda.pages import fixed, in_bits, plural
from ricorda.pages.numbers import clock
from ricorda.signatures import names_of, shows_options
from ricorda.training.configuration import SCHEMA, Minutes
from ricorda.training.options import TrainingOptions, cell_of
from ricorda.training.report.progress import Reporter, reporter_for
from ricorda.validation import plain_numbers, validated

DEFAULT_MINUTES = 30.0
FIRST_SEED = 1
POLL = 0.5  # seconds between two looks at the trials of other processes


@options_of(Group.ESSENTIAL)
@settings_class(frozen=True, kw_only=True, config=SCHEMA)
class TuningOptions:
    """How settings are searched."""

    minutes: Minutes | None = None
    """Training time of the whole search, of which all trials together use no more: 30 by default.
    N processes that search together have N times as much in the same time."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 12
    """Number of trials, the planner's own settings among them."""

    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of processes that train trials at the same time and share the threads."""

    out: Path | None = None
    """Folder of the search, by default experiments/ and the name of the text. The same command
    continues what it holds, and a second one at the same time helps."""


@dataclass(frozen=True)
class Tuning:
    """A search, as far as it is."""

    folder: Path
    budget: dict[str, float]
    """The budget of a whole trial: minutes, steps or epochs."""

    space: tuple[Dimension, ...]
    trials: tuple[TrialResult, ...]
    importances: dict[str, float]
    """How much each option matters for being in the best third; the shares sum to 1."""

    signal_number: int | None = None
    """The signal that interrupted it, if one did."""

    @property
    def best(self) -> TrialResult | None:
        """The trial with the lowest loss among those that used their whole budget."""
        complete = [each for each in self.trials if each.state == "complete"]
        return min(complete, key=lambda each: each.nats_per_character or 0.0, default=None)

    @property
    def columns(self) -> list[str]:
        """The headings of `table`; > stands before those of numbers."""
        names = [f">{each.name.replace('_', ' ')}" for each in self.space]
        return [">trial", ">bits/character", "state", *names]

    def table(self) -> list[list[str]]:
        """Return a row of text for each trial, the best first."""
        return [self._row(each) for each in sorted(self.trials, key=_rank)]

    def _row(self, trial: TrialResult) -> list[str]:
        state: str = "planner's settings" if trial.is_planned else trial.state
        if trial.state in ("stopped", "running"):
            state = f"{trial.state} after {trial.share:.0%}"
        return [
            str(trial.number),
            fixed(in_bits(trial.nats_per_character), 3),
            state,
            *(setting_text(trial.options.get(each.name)) for each in self.space),
        ]

    def as_json(self) -> dict[str, Any]:
        """What `ricorda tune --json` prints."""
        best = self.best
        return {
            "folder": str(self.folder),
            "budget": self.budget,
            "space": [asdict(each) for each in self.space],
            "best": None if best is None else asdict(best),
            "trials": [asdict(each) for each in self.trials],
            "importances": self.importances,
        }


def _rank(trial: TrialResult) -> tuple[int, float, float]:
    """Complete trials by their losses, then the others by how far they came."""
    loss = trial.nats_per_character if trial.nats_per_character is not None else float("inf")
    order = ("complete", "running", "stopped", "failed", "waiting").index(trial.state)
    return order, -trial.share, loss


@shows_options(TrainingOptions, ["steps", "epochs", *TRIAL_OPTIONS])
@shows_options(TuningOptions, names_of(TuningOptions))
def tune(
    *texts: Text,
    cells: Sequence[str] | None = None,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Unpack[TuningKeywords],
) -> Tuning:
    """Search for the settings that give the lowest validation loss.

    cells: also search among these cells. Options are those of `ricorda tune`: minutes of the whole
    search, trials, processes, out, and options of `ricorda.train`, which are fixed; steps or epochs
    of a trial take the place of minutes. The first trial has the planner's settings and is never
    stopped early, so the best one is at least as good.

    The same call continues a search that was interrupted. Raises MissingExtra without the package
    optuna, InputError, TrainingError as `ricorda.train`; at a signal the trial in progress is saved
    and the signal raised again.
    """
    done = run_tuning(*texts, cells=cells, reporter=reporter, quiet=quiet, **options)
    if done.signal_number is not None:
        signal.raise_signal(done.signal_number)
    return done


def run_tuning(
    *texts: Text,
    cells: Sequence[str] | None = None,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> Tuning:
    """Search as `tune`, but return what there is of a search that a signal interrupted."""
    require_optuna()
    names = tuple(named(texts))
    check_texts(names)
    own = {name: options.pop(name) for name in TUNING if name in options}
    settings = validated(TuningOptions, **{k: v for k, v in own.items() if v is not None})
    given = {name: plain_numbers(each) for name, each in options.items() if each is not None}
    validated(TrainingOptions, **given, **({"minutes": 1} if settings.minutes else {}))
    if settings.processes > 1 and not CAN_LOCK:
        raise ConfigurationError(
            f"--processes {settings.processes}: this system has no file locks, which they need: "
            "leave it out"
        )
    folder = folder_for(settings.out, names[0], "tune")
    command = _Command(folder, names, given, settings, reporter or reporter_for(quiet=quiet))
    chosen = _cells(cells, given)
    with folder.prepared():
        return command.run(chosen)


TUNING = ("minutes", "trials", "processes", "out")
"""The options of `TuningOptions`."""


class _Command:
    """One call of `tune`: it plans the search or finds it planned, trains, waits and reports."""

    def __init__(
        self,
        folder: ExperimentFolder,
        texts: tuple[str, ...],
        options: dict[str, Any],
        settings: TuningOptions,
        reporter: Reporter,
    ) -> None:
        self._folder, self._texts, self._settings = folder, texts, settings
        self._cache = options.pop("cache", None)
        share = max(1, usable_cores() // settings.processes)
        self._threads: int = options.pop("threads", share)
        self._seed: int = options.pop("seed", FIRST_SEED)
        self._options, self._reporter = options, reporter

    def run(self, cells: Sequence[str]) -> Tuning:
        """Train trials until all have ended, those of other processes too."""
        with self._folder.locked():
            search_plan = self._plan(cells)
        self._reporter.say(_summary(search_plan, self._folder))
        searcher = Searcher(
            self._folder,
            search_plan,
            self._reporter,
            threads=self._threads,
            cache=self._cache,
        )
        others = self._settings.processes - 1
        with Workers(self._folder, others, threads=self._threads, cache=self._cache) as workers:
            signal_number = searcher.train_all()
            while signal_number is None and searcher.search.is_running:
                time.sleep(POLL)
                signal_number = searcher.train_all()  # takes the trials of a process that died
            if signal_number is not None:
                workers.end()
        return self._report(searcher, search_plan, signal_number)

    def _plan(self, cells: Sequence[str]) -> SearchPlan:
        """Return the plan that the folder has, or make it."""
        minutes = self._settings.minutes
        if minutes is None and not {*BUDGETS} & self._options.keys():
            minutes = DEFAULT_MINUTES
        asked = {
            "kind": "search",
            "texts": list(absolute(self._texts)),
            "options": plain(self._options),
            "cells": list(cells),
            "minutes": minutes,
            "trials": self._settings.trials,
            "seed": self._seed,
        }
        if (saved := self._folder.check(asked)) is not None:
            return SearchPlan.from_json(saved.get("search", {}))
        machine = {"threads": self._threads, "cache": self._cache}
        quiet = TrialReporter(self._reporter, set())
        search_plan = plan_search(
            absolute(self._texts),
            plain(self._options),
            machine={name: value for name, value in machine.items() if value is not None},
            cells=cells,
            trials=self._settings.trials,
            seed=self._seed,
            minutes=minutes,
            reporter=quiet,
        )
        self._folder.write({"asked": asked, "search": search_plan.as_json()})
        return search_plan

    def _report(
        self, searcher: Searcher, search_plan: SearchPlan, signal_number: int | None
    ) -> Tuning:
        """Write results.json, best.toml and the page."""
        from ricorda.experiments.study import importances
        from ricorda.experiments.tuning_page import best_file, tuning_page

        trials = searcher.search.results()
        tuning = Tuning(
            folder=self._folder.path,
            budget=search_plan.budget,
            space=search_plan.space,
            trials=tuple(trials),
            importances=importances(trials, search_plan.space),
            signal_number=signal_number,
        )
        results = json.dumps(tuning.as_json(), indent=2) + "\n"
        write_atomically(self._folder.results, results.encode())
        if tuning.best is not None:
            write_atomically(self._folder.best, best_file(tuning, search_plan).encode())
        write_atomically(self._folder.report, tuning_page(tuning, search_plan).encode())
        return tuning


def _summary(search_plan: SearchPlan, folder: ExperimentFolder) -> str:
    """What will be done, in two lines."""
    minutes = search_plan.budget.get("minutes")
    if minutes is None:
        ((name, amount),) = search_plan.budget.items()
        budget = f"{amount:g} {name} for a whole trial"
    else:
        budget = (
            f"{clock(60 * minutes)} for a whole trial, "
            f"{clock(60 * minutes * search_plan.limit)} in all"
        )
    names = ", ".join(each.name for each in search_plan.space)
    return f"{plural(search_plan.trials, 'trial')}, {budget}: {names}\nfolder: {folder.path}"


def _cells(cells: Sequence[str] | None, given: dict[str, Any]) -> list[str]:
    """The cells to search among; one given by --cell is fixed."""
    if cells is None:
        known = {"cell", "backend", "forget_bias"} & given.keys()
        return [cell_of(TrainingOptions(**{name: given[name] for name in known}))]
    if "cell" in given:
        raise ConfigurationError("expected --cell or --cells, got both: give only one")
    if wrong := [each for each in cells if each not in CELLS]:
        raise ConfigurationError(f"expected cells among {', '.join(CELLS)}, got {wrong[0]}")
    if not cells:
        raise ConfigurationError("expected at least one cell, got none")
    return list(dict.fromkeys(cells))
