"""Compare values of one training option, by default cells, over several seeds."""

import json
import math
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Unpack

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as settings_class

from ricorda.durable import write_atomically
from ricorda.errors import ConfigurationError, TrainingError
from ricorda.experiments.folder import ExperimentFolder, absolute, folder_for, plain, trial_name
from ricorda.experiments.keywords import ComparisonKeywords
from ricorda.experiments.trial import (
    BUDGETS,
    TRIAL_OPTIONS,
    Text,
    Trial,
    TrialReporter,
    check_texts,
    is_a_failed_training,
    named,
)
from ricorda.experiments.variants import Match, Planner, Variant, varied_option
from ricorda.option_groups import Group, options_of
from ricorda.pages import fixed, in_bits, short
from ricorda.pages.numbers import clock
from ricorda.signatures import names_of, shows_options
from ricorda.training.checkpoint.held_folder import RunLock
from ricorda.training.configuration import SCHEMA, Budget
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.forecast import plan
from ricorda.training.report.progress import Reporter, reporter_for
from ricorda.validation import plain_numbers, validated

DEFAULT_MINUTES = 1.0
FIRST_SEED = 1


@options_of(Group.ESSENTIAL)
@settings_class(frozen=True, kw_only=True, config=SCHEMA)
class ComparisonOptions:
    """How values are compared."""

    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    """Number of trainings of each value, which differ by their seeds."""

    match: Match = "time"
    """What the trainings have in common besides the budget: time lets the planner choose each
    network's size; parameters and operations choose the hidden size so that each network has as
    many parameters, or operations per symbol, as the first."""

    out: Path | None = None
    """Folder of the comparison, by default experiments/ and the names of the text, the option and
    what is matched. The same command continues what it holds."""


@dataclass(frozen=True)
class Compared:
    """The trainings of one value."""

    value: Any
    label: str
    hidden_size: int
    parameters: int
    operations: float
    """Floating-point operations to learn a symbol."""

    runs: tuple[Path, ...]
    """The folders of the runs that ended, by seed."""

    figures: tuple[dict[str, Any], ...]
    """What `ricorda train --json` prints of each."""

    @property
    def nats_per_character(self) -> tuple[float, ...]:
        """The validation loss of each seed."""
        return tuple(each["validation"]["nats_per_character"] for each in self.figures)

    @property
    def mean(self) -> float:
        """The mean validation loss in nats per character; NaN without any."""
        return float(np.mean(self.nats_per_character)) if self.figures else math.nan

    @property
    def deviation(self) -> float:
        """Its sample standard deviation over the seeds; NaN for fewer than two."""
        losses = self.nats_per_character
        return float(np.std(losses, ddof=1)) if len(losses) > 1 else math.nan

    @property
    def characters_seen(self) -> float:
        """How many characters a training read, on average."""
        return _mean(each["characters_seen"] for each in self.figures)

    @property
    def characters_per_second(self) -> float:
        """How many it read per second, evaluations included."""
        return _mean(
            each["characters_seen"] / max(each["train_seconds"], 1e-3) for each in self.figures
        )

    @property
    def train_seconds(self) -> float:
        """How long a training took, on average."""
        return _mean(each["train_seconds"] for each in self.figures)

    def as_json(self) -> dict[str, Any]:
        """A row of `ricorda compare --json`; what is not known is None."""
        losses = self.nats_per_character
        mean, deviation = _known(self.mean), _known(self.deviation)
        return {
            "value": str(self.value) if isinstance(self.value, Path) else self.value,
            "hidden_size": self.hidden_size,
            "parameters": self.parameters,
            "operations_per_symbol": self.operations,
            "nats_per_character": {
                "mean": mean,
                "standard_deviation": deviation,
                "values": list(losses),
            },
            "bits_per_character": {
                "mean": in_bits(mean),
                "standard_deviation": in_bits(deviation),
                "values": [in_bits(each) for each in losses],
            },
            "characters_seen": _known(self.characters_seen),
            "characters_per_second": _known(self.characters_per_second),
            "train_seconds": _known(self.train_seconds),
            "runs": [str(run) for run in self.runs],
        }


def _mean(values: Iterator[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else math.nan


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


COLUMNS = [
    *("{option}", ">bits/character", ">nats/character", ">hidden size", ">parameters"),
    *(">characters read", ">characters/s", ">runs"),
]
SPARE = (">runs", ">hidden size", ">nats/character", ">characters/s")
"""The columns that a narrow terminal leaves out, in this order."""


@dataclass(frozen=True)
class Comparison:
    """The values of an option, compared."""

    folder: Path
    option: str
    budget: str
    match: Match
    seeds: int
    rows: tuple[Compared, ...]
    """In the order that was asked for."""

    signal_number: int | None = None
    """The signal that interrupted it, if one did."""

    @property
    def best(self) -> Compared | None:
        """The value with the lowest mean loss; None before the first training has ended."""
        return min(
            (row for row in self.rows if row.figures), key=lambda row: row.mean, default=None
        )

    @property
    def columns(self) -> list[str]:
        """The headings of `table`; > stands before those of numbers."""
        return [each.format(option=self.option) for each in COLUMNS]

    def table(self) -> list[list[str]]:
        """Return a row of text for each value."""
        return [
            [
                row.label,
                _with_deviation(in_bits(row.mean), in_bits(row.deviation)),
                _with_deviation(row.mean, row.deviation),
                f"{row.hidden_size:,}",
                f"{row.parameters:,}",
                short(row.characters_seen),
                fixed(row.characters_per_second, 0),
                f"{len(row.runs)}",
            ]
            for row in self.rows
        ]

    def as_json(self) -> dict[str, Any]:
        """What `ricorda compare --json` prints."""
        return {
            "folder": str(self.folder),
            "option": self.option,
            "budget": self.budget,
            "match": self.match,
            "seeds": self.seeds,
            "rows": [row.as_json() for row in self.rows],
        }


def _with_deviation(mean: float | None, deviation: float | None) -> str:
    """A figure as people write it: "1.512 ± 0.004"."""
    if deviation is None or not math.isfinite(deviation):
        return fixed(mean, 3)
    return f"{fixed(mean, 3)} ± {fixed(deviation, 3)}"


@shows_options(TrainingOptions, [*BUDGETS, *TRIAL_OPTIONS])
@shows_options(ComparisonOptions, names_of(ComparisonOptions))
def compare(
    *texts: Text,
    cells: Sequence[str] | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Unpack[ComparisonKeywords],
) -> Comparison:
    """Train each of several cells, or values of another option, and compare their losses.

    cells: such as ["lstm", "gru"]. vary: another option with its values, such as {"hidden_size":
    [128, 256]}. Options are those of `ricorda compare`: seeds, match, out, a budget for each
    training (minutes, by default 1; or steps, or epochs) and options of `ricorda.train`.

    The same call continues a comparison that was interrupted. Raises InputError, TrainingError as
    `ricorda.train`; at a signal the training in progress is saved and the signal raised again.
    """
    done = run_comparison(*texts, cells=cells, vary=vary, reporter=reporter, quiet=quiet, **options)
    if done.signal_number is not None:
        signal.raise_signal(done.signal_number)
    return done


def run_comparison(
    *texts: Text,
    cells: Sequence[str] | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    reporter: Reporter | None = None,
    quiet: bool = False,
    **options: Any,
) -> Comparison:
    """Compare as `compare`, but return what there is of a comparison that a signal interrupted."""
    names = tuple(named(texts))
    check_texts(names)
    own = {name: options.pop(name) for name in ("seeds", "match", "out") if name in options}
    settings = validated(ComparisonOptions, **{k: v for k, v in own.items() if v is not None})
    given = {name: plain_numbers(each) for name, each in options.items() if each is not None}
    if not {*BUDGETS} & given.keys():
        given["minutes"] = DEFAULT_MINUTES
    option, values = varied_option(cells, vary)
    if option in given:
        raise ConfigurationError(
            f"expected {option} to be varied or fixed, got both: give only one of them"
        )
    validated(TrainingOptions, **given)
    purpose = option if settings.match == "time" else f"{option}-{settings.match}"
    folder = folder_for(settings.out, names[0], purpose)
    shown = reporter or reporter_for(quiet=quiet)
    with folder.prepared(), RunLock(folder.path, warn=shown.warn):
        progress = _Progress(folder, option, names, given, settings, shown)
        return progress.compare(values)


class _Progress:
    """A comparison in progress."""

    def __init__(
        self,
        folder: ExperimentFolder,
        option: str,
        texts: tuple[str, ...],
        options: dict[str, Any],
        settings: ComparisonOptions,
        reporter: Reporter,
    ) -> None:
        self._folder, self._option, self._texts = folder, option, texts
        self._seed = options.pop("seed", FIRST_SEED)
        self._options, self._settings, self._reporter = options, settings, reporter
        self._warned: set[str] = set()

    def compare(self, values: Sequence[Any]) -> Comparison:
        """Train each value with each seed, and report; the values take turns within a seed."""
        variants = self._variants(values)
        seeds = range(self._seed, self._seed + self._settings.seeds)
        trials = [(variant, seed) for seed in seeds for variant in variants]
        self._reporter.say(self._summary(variants, len(trials)))
        signal_number = None
        for number, (variant, seed) in enumerate(trials, 1):
            place = f"{self._option} {variant.label}, seed {seed} ({number} of {len(trials)})"
            signal_number = self._train(self._trial(variant, seed), place)
            if signal_number is not None:
                break
        comparison = replace(self._result(variants, seeds), signal_number=signal_number)
        self._write(comparison)
        return comparison

    def _summary(self, variants: Sequence[Variant], count: int) -> str:
        minutes = self._options.get("minutes")
        time = "" if minutes is None else f", {clock(60 * minutes * count)} of training"
        sizes = ", ".join(
            f"{each.label} with {each.options['hidden_size']} units"
            for each in variants
            if "hidden_size" in each.options
        )
        return f"{count} trainings{time}: {sizes}\nfolder: {self._folder.path}"

    def _train(self, trial: Trial, place: str) -> int | None:
        """Train, and say how it ended; return the number of a signal that interrupted it.

        A training that fails leaves the others to be compared.
        """
        if trial.figures() is not None:
            return None
        self._reporter.say(place)
        try:
            run = trial.train(TrialReporter(self._reporter, self._warned))
        except TrainingError as error:
            if not is_a_failed_training(error):
                raise
            self._reporter.warn(f"{place}: left out: {error}")
            return None
        if run.signal_number is None:
            nats = run.metrics["validation"]["nats_per_character"]
            self._reporter.say(
                f"  {fixed(in_bits(nats), 3)} bits ({fixed(nats, 3)} nats) per character, "
                f"{short(run.metrics['characters_seen'])} characters read"
            )
        return run.signal_number

    def _variants(self, values: Sequence[Any]) -> list[Variant]:
        """Return the variants that the folder has already, and plan those that it lacks."""
        asked = {
            "kind": "comparison",
            "texts": list(absolute(self._texts)),
            "option": self._option,
            "match": self._settings.match,
            "options": plain({**self._options, "cache": None}),
            "seed": self._seed,
        }
        saved = self._folder.check(asked)
        known = {each["label"]: Variant(**each) for each in (saved or {}).get("variants", [])}
        planner = Planner(
            self._option,
            self._settings.match,
            self._options,
            partial(plan, *self._texts, reporter=TrialReporter(self._reporter, self._warned)),
        )
        variants = planner.variants(values, known)
        kept = known | {each.label: each for each in variants}
        rows = [plain({**asdict(each), "options": plain(each.options)}) for each in kept.values()]
        self._folder.write({"asked": asked, "variants": rows})
        return variants

    def _trial(self, variant: Variant, seed: int) -> Trial:
        name = trial_name(f"{self._option}-{variant.label}-seed-{seed}")
        options = {**variant.options, "seed": seed}
        return Trial(self._folder.trials / name, self._texts, options)

    def _result(self, variants: Sequence[Variant], seeds: range) -> Comparison:
        budget = next(name for name in BUDGETS if name in self._options)
        return Comparison(
            folder=self._folder.path,
            option=self._option,
            budget=str(Budget(**{budget: self._options[budget]})),
            match=self._settings.match,
            seeds=len(seeds),
            rows=tuple(self._compared(variant, seeds) for variant in variants),
        )

    def _compared(self, variant: Variant, seeds: range) -> Compared:
        trials = [self._trial(variant, seed) for seed in seeds]
        ended = [(each.folder, figures) for each in trials if (figures := each.figures())]
        return Compared(
            value=variant.value,
            label=variant.label,
            hidden_size=variant.options.get("hidden_size", 0),
            parameters=variant.parameters,
            operations=variant.operations,
            runs=tuple(path for path, _ in ended),
            figures=tuple(figures for _, figures in ended),
        )

    def _write(self, comparison: Comparison) -> None:
        """Write results.json, the chart and the page."""
        from ricorda.experiments.comparison_page import chart_file, comparison_page

        results = json.dumps(comparison.as_json(), indent=2, allow_nan=False) + "\n"
        write_atomically(self._folder.results, results.encode())
        write_atomically(self._folder.chart, chart_file(comparison).encode())
        page = comparison_page(comparison, self._texts)
        write_atomically(self._folder.report, page.encode())
