"""What an evaluation makes of two figures."""

import math
from typing import Any

import pytest

from ricorda.training.evaluation import Judgement


@pytest.mark.parametrize(
    "raw, averaged, better",
    [(2.0, 1.5, True), (1.5, 2.0, False), (2.0, 2.0, False), (math.nan, 3.0, True)],
)
def test_the_better_weights_are_the_model(raw: float, averaged: float, better: bool) -> None:
    judgement = Judgement(raw, averaged, has_average=True)
    assert judgement.averaged_is_better is better
    assert judgement.nats_per_symbol == (averaged if better else raw)


def test_without_a_text_to_judge_by_the_average_is_the_model() -> None:
    judgement = Judgement(None, None, has_average=True)
    assert judgement.averaged_is_better
    assert judgement.nats_per_symbol is None


def test_a_row_has_both_figures_where_there_is_an_average() -> None:
    expected: dict[str, Any] = {"nats_per_character": 4.0}
    assert Judgement(2.0).figures(2.0) == expected
    expected |= {"raw_nats_per_character": 5.0, "averaged_nats_per_character": 4.0}
    assert Judgement(2.5, 2.0, has_average=True).figures(2.0) == expected
