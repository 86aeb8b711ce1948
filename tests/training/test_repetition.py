"""Repeating a run: by its configuration, and by its recorded schedule for a budget in minutes."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.cli.train import with_options_of
from ricorda.model import read_model_file
from ricorda.runs import RunFolder, read_rows
from ricorda.training import Run
from ricorda.training import run as runs
from ricorda.training.kernel_learner import KernelLearner
from tests.training.reporters import InterruptAt
from tests.training.small_runs import BOTTLES

SMALL: dict[str, Any] = {
    "hidden_size": 12,
    "embedding_size": 5,
    "batch_size": 4,
    "window": 16,
    "threads": 1,
    "dropout": 0.2,
    "quiet": True,
}


class UnsteadyClock:
    """A clock by which a step takes 10 ms, from the 150th on 14 ms, from the 300th on 4 ms."""

    def __init__(self) -> None:
        self.now = 50.0
        self.steps = 0

    def monotonic(self) -> float:
        return self.now

    def advance(self) -> None:
        self.steps += 1
        self.now += 0.01 if self.steps < 150 else 0.014 if self.steps < 300 else 0.004


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> UnsteadyClock:
    clock = UnsteadyClock()
    for module in ("plan.budget", "loop"):
        monkeypatch.setattr(
            f"ricorda.training.{module}.time", SimpleNamespace(monotonic=clock.monotonic)
        )

    def step(*arguments: Any) -> Any:
        clock.advance()
        return take_step(*arguments)

    take_step = KernelLearner.take_step
    monkeypatch.setattr(KernelLearner, "take_step", step)
    return clock


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bottles.txt"
    path.write_text(BOTTLES)
    return path


def rows(run: Run) -> list[dict[str, Any]]:
    """The figures of steps and evaluations, without what depends on time."""
    timed = {"seconds", "characters_per_second"}
    return [
        {name: value for name, value in row.items() if name not in timed}
        for row in read_rows(RunFolder(run.folder).metrics)
        if row["event"] in ("training", "evaluation")
    ]


def assert_same(one: Run, other: Run) -> None:
    """The same steps, figures and weights, of the best model and of the last checkpoint."""
    assert rows(one) == rows(other)
    for name in ("steps", "best_step", "validation"):
        assert one.metrics[name] == other.metrics[name]
    ours, theirs = (read_model_file(RunFolder(run.folder).model).tensors for run in (one, other))
    for name, tensor in ours.items():
        np.testing.assert_array_equal(tensor, theirs[name], strict=True)
    assert last_checkpoint(one).read_bytes() == last_checkpoint(other).read_bytes()


def last_checkpoint(run: Run) -> Path:
    """The tensors of the checkpoint of the most steps, whose folder is called STEP or STEP.N."""
    found = Path(run.folder, "checkpoints").glob("*/tensors.safetensors")
    return max(found, key=lambda path: [int(part) for part in path.parent.name.split(".")])


def repeat(text: Path, run: Run, **given: Any) -> Run:
    options = with_options_of(Path(run.folder), given)
    return ricorda.train(text, quiet=True, **options)


def test_a_run_with_minutes_is_repeated_whatever_the_speed(
    text: Path, clock: UnsteadyClock
) -> None:
    run = ricorda.train(text, minutes=0.1, **SMALL)
    assert run.metrics["stopped_because"] == "minutes"
    record = json.loads((run.folder / "config.json").read_text())
    planned = [steps for _, steps in record["schedule"]["plans"]]
    assert len(planned) > 2, "the pretended clock should have made the plan change"
    clock.steps = 10_000  # another speed from here on: 4 ms a step
    again = repeat(text, run)
    assert again.metrics["steps"] == run.metrics["steps"]
    assert_same(run, again)
    assert_same(run, repeat(text, again))


def test_a_run_that_minutes_cut_off_is_repeated(text: Path, clock: UnsteadyClock) -> None:
    run = ricorda.train(text, minutes=0.004, **SMALL)
    clock.steps = 10_000
    assert_same(run, repeat(text, run))


def test_a_repetition_continues_after_an_interruption(text: Path, clock: UnsteadyClock) -> None:
    run = ricorda.train(text, minutes=0.1, **SMALL)
    options = with_options_of(Path(run.folder), {})
    stopped = runs.new_run(text, reporter=InterruptAt(170), **options)
    assert stopped.metrics["steps"] == 170
    clock.steps = 10_000
    assert_same(run, ricorda.resume(stopped.folder, quiet=True))


def test_a_run_that_got_more_steps_later_is_repeated(text: Path) -> None:
    stopped = runs.new_run(text, steps=60, reporter=InterruptAt(23), **SMALL)
    run = ricorda.resume(stopped.folder, steps=90, quiet=True)
    run = ricorda.resume(run.folder, steps=120, quiet=True)
    record = json.loads((run.folder / "config.json").read_text())
    assert record["schedule"]["plans"] == [[0, 60], [23, 90], [90, 120]]
    assert_same(run, repeat(text, run))


def test_steps_need_no_schedule(text: Path) -> None:
    run = ricorda.train(text, steps=30, **SMALL)
    assert json.loads((run.folder / "config.json").read_text())["schedule"] is None
    assert_same(run, repeat(text, run))


@pytest.mark.parametrize("given", [{"validation_fraction": 0.3}, {"validation": "other.txt"}])
def test_the_texts_division_is_repeated(text: Path, given: dict[str, Any]) -> None:
    (text.parent / "other.txt").write_text("7 bottles of beer\n" * 20)
    run = ricorda.train(text, steps=30, **SMALL, **given)
    validation = {name: value for name, value in given.items() if name == "validation"}
    assert_same(run, repeat(text, run, **validation))


def test_another_text_or_option_has_the_budget_and_not_the_schedule(
    text: Path, clock: UnsteadyClock
) -> None:
    run = ricorda.train(text, minutes=0.1, **SMALL)
    other = text.with_name("other.txt")
    other.write_text(BOTTLES + "one more line\n")
    clock.steps = 10_000
    assert repeat(other, run).metrics["stopped_because"] == "minutes"
    assert "schedule" not in with_options_of(Path(run.folder), {"seed": 2})
    assert "schedule" in with_options_of(Path(run.folder), {"out": Path("elsewhere")})


def test_an_interrupted_run_keeps_its_budget(text: Path, clock: UnsteadyClock) -> None:
    run = runs.new_run(text, minutes=0.1, reporter=InterruptAt(120), **SMALL)
    options = with_options_of(Path(run.folder), {})
    assert options["minutes"] == 0.1
    assert "schedule" not in options
