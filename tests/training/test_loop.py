"""When the loop ends: patience, and returns to checkpoints."""

from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.errors import NonFiniteLoss, TrainingError
from ricorda.runs import read_rows
from ricorda.training.evaluation import QuickEvaluation
from ricorda.training.kernel_learner import KernelLearner
from ricorda.training.learner import Batch, StepMetrics

SMALL: dict[str, Any] = {"hidden_size": 4, "batch_size": 2, "window": 8, "threads": 1}


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "text.txt"
    path.write_text("abcd efgh\n" * 100)
    return path


@pytest.mark.parametrize("patience, steps", [(1, 30), (2, 60), (3, 100), (4, 200)])
def test_patience_ends_a_run_after_as_many_evaluations_without_a_better(
    text: Path, monkeypatch: pytest.MonkeyPatch, patience: int, steps: int
) -> None:
    better = [0.9 - 0.01 * number for number in range(10)]
    figures = iter([3.0, 2.0, 2.5, 1.9, 1.95, 1.9, 1.0, 1.1, 1.0, 1.2, *better])
    monkeypatch.setattr(QuickEvaluation, "nats_per_symbol", lambda *_, **__: next(figures))
    run = ricorda.train(text, steps=200, patience=patience, quiet=True, **SMALL)
    assert run.metrics["steps"] == steps  # 20 evaluations of 200 steps


def test_three_returns_are_tried_and_no_fourth(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []
    original = KernelLearner.take_step

    def take_step(learner: KernelLearner, batch: Batch, rate: float, step: int) -> StepMetrics:
        tried.append(rate)
        if len(tried) > 12:
            raise NonFiniteLoss("the loss is NaN")
        return original(learner, batch, rate, step)

    monkeypatch.setattr(KernelLearner, "take_step", take_step)
    with pytest.raises(TrainingError, match="3 returns to a checkpoint"):
        ricorda.train(text, steps=200, out=Path("run"), quiet=True, **SMALL)
    rows = list(read_rows(Path("run/metrics.jsonl")))
    returned = [row for row in rows if row["event"] == "returned"]
    assert [row["learning_rate_factor"] for row in returned] == [0.5, 0.25, 0.125]
    assert len(tried) == 12 + 4
