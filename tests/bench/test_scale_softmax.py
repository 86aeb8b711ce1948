"""What `ricorda bench scale` measures of a sampled softmax, in sizes that take no time."""

from pathlib import Path

import pytest

from ricorda.bench import scale_softmax
from ricorda.bench.scale_training import generated_text
from ricorda.engine import kernels_are_built
from ricorda.errors import TextError

pytestmark = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ricorda.bench.timing.SECONDS", 0.01)
    monkeypatch.setattr(scale_softmax, "VOCABULARIES", (60, 4000))
    monkeypatch.setattr(scale_softmax, "SYMBOLS", 5000)
    monkeypatch.setattr(scale_softmax, "HIDDEN_SIZE", 4)


def test_speeds_are_compared_over_the_vocabularys_size() -> None:
    few, many = scale_softmax.measure_softmax(lambda _: None, rounds=2)
    assert [each.details["candidates"] for each in (few, many)] == [30, 512]
    assert all(each.ratio.median > 0 and each.ratio.ours for each in (few, many))


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
