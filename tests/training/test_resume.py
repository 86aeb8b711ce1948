"""An interrupted run continues with bit-identical results, and may get a larger budget."""

import json
from typing import Any

import pytest

from ricorda.errors import ConfigurationError, NonFiniteLoss, RunError
from ricorda.runs import LOCK
from ricorda.training import Run
from ricorda.training import run as runs
from ricorda.training.loop import Loop
from tests.training.precision import skip_without_bfloat16
from tests.training.reporters import InterruptAt
from tests.training.small_runs import Learn, rows


def learned(run: Run) -> list[bytes]:
    """The best model, what it wrote, and the learner at the end."""
    last = run.folder / "checkpoints" / str(run.metrics["steps"]) / "tensors.safetensors"
    names = ("model.safetensors", "samples.jsonl")
    return [*((run.folder / name).read_bytes() for name in names), last.read_bytes()]


KINDS: list[dict[str, Any]] = [
    {"dropout": 0.4},
    {"precision": "bfloat16"},
    {"precision": "bfloat16", "dropout": 0.2},
    {"patience": 2, "learning_rate": 3.0},
    {"num_layers": 2, "dropout": 0.3},
    {"vocabulary": "bytes"},
    {"cell": "gru", "embedding_size": "onehot"},
    {"cell": "rnn", "nonlinearity": "relu", "num_layers": 2},
    {"steps": None, "epochs": 0.1},
    {"keep": 1},
    {"averaging": 0.9},
    {"averaging": 0.9, "backend": "torch"},
    {"recurrent_dropout": 0.3, "input_dropout": 0.2, "num_layers": 2},
    {"dropout": 0.4, "backend": "torch"},
    {"precision": "bfloat16", "backend": "torch"},
    {"precision": "bfloat16", "cell": "gru", "averaging": 0.8},
    {"softmax_candidates": 9, "averaging": 0.9},
    {"softmax_candidates": 9, "dropout": 0.3, "backend": "torch"},
    {"documents": "lines", "test_fraction": 0.1, "steps": 30},
    {"documents": "lines", "split": "blocks", "dropout": 0.2, "steps": 60, "averaging": 0.9},
    {"documents": "lines", "backend": "torch", "steps": 30},
    {"documents": "separator:beer", "vocabulary": "bytes", "softmax_candidates": 9},
]
"""Every option that has something to save: a new one is a line here."""


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_an_interrupted_run_continues_to_the_same_bits(
    learn: Learn, options: dict[str, Any]
) -> None:
    skip_without_bfloat16(options)
    whole = learn(**options)
    stopped = learn(**options, reporter=InterruptAt(3))
    assert stopped.metrics["steps"] == 3
    resumed = runs.resumed_run(stopped.folder, quiet=True)
    assert learned(resumed) == learned(whole)
    assert rows(resumed) == rows(whole)


def test_a_row_that_was_begun_is_gone_on_with(learn: Learn) -> None:
    options = {"steps": 410, "hidden_size": 2, "embedding_size": 2, "batch_size": 1, "window": 2}
    whole = learn(**options)
    stopped = learn(**options, reporter=InterruptAt(4))
    again = runs.resumed_run(stopped.folder, reporter=InterruptAt(8))
    assert again.metrics["steps"] == 8
    resumed = runs.resumed_run(stopped.folder, quiet=True)
    assert rows(resumed) == rows(whole)
    assert learned(resumed) == learned(whole)


def test_more_steps_continue_from_the_end(learn: Learn) -> None:
    ended = learn(steps=20)
    for steps in (None, 20):
        with pytest.raises(RunError, match="has ended"):
            runs.resumed_run(ended.folder, quiet=True, steps=steps)
    more = runs.resumed_run(ended.folder, steps=28, quiet=True)
    assert more.metrics["steps"] == 28
    assert [row["event"] for row in rows(more)].count("ended") == 1
    longer = learn(steps=28)
    rates = [
        {row["step"]: row["learning_rate"] for row in rows(run) if row["event"] == "training"}
        for run in (more, longer)
    ]
    for step in range(21, 29):  # as if the budget had been given at the beginning
        assert rates[0][step] == pytest.approx(rates[1][step], rel=1e-6)
    record = json.loads((more.folder / "config.json").read_text())
    assert record["training"]["budget"]["steps"] == 28


def test_more_steps_are_the_same_however_often_they_are_interrupted(learn: Learn) -> None:
    once, twice = learn(), learn()
    runs.resumed_run(once.folder, steps=12, quiet=True)
    runs.resumed_run(twice.folder, steps=12, reporter=InterruptAt(10))
    second = runs.resumed_run(twice.folder, quiet=True)
    assert learned(second) == learned(Run(once.folder, {**once.metrics, "steps": 12}))


def test_minutes_may_take_the_place_of_steps(learn: Learn) -> None:
    ended = learn()
    seconds = ended.metrics["train_seconds"]
    more = runs.resumed_run(ended.folder, minutes=(seconds + 0.5) / 60, quiet=True)
    assert more.metrics["stopped_because"] == "minutes"
    assert more.metrics["steps"] > 8


def test_a_larger_budget_restarts_the_patience(learn: Learn) -> None:
    ended = learn(patience=1, learning_rate=5.0, clip_norm=1e9, steps=40)
    assert ended.metrics["stopped_because"] == "patience"
    more = runs.resumed_run(ended.folder, steps=80, quiet=True)
    assert more.metrics["steps"] > ended.metrics["steps"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 7}, "beyond the 8 steps"),
        ({"steps": 3}, "beyond the 8 steps"),
        ({"epochs": 0.001}, "beyond the 8 steps"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 9, "minutes": 1}, "expected one budget"),
        ({"validation": "other.txt", "steps": 9}, "validates on a part of its own text"),
        ({"text": [], "steps": 9}, "expected a text, got none"),
    ],
    ids=str,
)
def test_what_a_resume_refuses(learn: Learn, options: dict[str, Any], message: str) -> None:
    ended = learn()
    before = content(ended)
    with pytest.raises(ConfigurationError, match=message):
        runs.resumed_run(ended.folder, quiet=True, **options)
    assert content(ended) == before


def content(run: Run) -> dict[str, bytes]:
    """Every file of a run's folder except its lock."""
    names = sorted(path for path in run.folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in names if path.name != LOCK}


@pytest.mark.parametrize("budget", [{"steps": 20}, {"epochs": 1.0}], ids=str)
def test_numbers_that_are_not_finite_under_a_larger_budget_lead_back(
    learn: Learn, monkeypatch: pytest.MonkeyPatch, budget: dict[str, Any]
) -> None:
    """The checkpoint that is returned to has the plan of the budget before."""
    ended = learn(learning_rate=1e-3)
    take = Loop._step
    poisoned: list[bool] = []

    def step(self: Loop) -> None:
        if not poisoned:
            poisoned.append(True)
            raise NonFiniteLoss("the loss is NaN")
        take(self)

    monkeypatch.setattr(Loop, "_step", step)
    more = runs.resumed_run(ended.folder, quiet=True, **budget)
    assert more.metrics["steps"] > 8
    assert [row["learning_rate_factor"] for row in rows(more) if row["event"] == "returned"] == [
        0.5
    ]


def test_the_number_of_checkpoints_kept_is_an_option(learn: Learn) -> None:
    kept = [len(list((learn(keep=keep).folder / "checkpoints").iterdir())) for keep in (1, 3)]
    assert kept[0] < kept[1]
