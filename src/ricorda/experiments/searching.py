"""The plan of a search, which all processes read from its folder, and the loop that trains trials.

The plan is made once: the planner's settings of each cell, the space around them, the budget of a
whole trial and that of all trials together.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ricorda.errors import ConfigurationError, RunError, TrainingError
from ricorda.experiments.folder import ExperimentFolder
from ricorda.experiments.halving import expected_trials
from ricorda.experiments.search_space import Dimension, planned_parameters, search_space
from ricorda.experiments.trial import Trial, TrialReporter, is_a_failed_training
from ricorda.pages import fixed, in_bits
from ricorda.training.plan.forecast import plan
from ricorda.training.report.progress import Reporter

if TYPE_CHECKING:
    from ricorda.experiments.study import Claim

LEAST_MINUTES = 0.001  # of a trial


@dataclass(frozen=True)
class SearchPlan:
    """Everything that the processes of a search share."""

    texts: tuple[str, ...]
    options: dict[str, Any]
    """Those of every trial."""

    seed: int
    trials: int
    budget: dict[str, float]
    """Of a whole trial: minutes, steps or epochs."""

    limit: float
    """The budget of all trials together, in whole trials."""

    space: tuple[Dimension, ...]
    planned: tuple[dict[str, Any], ...]
    """The planner's own settings, of each cell."""

    def as_json(self) -> dict[str, Any]:
        """What experiment.json has."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "SearchPlan":
        """Raises RunError for what `as_json` did not make."""
        try:
            space = tuple(
                Dimension(**{**each, "choices": tuple(each["choices"])}) for each in saved["space"]
            )
            lists = {name: tuple(saved[name]) for name in ("texts", "planned")}
            return cls(**{**saved, **lists, "space": space})
        except (KeyError, TypeError) as error:
            raise RunError(f"the plan of the search is damaged: {error}") from error


def plan_search(
    texts: tuple[str, ...],
    options: dict[str, Any],
    *,
    machine: Mapping[str, Any],
    cells: Sequence[str],
    trials: int,
    seed: int,
    minutes: float | None,
    reporter: Reporter,
) -> SearchPlan:
    """Choose the budget of a trial and the space to search, by the planner's settings.

    machine: options that are not part of the plan, such as threads. minutes: of training in all;
    None where options have a trial's steps or epochs. Raises
    ConfigurationError where they are too few, and where nothing is left to search.
    """
    planned_count = min(len(cells), trials)
    budget: dict[str, float] = {
        name: options.pop(name) for name in ("steps", "epochs") if name in options
    }
    limit = float(trials)
    if minutes is not None:
        limit = expected_trials(trials, planned_count)
        budget = {"minutes": minutes / limit}
        if budget["minutes"] < LEAST_MINUTES:
            raise ConfigurationError(
                f"--minutes {minutes:g}: too few for {trials} trials: give more minutes or fewer "
                "--trials"
            )
    plans = []
    for cell in cells:
        found = plan(*texts, reporter=reporter, **{**options, **machine, **budget, "cell": cell})
        if not found.validation_symbols:
            raise ConfigurationError(
                "expected a text with a validation part, by which trials are compared, but it has "
                "none: give a longer text, --validation or --validation-fraction"
            )
        plans.append(found.configuration)
    space = search_space(plans, options, cells)
    if not space:
        raise ConfigurationError("every option that is searched was given: leave some of them out")
    if len(cells) == 1:
        options["cell"] = cells[0]
    return SearchPlan(
        texts=texts,
        options=options,
        seed=seed,
        trials=trials,
        budget=budget,
        limit=limit,
        space=tuple(space),
        planned=tuple(planned_parameters(each, space) for each in plans[:planned_count]),
    )


class _Stopped(Exception):
    """The search stops a trial."""


class Searcher:
    """Trains trials in this process, one after the other."""

    def __init__(
        self,
        folder: ExperimentFolder,
        search_plan: SearchPlan,
        reporter: Reporter,
        *,
        threads: int,
        cache: str | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        from ricorda.experiments.study import Search

        self._folder, self._plan, self._reporter = folder, search_plan, reporter
        self._machine = {"threads": threads, "cache": cache}
        self._check = check
        self._warned: set[str] = set()
        with folder.locked():
            self.search: Search = Search(
                folder, search_plan.space, search_plan.trials, search_plan.seed
            )
            self.search.begin(search_plan.planned)

    def train_all(self) -> int | None:
        """Train trials until none is left to take; return the number of a signal that came."""
        while (claim := self.search.claim()) is not None:
            try:
                signal_number = self._train(claim)
            finally:
                claim.release()
            if signal_number is not None:
                return signal_number
        return None

    def _train(self, claim: "Claim") -> int | None:
        """Train one trial and report how it ended."""
        from ricorda.experiments.study import name_of

        place = f"trial {claim.number} ({claim.number + 1} of {self._plan.trials})"
        self._reporter.say(f"{place}: {_words(claim)}")
        options = {
            **self._plan.options,
            **self._plan.budget,
            **claim.options,
            **{name: value for name, value in self._machine.items() if value is not None},
            "seed": self._plan.seed,
        }
        trial = Trial(self._folder.trials / name_of(claim.number), self._plan.texts, options)
        reporter = TrialReporter(
            self._reporter, self._warned, partial(self._follow, claim), self._check
        )
        try:
            run = trial.train(reporter)
        except _Stopped:
            claim.stop()
            self._reporter.say("  stopped: not among the best third, or no budget is left for it")
            return None
        except (TrainingError, ConfigurationError) as error:
            if isinstance(error, TrainingError) and not is_a_failed_training(error):
                raise
            claim.fail(str(error))
            self._reporter.warn(f"{place} failed: {error}")
            return None
        if run.signal_number is not None:
            return run.signal_number
        nats = run.metrics["validation"]["nats_per_character"]
        claim.complete(nats)
        self._reporter.say(
            f"  {fixed(in_bits(nats), 3)} bits ({fixed(nats, 3)} nats) per character"
        )
        return None

    def _follow(self, claim: "Claim", share: float, nats: float) -> None:
        """Stop a trial at an evaluation if it is among the worse ones."""
        if claim.should_stop(share, nats, self._plan.limit):
            raise _Stopped


def _words(claim: "Claim") -> str:
    """The settings of a trial."""
    if claim.is_planned:
        return "the planner's settings"
    return ", ".join(f"{name} {setting_text(value)}" for name, value in claim.options.items())


def setting_text(value: Any) -> str:
    """Return a setting as people read it."""
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
