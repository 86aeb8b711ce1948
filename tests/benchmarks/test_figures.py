"""Ratios are measured in alternating runs."""

from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks import figures
from benchmarks.figures import Ratio, Result, ratio_of


def test_a_ratio_is_the_median_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(figures, "time", Mock(perf_counter=lambda: now[0]))
    turns: list[str] = []

    def work(name: str, seconds: float) -> Any:
        def run(units: int) -> None:
            turns.append(name)
            now[0] += seconds * units

        return run

    ratio = figures.compare(work("ours", 0.001), work("peer", 0.004), rounds=3)
    assert ratio.median == pytest.approx(4)
    assert ratio.least == pytest.approx(4)
    assert ratio.ours == pytest.approx(0.001)
    assert turns[-6:] == ["ours", "peer"] * 3


def test_units_that_are_done_together_and_a_slow_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, calls = [0.0], list[int]()
    monkeypatch.setattr(figures, "time", Mock(perf_counter=lambda: now[0]))

    def work(units: int) -> None:
        now[0] += 5.0 if not calls else 0.001 * -(-units // 20)
        calls.append(units)

    ratio = figures.compare(work, work, rounds=3, multiple=20)
    assert ratio.ours == ratio.peer == pytest.approx(0.001 / 20)
    assert all(units % 20 == 0 for units in calls)
    assert calls[-1] * 0.001 / 20 == pytest.approx(figures.SECONDS)


def test_a_result_has_its_figures_and_its_bound() -> None:
    ratio = Ratio(2.0, 1.0, 3.0, 0.5, 1.0)
    figures = Result("step", "PyTorch", ratio, 1.5, details={"epochs": 5}).as_json()
    assert figures == {
        "what": "step",
        "against": "PyTorch",
        "wanted": 1.5,
        "at_most": False,
        "times": {"median": 2.0, "least": 1.0, "most": 3.0},
        "seconds": {"ours": 0.5, "theirs": 1.0},
        "details": {"epochs": 5},
    }
    memory = Result("memory", "", Ratio(9, 9, 9), 700, at_most=True, unit="megabytes").as_json()
    assert memory["megabytes"] == {"median": 9, "least": 9, "most": 9}
    assert "seconds" not in memory


def test_ratios_of_whole_runs() -> None:
    ratio = ratio_of([(0.5, 2.0), (1.0, 2.0), (0.5, 3.0)])
    assert (ratio.median, ratio.least, ratio.most) == (4, 2, 6)
    assert (ratio.ours, ratio.peer) == (0.5, 2.0)


def test_a_table_names_the_bound_and_the_speeds(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result("step", "PyTorch", Ratio(12.3, 1.5, 20.0, 2e-6, 3e-3), 40)
    figures.show("engine", [result], as_json=False)
    assert capsys.readouterr().out.splitlines()[1].split() == [
        *("step", "PyTorch", "12.30", "1.50", "20.00", "at", "least", "40"),
        *("2.00", "us", "3.0", "ms"),
    ]
