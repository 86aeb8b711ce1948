"""Searches: the planner's settings first, the budget kept, interruptions, several processes."""

import json
import os
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.errors import ConfigurationError, MissingExtra, RunError, TrainingError
from ricorda.experiments import Tuning
from ricorda.experiments.folder import ExperimentFolder
from ricorda.experiments.search_space import Dimension
from ricorda.experiments.tuning import run_tuning
from ricorda.runs import RunFolder
from ricorda.training import run
from ricorda.training.checkpoint.record import read_record
from tests.experiments.conftest import SMALL
from tests.training.reporters import DoAt, InterruptAt

study = pytest.importorskip("ricorda.experiments.study", reason="needs the package optuna")

STEPS: dict[str, Any] = {**SMALL, "steps": 27, "quiet": True}
SPACE = [
    Dimension("learning_rate", "logarithmic", 1e-3, 1e-1),
    Dimension("hidden_size", "linear", 16, 64, 16),
    Dimension("window", "choice", choices=(16, 32)),
]
PLANNED = {"learning_rate": 1e-2, "hidden_size": 32, "window": 32}


def tune(text: Path, **options: Any) -> Tuning:
    return ricorda.tune(text, **{**STEPS, "trials": 5, **options})


def test_the_first_trial_has_the_planners_settings_and_the_best_is_as_good(text: Path) -> None:
    done = tune(text)
    assert [each.number for each in done.trials] == list(range(5))
    first, *others = done.trials
    assert (first.is_planned, first.state) == (True, "complete")
    assert not any(each.is_planned for each in others)
    assert {each.state for each in others} <= {"complete", "stopped"}
    assert done.best is not None
    assert done.best.nats_per_character is not None
    assert first.nats_per_character is not None
    assert done.best.nats_per_character <= first.nats_per_character
    planned = ricorda.train(text, out="planned", **STEPS)
    assert first.nats_per_character == planned.metrics["validation"]["nats_per_character"]


def test_options_that_were_given_are_fixed_and_the_others_are_those_of_the_trial(
    text: Path,
) -> None:
    done = tune(text, dropout=0.25)
    names = {each.name for each in done.space}
    assert names == {"learning_rate", "recurrent_dropout", "weight_decay"}
    for each in done.trials:
        settings = read_record(RunFolder(done.folder / "trials" / f"{each.number:03d}")).training
        assert settings.dropout == 0.25
        assert settings.model.hidden_size == 8
        assert {name: getattr(settings, name) for name in names} == each.options


def test_stopped_trials_took_fewer_steps(text: Path) -> None:
    done = tune(text, trials=8)
    stopped = [each for each in done.trials if each.state == "stopped"]
    assert stopped
    for each in stopped:
        assert 1 / 9 <= each.share < 1
        folder = RunFolder(done.folder / "trials" / f"{each.number:03d}")
        steps = [int(path.name) for path in folder.checkpoints.iterdir()]
        assert max(steps) == round(27 * each.share)


def test_the_best_settings_are_a_file_for_train(text: Path) -> None:
    done = tune(text, vocabulary="bytes")
    assert done.best is not None
    options = tomllib.loads((done.folder / "best.toml").read_text())
    assert done.best.options.items() <= options.items()
    assert (options["steps"], options["vocabulary"], options["hidden_size"]) == (27, "bytes", 8)
    command = ["train", "my.txt", "--config", str(done.folder / "best.toml"), "--out", "again"]
    from ricorda.cli.main import main

    assert main([*command, "--threads", "1", "--quiet"]) == 0
    *_, last = (RunFolder(Path("again")).metrics).read_text().splitlines()
    assert json.loads(last)["validation"]["nats_per_character"] == done.best.nats_per_character


def test_the_report_shows_every_trial(text: Path) -> None:
    done = tune(text)
    page = (done.folder / "report.html").read_text()
    assert page.count("<polyline") == 5
    assert page.count('class="path best"') == 1
    for row in done.table():
        assert f'<th scope="row" class="number">{row[0]}</th>' in page
    assert set(done.importances) == {each.name for each in done.space}
    assert sum(done.importances.values()) == pytest.approx(1)
    assert "--config" in page


def test_an_interrupted_search_continues_its_trial(text: Path) -> None:
    options = {**STEPS, "trials": 3}
    del options["quiet"]
    parts = []
    for step in (20, 24):  # both in the first trial, which is never stopped early
        part = run_tuning(text, reporter=InterruptAt(step), **options)
        assert part.signal_number is not None
        parts.append([(each.number, each.state) for each in part.trials])
    assert parts == [[(0, "running")]] * 2
    done = run_tuning(text, quiet=True, **options)
    assert [each.number for each in done.trials] == [0, 1, 2]
    assert not any(each.state == "running" for each in done.trials)
    whole = tune(text, trials=3, out="whole")
    assert done.trials[0].nats_per_character == whole.trials[0].nats_per_character


def test_a_finished_search_trains_nothing(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = tune(text)
    monkeypatch.setattr("ricorda.experiments.trial.new_run", None)
    again = tune(text)
    assert again.trials == done.trials


def test_a_trial_that_fails_is_counted_and_reported(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def new_run(*texts: str, **options: Any) -> ricorda.Run:
        if Path(options["out"]).name == "002":
            raise TrainingError("the weights are no longer finite")
        return before(*texts, **options)

    before = run.new_run
    monkeypatch.setattr("ricorda.experiments.trial.new_run", new_run)
    reporter = DoAt(lambda: None)
    options = {**STEPS, "trials": 4}
    del options["quiet"]
    done = ricorda.tune(text, reporter=reporter, **options)
    assert [each.state for each in done.trials].count("failed") == 1
    assert done.trials[2].error == "the weights are no longer finite"
    assert any("trial 3 of 4 failed" in line for line in reporter.said)


def test_cells_are_searched_from_the_planners_settings_of_each(text: Path) -> None:
    done = tune(text, cells=["lstm", "gru"])
    assert [each.options["cell"] for each in done.trials if each.is_planned] == ["lstm", "gru"]
    assert [each.number for each in done.trials if each.is_planned] == [0, 1]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"cells": ["lstm", "none"]}, "expected cells among .*, got none"),
        ({"cells": ["lstm"], "cell": "gru"}, "got both"),
        ({"minutes": 1, "steps": 5}, "expected one budget"),
        ({"minutes": 0.01, "trials": 1000}, "too few for 1000 trials"),
        ({"trials": 0}, "trials must be at least 1"),
        ({"learning_rate": 20.0}, "learning_rate must be at most 10"),
        (
            dict.fromkeys(("dropout", "recurrent_dropout", "weight_decay"), 0.01)
            | {"learning_rate": 0.01},
            "every option that is searched was given",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(
    text: Path, options: dict[str, Any], message: str
) -> None:
    small = {**SMALL, **({} if "minutes" in options else {"steps": 5})}
    with pytest.raises(ConfigurationError, match=message):
        ricorda.tune(text, quiet=True, **{**small, **options})


def test_a_folder_is_not_mixed_with_another_search(text: Path) -> None:
    tune(text, trials=1)
    with pytest.raises(RunError, match="with trials 1, not 2"):
        tune(text, trials=2)


def test_without_optuna_it_says_what_to_install(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ricorda\[tune\]'"):
        ricorda.tune(text)


# The trials without training.


def folder_at(path: Path) -> ExperimentFolder:
    path.mkdir()
    return ExperimentFolder(path)


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    return folder_at(tmp_path / "search")


def search(folder: ExperimentFolder, trials: int, seed: int = 1) -> Any:
    found = study.Search(folder, SPACE, trials, seed)
    with folder.locked():
        found.begin([PLANNED])
    return found


EVALUATIONS = 8


def falling(start: float) -> Callable[[float], float]:
    """A loss that falls by 1 in a whole trial."""
    return lambda share: start - share


def train(claim: Any, losses: Callable[[float], float], budget: float) -> None:
    """Report evaluations, as a training does."""
    for number in range(1, EVALUATIONS + 1):
        share = number / EVALUATIONS
        if claim.should_stop(share, losses(share), budget):
            claim.stop()
            break
    else:
        claim.complete(losses(1.0))
    claim.release()


@pytest.mark.parametrize(
    "budget, trials, improves", [(3.0, 12, False), (1 + 9 / 9, 10, True), (5.5, 12, True)]
)
def test_all_trials_together_stay_within_the_budget(
    folder: ExperimentFolder,
    budget: float,
    trials: int,
    improves: bool,
    random: np.random.Generator,
) -> None:
    searched = search(folder, trials)
    while (claim := searched.claim()) is not None:
        level = -float(claim.number) if improves else float(random.standard_normal())
        train(claim, falling(level), budget)
    found = searched.results()
    assert len(found) == trials
    assert found[0].state == "complete"
    # A trial that is stopped at a rung was evaluated at the first evaluation after it.
    assert sum(each.share for each in found) <= budget + trials / EVALUATIONS
    if improves and budget > 5:  # each is the best so far, and continues while there is budget
        assert sum(each.state == "complete" for each in found) >= 3


def test_only_the_best_third_continues(folder: ExperimentFolder) -> None:
    searched = search(folder, 10)
    while (claim := searched.claim()) is not None:
        loss = float(claim.number)  # each is worse than those before it
        train(claim, falling(loss), 100.0)
    states = [each.state for each in searched.results()]
    assert states == ["complete", *["stopped"] * 9]


def test_a_trial_of_a_process_that_died_is_taken_by_another(folder: ExperimentFolder) -> None:
    one, other = search(folder, 3), search(folder, 3)
    first, second = one.claim(), other.claim()
    assert (first.number, second.number) == (0, 1)
    assert not first.should_stop(0.05, 1.0, 100.0)
    first.release()  # as the system does when a process ends
    again = other.claim()
    assert again.number == 0
    assert again.options == first.options == PLANNED
    third = one.claim()
    assert third.number == 2
    assert one.claim() is None
    for claim in (again, second, third):
        claim.complete(1.0)
        claim.release()
    assert [each.state for each in one.results()] == ["complete"] * 3
    assert not one.is_running


def test_a_search_draws_the_same_settings_again(tmp_path: Path) -> None:
    drawn: list[Sequence[Any]] = []
    for name in ("one", "two"):
        made = folder_at(tmp_path / name)
        options = []
        while (claim := search(made, 6, seed=3).claim()) is not None:  # as if resumed each time
            options.append(claim.options)
            train(claim, falling(claim.options["learning_rate"]), 100.0)
        drawn.append(options)
    assert drawn[0] == drawn[1]
    assert len({json.dumps(each) for each in drawn[0]}) == 6


def test_the_option_that_matters_is_the_most_important(folder: ExperimentFolder) -> None:
    searched = search(folder, 20)
    while (claim := searched.claim()) is not None:
        loss = abs(np.log(claim.options["learning_rate"] / 0.01))
        train(claim, falling(float(loss)), 100.0)
    found = study.importances(searched.results(), SPACE)
    assert max(found, key=found.__getitem__) == "learning_rate"
    assert sum(found.values()) == pytest.approx(1)
    assert study.importances(searched.results()[:3], SPACE) == {}


def test_a_path_may_have_any_characters(tmp_path: Path) -> None:
    made = folder_at(tmp_path / "a?b {c} %20 è")
    claim = search(made, 1).claim()
    assert claim.number == 0
    os.close(claim._lock)
    assert made.study.exists()
