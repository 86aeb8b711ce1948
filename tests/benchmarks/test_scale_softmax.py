"""What `ricorda bench scale` measures of a sampled softmax, in sizes that take no time."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from benchmarks import scale_softmax
from benchmarks.scale_training import generated_text
from benchmarks.steps import Step
from ricorda.engine import kernels_are_built
from ricorda.errors import TextError
from ricorda.text import Ids
from ricorda.training.configuration import TrainingConfiguration

pytestmark = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.timing.SECONDS", 0.01)
    monkeypatch.setattr(scale_softmax, "VOCABULARIES", (60, 4000))
    monkeypatch.setattr(scale_softmax, "SYMBOLS", 5000)
    monkeypatch.setattr(scale_softmax, "HIDDEN_SIZE", 4)


def test_speeds_are_compared_over_the_vocabularys_size() -> None:
    few, many = scale_softmax.measure_softmax(lambda _: None, rounds=2)
    assert [each.details["candidates"] for each in (few, many)] == [30, 512]
    for each in (few, many):
        assert each.ratio.least <= each.ratio.median <= each.ratio.most
        assert each.ratio.ours is not None


def test_a_sampled_step_is_measured_against_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("benchmarks.timing.time", Mock(perf_counter=lambda: now[0]))
    learned: list[TrainingConfiguration] = []

    def step_of(configuration: TrainingConfiguration, ids: Ids) -> Step:
        assert len(ids) == 5000
        learned.append(configuration)
        seconds = 0.002 if configuration.softmax_candidates else 0.014

        def step() -> float:
            now[0] += seconds
            return 0.0

        return step

    monkeypatch.setattr(scale_softmax, "step_of", step_of)
    few, many = scale_softmax.measure_softmax(lambda _: None, rounds=3)
    assert [each.softmax_candidates for each in learned] == [30, 0, 512, 0]
    assert [replace(each, softmax_candidates=0) for each in learned[::2]] == learned[1::2]
    for each in (few, many):
        assert each.ratio.median == pytest.approx(7)
        assert (each.ratio.ours, each.ratio.peer) == pytest.approx((0.002, 0.014))


def test_what_is_learned_in_the_same_time_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale_softmax, "SOFTMAX_CANDIDATES", 40)
    text = tmp_path / "many.txt"
    text.write_text(generated_text(300, 4000), encoding="utf-8")
    said: list[str] = []
    *_, found = scale_softmax.measure_softmax(said.append, rounds=2, text=text, minutes=0.01)
    assert [line.split(":")[0] for line in said] == ["seed 1", "seed 2"]
    assert (found.unit, found.at_most, found.wanted) == ("nats", True, 0.0)
    assert found.details["exact_nats_per_character"] > 1
    assert -2 < found.ratio.least <= found.ratio.median <= found.ratio.most < 2


def test_a_text_with_nothing_to_draw_from_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale_softmax, "SOFTMAX_CANDIDATES", 40)
    text = tmp_path / "few.txt"
    text.write_text(generated_text(40, 400), encoding="utf-8")
    with pytest.raises(TextError, match="more than 40 different characters"):
        list(scale_softmax.measure_softmax(lambda _: None, rounds=1, text=text))
