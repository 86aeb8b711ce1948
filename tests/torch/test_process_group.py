"""Several ranks learn what one does; a signal or an error in one ends all. Ranks are threads."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.errors import ConfigurationError, TextError
from ricorda.interrupts import SIGNALS
from ricorda.runs import RunFolder, read_rows
from ricorda.training.loop import Loop
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.planner import Machine
from ricorda.training.process_group import ALONE, FLAGS, ProcessGroup, StepFlags
from ricorda.training.report.progress import Silent
from ricorda.training.start import NewRun, resume_run
from tests.training.reporters import Recorder
from tests.training.threads import in_threads

pytest.importorskip("ricorda._kernels")

TEXT = "".join(f"{number} bottles of beer on the wall\n" for number in range(100, 0, -1))
SMALL: dict[str, Any] = {
    "hidden_size": 12,
    "embedding_size": 5,
    "num_layers": 2,
    "batch_size": 5,
    "window": 16,
    "steps": 40,
    "threads": 1,
    "precision": "float32",
    "dropout": 0.2,
    "input_dropout": 0.1,
    "recurrent_dropout": 0.1,
    "averaging": 0.9,
}


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bottles.txt"
    path.write_text(TEXT)
    return path


def learn(size: int, text: Path, out: str, **options: Any) -> list[ricorda.Run]:
    """Train in several threads."""
    given = TrainingOptions(**(SMALL | {"out": Path(out)} | options))
    machine = Machine(device="cpu", threads=1, bfloat16=frozenset(), processes=size)

    def work(group: ProcessGroup) -> ricorda.Run:
        return NewRun([str(text)], given, frozenset(options), machine, Silent(), group).train()

    return in_threads(size, work)


def go_on(size: int, folder: str, *, steps: int | None = None) -> tuple[ricorda.Run, list[str]]:
    """Resume in several threads."""
    reporter, given = Recorder(), TrainingOptions(steps=steps)
    run = RunFolder(Path(folder))
    runs = in_threads(
        size,
        lambda group: resume_run(run, given, None, reporter if group.is_first else Silent(), group),
    )
    return runs[0], reporter.lines


def curve(folder: str, event: str = "training") -> list[tuple[int, float]]:
    rows = read_rows(RunFolder(Path(folder)).metrics)
    return [(row["step"], row["nats_per_character"]) for row in rows if row["event"] == event]


@pytest.mark.parametrize("size, options", [(2, {}), (3, {}), (3, {"softmax_candidates": 9})])
def test_ranks_learn_what_one_learns(text: Path, size: int, options: dict[str, Any]) -> None:
    (alone,) = learn(1, text, "one", **options)
    first, *others = learn(size, text, "several", **options)
    assert first.metrics == others[0].metrics
    assert [run.rank for run in [first, *others]] == list(range(size))
    for event in ("training", "evaluation"):
        for (step, nats), (its_step, its_nats) in zip(
            curve("one", event), curve("several", event), strict=True
        ):
            assert step == its_step
            assert nats == pytest.approx(its_nats, rel=1e-4)
    assert first.metrics["validation"] == pytest.approx(alone.metrics["validation"], rel=1e-4)
    assert first.metrics["best_step"] == alone.metrics["best_step"]
    assert json.loads(Path("several/config.json").read_text())["training"]["processes"] == size
    assert {path.name for path in Path("one").iterdir()} == {
        path.name for path in Path("several").iterdir()
    }


def test_a_resume_by_the_same_number_is_exact_and_by_another_to_rounding(text: Path) -> None:
    learn(2, text, "whole")
    learn(2, text, "half", steps=20)
    shutil.copytree("half", "by-one")
    shutil.copytree("half", "by-three")
    shutil.copytree("whole", "again")
    run, _ = go_on(2, "half", steps=40)
    assert run.metrics["steps"] == 40
    by_one, lines = go_on(1, "by-one", steps=40)
    assert [line for line in lines if "processes 2 is now 1" in line and "not bit for bit" in line]
    by_three, lines = go_on(3, "by-three", steps=40)
    assert [line for line in lines if "processes 2 is now 3" in line]
    for other in (by_one, by_three):
        assert other.metrics["validation"] == pytest.approx(run.metrics["validation"], rel=1e-4)
    assert curve("by-one")[-1][1] == pytest.approx(curve("half")[-1][1], rel=1e-4)


def test_an_interrupted_run_continues_to_the_same_bits(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(2, text, "whole")
    _interrupt_after(monkeypatch, rank=1, step=15)
    runs = learn(2, text, "stopped")
    assert [run.metrics["stopped_because"] for run in runs] == ["interrupted"] * 2
    assert [run.metrics["steps"] for run in runs] == [16, 16]
    assert {run.signal_number for run in runs} == {SIGNALS[1]}
    monkeypatch.undo()
    monkeypatch.chdir(text.parent)
    go_on(2, "stopped")
    assert Path("stopped/model.safetensors").read_bytes() == (
        Path("whole/model.safetensors").read_bytes()
    )


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, *, rank: int, step: int) -> None:
    """Have one rank get a signal to stop."""
    take = Loop._step

    def after(self: Any) -> None:
        take(self)
        if self.group.rank == rank and self.progress.step == step:
            self._interruption.signal_number = SIGNALS[1]

    monkeypatch.setattr(Loop, "_step", after)


def test_numbers_that_are_not_finite_in_one_process_lead_all_back(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Loop._step
    poisoned: list[bool] = []

    def step(self: Any) -> None:
        if self.group.rank == 1 and self.progress.step == 23 and not poisoned:
            poisoned.append(True)
            self.learner.arrays()["state.0.0"].fill(math.nan)
        take(self)

    monkeypatch.setattr(Loop, "_step", step)
    runs = learn(2, text, "back")
    rows = [row for row in read_rows(RunFolder(Path("back")).metrics) if row["event"] == "returned"]
    assert [(row["from_step"], row["step"]) for row in rows] == [(23, 22)]
    assert runs[0].metrics["steps"] == 40


def test_a_budget_in_minutes_is_the_first_ones(text: Path) -> None:
    runs = learn(2, text, "minutes", steps=None, minutes=0.02)
    assert runs[0].metrics == runs[1].metrics
    assert runs[0].metrics["steps"] > 10
    assert runs[0].metrics["stopped_because"] == "minutes"


def test_errors_of_the_first_are_raised_in_all(text: Path) -> None:
    text.write_text("a")
    with pytest.raises(TextError, match="one character"):
        learn(2, text, "short")
    assert not Path("short").exists()


def test_every_rank_must_have_a_stream(text: Path) -> None:
    learn(2, text, "few", batch_size=2, steps=2)
    with pytest.raises(ConfigurationError, match="a stream for each of 3 processes"):
        go_on(3, "few", steps=4)


def test_shares_are_all_streams_and_flags_add_up() -> None:
    for streams, size in [(5, 2), (64, 7), (3, 3)]:
        groups = [ProcessGroup() for _ in range(size)]
        for number, each in enumerate(groups):
            each.rank, each.size = number, size
        shares = [each.share(streams) for each in groups]
        assert [i for share in shares for i in range(streams)[share.rows]] == list(range(streams))
    assert ALONE.share(4).count == 4
    first, second = StepFlags(spent=True, save=True), StepFlags(signal_number=int(SIGNALS[1]))
    total = first.to_array() + second.to_array()
    assert StepFlags.from_sum(total) == StepFlags(int(SIGNALS[1]), spent=True, save=True)
    assert StepFlags.from_sum(StepFlags().to_array()) == StepFlags()


def test_flags_travel_with_the_step_and_clocks_count_in_the_first_alone() -> None:
    def work(group: ProcessGroup) -> tuple[list[float], StepFlags]:
        rank = group.rank
        group.set_flags(StepFlags(int(SIGNALS[0]) if rank else None, save=not rank, spent=rank > 0))
        values = np.full(2 + FLAGS, 1.0 + rank, np.float32)
        group.reduce_step(values)
        return values[:2].tolist(), group.flags(StepFlags)

    expected = ([3.0, 3.0], StepFlags(int(SIGNALS[0]), save=True))
    assert in_threads(2, work) == [expected] * 2


def test_rows_of_any_type_are_gathered_exactly() -> None:
    rows = np.array([[-0.0, np.nan], [np.inf, 1e-40], [3.0, -2.0]])

    def work(group: ProcessGroup) -> bytes:
        share = group.share(len(rows))
        return group.all_gather(rows[share.rows], share).tobytes()

    assert in_threads(2, work) == [rows.tobytes()] * 2


def test_an_error_of_one_is_raised_in_all_and_reported_by_one() -> None:
    def work(group: ProcessGroup) -> bool:
        def fail() -> None:
            raise TextError("broken")

        with pytest.raises(TextError, match="broken") as raised:
            group.first_does(fail)
        return raised.value.reported_elsewhere

    assert in_threads(3, work) == [False, True, True]


def test_one_process_of_each_machine_works_first() -> None:
    order: list[int] = []

    def work(group: ProcessGroup) -> int:
        group.is_first_of_machine = group.rank in (0, 2)
        group.machine_by_machine(lambda: order.append(group.rank))
        return group.machine_by_machine(lambda: group.rank)

    assert in_threads(4, work) == [0, 1, 2, 3]
    assert (set(order[:2]), set(order[2:])) == ({0, 2}, {1, 3})
