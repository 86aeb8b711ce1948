"""Searches: the planner's settings first, the budget kept, interruptions, several processes."""

import contextlib
import json
import os
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.cli.main import main
from ricorda.errors import ConfigurationError, MissingExtra, RunError, TrainingError
from ricorda.experiments import Tuning
from ricorda.experiments.folder import ExperimentFolder
from ricorda.experiments.search_space import Dimension
from ricorda.experiments.tuning import run_tuning
from ricorda.runs import RunFolder
from ricorda.training import run
from ricorda.training.checkpoint.record import read_record
from tests.experiments.conftest import SMALL, TEXT
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
    return ricorda.tune(text, **{**STEPS, **options})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with my.txt."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "my.txt").write_text(TEXT)
    return folder


@pytest.fixture(scope="module")
def searched(place: Path) -> Tuning:
    """A search of eight trials in that folder, of which some were stopped."""
    with contextlib.chdir(place):
        return tune(Path("my.txt"), trials=8)


@pytest.fixture
def there(place: Path, searched: Tuning, monkeypatch: pytest.MonkeyPatch) -> Tuning:
    """The same search, in its folder."""
    monkeypatch.chdir(place)
    return searched


def test_the_first_trial_has_the_planners_settings_and_the_best_is_as_good(there: Tuning) -> None:
    assert [each.number for each in there.trials] == list(range(8))
    first, *others = there.trials
    assert (first.is_planned, first.state) == (True, "complete")
    assert not any(each.is_planned for each in others)
    assert {each.state for each in others} <= {"complete", "stopped"}
    assert there.best is not None
    assert there.best.nats_per_character is not None
    assert first.nats_per_character is not None
    assert there.best.nats_per_character <= first.nats_per_character
    planned = ricorda.train("my.txt", out="planned", **STEPS)
    assert first.nats_per_character == planned.metrics["validation"]["nats_per_character"]


def test_options_that_were_given_are_fixed_and_the_others_are_those_of_the_trial(
    text: Path,
) -> None:
    done = tune(text, dropout=0.25, trials=3)
    names = {each.name for each in done.space}
    assert names == {"learning_rate", "recurrent_dropout", "weight_decay"}
    for each in done.trials:
        settings = read_record(RunFolder(done.folder / "trials" / f"{each.number:03d}")).training
        assert settings.dropout == 0.25
        assert settings.model.hidden_size == 8
        assert {name: getattr(settings, name) for name in names} == each.options


def test_stopped_trials_took_fewer_steps(there: Tuning) -> None:
    stopped = [each for each in there.trials if each.state == "stopped"]
    assert stopped
    for each in stopped:
        assert 1 / 9 <= each.share < 1
        run = RunFolder(there.folder / "trials" / f"{each.number:03d}")
        steps = [int(path.name) for path in run.checkpoints.iterdir()]
        assert max(steps) == round(27 * each.share)


def test_the_best_settings_are_a_file_for_train(there: Tuning) -> None:
    assert there.best is not None
    file = there.folder / "best.toml"
    options = tomllib.loads(file.read_text())
    assert there.best.options.items() <= options.items()
    assert (options["steps"], options["hidden_size"], options["cell"]) == (27, 8, "cifg")
    command = ["train", "my.txt", "--config", str(file), "--out", "again", "--threads", "1"]
    assert main([*command, "--quiet"]) == 0
    *_, last = RunFolder(Path("again")).metrics.read_text().splitlines()
    assert json.loads(last)["validation"]["nats_per_character"] == there.best.nats_per_character


def test_the_report_shows_every_trial(there: Tuning) -> None:
    page = (there.folder / "report.html").read_text()
    assert page.count("<polyline") == 8
    assert page.count('class="path best"') == 1
    for row in there.table():
        assert f'<th scope="row" class="number">{row[0]}</th>' in page
    assert set(there.importances) == {each.name for each in there.space}
    assert sum(there.importances.values()) == pytest.approx(1)
    assert "--config" in page


def test_a_finished_search_trains_nothing(there: Tuning, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ricorda.experiments.trial.new_run", None)
    assert tune(Path("my.txt"), trials=8).trials == there.trials
    with pytest.raises(RunError, match="with trials 8, not 9"):
        tune(Path("my.txt"), trials=9)


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
    whole = ricorda.train(text, out="whole", **STEPS)
    loss = whole.metrics["validation"]["nats_per_character"]
    assert done.trials[0].nats_per_character == loss


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
    assert any("trial 2 (3 of 4) failed" in line for line in reporter.lines)


def test_cells_are_searched_from_the_planners_settings_of_each(text: Path) -> None:
    done = tune(text, cells=["lstm", "gru"], trials=3)
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
        while (claim := search(made, 4, seed=3).claim()) is not None:  # as if resumed each time
            options.append(claim.options)
            train(claim, falling(claim.options["learning_rate"]), 100.0)
        drawn.append(options)
    assert drawn[0] == drawn[1]
    assert len({json.dumps(each) for each in drawn[0]}) == 4


def test_the_option_that_matters_is_the_most_important(folder: ExperimentFolder) -> None:
    searched = search(folder, 15)
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


def test_a_text_whose_name_is_not_utf8(text: Path) -> None:
    """TOML has no such text: the command in the file has the option."""
    name, other = Path("caf\udce9\r.txt"), Path("val\udcff.txt")
    name.write_bytes(text.read_bytes())
    other.write_bytes(text.read_bytes())
    done = tune(name, validation=other, trials=2)
    content = (done.folder / "best.toml").read_text("ascii")
    assert "validation" not in tomllib.loads(content)
    assert r"ricorda train $'caf\xe9\x0d.txt' --config" in content
    assert r"--validation $'" in content
    assert r"val\xff.txt'" in content
    assert (done.folder / "report.html").exists()
