"""Ratios are taken by turns."""

from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks import timing


def test_a_ratio_is_the_median_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(timing, "time", Mock(perf_counter=lambda: now[0]))
    turns: list[str] = []

    def work(name: str, seconds: float) -> Any:
        def run(units: int) -> None:
            turns.append(name)
            now[0] += seconds * units

        return run

    ratio = timing.compare(work("ours", 0.001), work("peer", 0.004), rounds=3)
    assert ratio.median == pytest.approx(4)
    assert ratio.least == pytest.approx(4)
    assert ratio.ours == pytest.approx(0.001)
    assert turns[-6:] == ["ours", "peer"] * 3
