"""Comparisons: what is trained, in which order, what a repeated call does, what is reported."""

import json
import math
import statistics
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.errors import RunError, TextError, TrainingError
from ricorda.experiments import Comparison
from ricorda.experiments.comparison import run_comparison
from ricorda.runs import RunFolder, read_rows
from ricorda.training import run
from ricorda.training.checkpoint.record import read_record
from tests.experiments.conftest import SMALL
from tests.training.reporters import DoAt, InterruptAt

STEPS: dict[str, Any] = {**SMALL, "steps": 6, "quiet": True}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that begin from now on."""
    names: list[str] = []

    def new_run(*texts: str, **options: Any) -> ricorda.Run:
        names.append(Path(options["out"]).name)
        return before(*texts, **options)

    before = run.new_run
    monkeypatch.setattr("ricorda.experiments.trial.new_run", new_run)
    return names


def test_each_value_is_trained_with_each_seed_in_turn(text: Path, trained: list[str]) -> None:
    done = ricorda.compare(text, cells=["lstm", "gru"], seeds=2, seed=5, **STEPS)
    assert trained == [
        *("cell-lstm-seed-5", "cell-gru-seed-5", "cell-lstm-seed-6", "cell-gru-seed-6"),
    ]
    assert done.folder == Path("experiments/my-cell")
    assert [row.label for row in done.rows] == ["lstm", "gru"]
    for row in done.rows:
        for seed, folder, loss in zip((5, 6), row.runs, row.nats_per_character, strict=True):
            settings = read_record(RunFolder(folder)).training
            assert (settings.model.cell, settings.seed) == (row.value, seed)
            assert row.parameters == settings.model.parameters
            *_, last = read_rows(RunFolder(folder).metrics)
            assert loss == last["validation"]["nats_per_character"]


def test_a_training_is_that_of_train(text: Path) -> None:
    done = ricorda.compare(text, vary={"dropout": [0.0, 0.3]}, seeds=1, **STEPS)
    for row in done.rows:
        options = {**STEPS, "dropout": row.value}
        alone = ricorda.train(text, out=f"alone-{row.value}", **options)
        assert alone.metrics["validation"]["nats_per_character"] == row.nats_per_character[0]


def test_numbers_may_be_numpys(text: Path) -> None:
    options = {**STEPS, "steps": np.int64(2), "window": np.int32(8)}
    shares = list(np.array([0, 0.5], np.float32))
    done = ricorda.compare(text, vary={"dropout": shares}, seeds=1, **options)
    assert [row.value for row in done.rows] == [0, 0.5]


def test_the_figures_of_a_value(text: Path) -> None:
    done = ricorda.compare(text, cells=["lstm", "rnn"], seeds=3, **STEPS)
    for row, saved in zip(done.rows, json.loads(results_of(done))["rows"], strict=True):
        losses = row.nats_per_character
        assert len(set(losses)) == 3
        assert row.mean == pytest.approx(statistics.mean(losses))
        assert row.deviation == pytest.approx(statistics.stdev(losses))
        assert row.characters_seen == 6 * 4 * 16
        assert saved["nats_per_character"]["mean"] == pytest.approx(row.mean)
        assert saved["bits_per_character"]["standard_deviation"] == pytest.approx(
            row.deviation / math.log(2)
        )
    assert done.best is min(done.rows, key=lambda row: row.mean)


def results_of(done: Comparison) -> str:
    return (done.folder / "results.json").read_text()


def test_a_repeated_call_trains_nothing_and_more_seeds_only_those(
    text: Path, trained: list[str]
) -> None:
    first = ricorda.compare(text, cells=["lstm", "gru"], seeds=1, **STEPS)
    del trained[:]
    again = ricorda.compare(text, cells=["lstm", "gru"], seeds=1, **STEPS)
    assert trained == []
    assert results_of(again) == results_of(first)
    more = ricorda.compare(text, cells=["gru", "rnn"], seeds=2, **STEPS)
    assert trained == ["cell-rnn-seed-1", "cell-gru-seed-2", "cell-rnn-seed-2"]
    assert more.rows[0].nats_per_character[0] == first.rows[1].nats_per_character[0]


def test_an_interrupted_comparison_continues_with_the_same_result(text: Path) -> None:
    options = {**STEPS, "seeds": 1}
    del options["quiet"]
    whole = run_comparison(text, cells=["lstm", "gru"], out="whole", quiet=True, **options)
    # Each training passes step 4 once: the first one is interrupted there, then the second one.
    for _ in range(2):
        part = run_comparison(
            text, cells=["lstm", "gru"], out="part", reporter=InterruptAt(4), **options
        )
        assert part.signal_number is not None
        assert (part.folder / "report.html").exists()
    done = run_comparison(text, cells=["lstm", "gru"], out="part", quiet=True, **options)
    assert done.signal_number is None
    assert [row.nats_per_character for row in done.rows] == [
        row.nats_per_character for row in whole.rows
    ]


def test_a_signal_is_raised_again(text: Path) -> None:
    options = {**STEPS, "seeds": 1}
    del options["quiet"]
    with pytest.raises(KeyboardInterrupt):
        ricorda.compare(text, cells=["lstm", "gru"], reporter=InterruptAt(3), **options)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"steps": 7}, "with steps 6, not 7"),
        ({"dropout": 0.5}, "with dropout unset, not 0.5"),
        ({"match": "parameters"}, "with match time, not parameters"),
        ({"seed": 2}, "with seed 1, not 2"),
    ],
)
def test_a_folder_is_not_mixed_with_another_comparison(
    text: Path, changed: dict[str, Any], message: str
) -> None:
    cells = ["lstm", "gru"]
    ricorda.compare(text, cells=cells, seeds=1, out="here", **STEPS)
    with pytest.raises(RunError, match=message):
        ricorda.compare(text, cells=cells, seeds=1, out="here", **{**STEPS, **changed})


def test_a_folder_of_others_is_refused(text: Path) -> None:
    Path("full").mkdir()
    Path("full/letter.txt").write_text("Dear")
    with pytest.raises(RunError, match="holds other files"):
        ricorda.compare(text, cells=["lstm", "gru"], out="full", **STEPS)
    with pytest.raises(RunError, match=r"my\.txt is a file"):
        ricorda.compare(text, cells=["lstm", "gru"], out="my.txt", **STEPS)


def test_standard_input_is_refused(text: Path) -> None:
    with pytest.raises(TextError, match="expected a text that each trial can read again"):
        ricorda.compare("-", cells=["lstm", "gru"])


def test_a_training_that_fails_leaves_the_others(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def new_run(*texts: str, **options: Any) -> ricorda.Run:
        if options["dropout"] == 0.5:
            raise TrainingError("the weights are no longer finite")
        return before(*texts, **options)

    before = run.new_run
    monkeypatch.setattr("ricorda.experiments.trial.new_run", new_run)
    reporter = DoAt(lambda: None)
    options = {**STEPS, "seeds": 1}
    del options["quiet"]
    done = ricorda.compare(text, vary={"dropout": [0.0, 0.5]}, reporter=reporter, **options)
    assert [len(row.figures) for row in done.rows] == [1, 0]
    assert done.rows[1].as_json()["nats_per_character"]["mean"] is None
    assert any("left out: the weights are no longer finite" in line for line in reporter.lines)
    assert done.best is done.rows[0]


class Page(HTMLParser):
    """The text and the elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_report_and_the_chart(text: Path) -> None:
    done = ricorda.compare(text, cells=["lstm", "gru"], seeds=2, **STEPS)
    page = Page((done.folder / "report.html").read_text())
    text_of_page = " ".join(page.words)
    for row in done.table():
        assert all(cell in text_of_page for cell in row), row
    assert page.tags.count("figure") == 2  # over time and over characters
    chart = (done.folder / "chart.svg").read_text()
    assert chart.startswith("<svg ")
    assert chart.count('class="value"') == 4
    assert chart.count('class="mean"') == 2
