"""What `python -m benchmarks scale` measures of training: the trainings it asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu, growth
from benchmarks.training import Case
from ricorda.errors import ConfigurationError
from tests.benchmarks.conftest import Asked, trained

Answering = Callable[..., Asked]


def test_speeds_over_each_size_and_memory(
    asked: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "VARIED", {"hidden-size": (2, 4), "window": (8, 16)})
    monkeypatch.setattr(growth, "BASE", {"hidden-size": 4, "batch-size": 2, "window": 4})
    monkeypatch.setattr(growth, "MEMORY_HIDDEN_SIZES", (3,))
    monkeypatch.setattr(growth, "VOCABULARIES", (50,))
    monkeypatch.setattr(growth, "SYMBOLS", 500)
    calls = asked(growth, lambda options: trained(speed=float(options["window"])))
    results = list(growth.measure_training(rounds=1))
    assert [(call["hidden-size"], call["window"]) for call in calls] == [
        *(("2", "4"), ("4", "4"), ("4", "8"), ("4", "16"), ("3", "4"), ("4", "4"))
    ]
    assert all(call["precision"] == "float32" for call in calls)
    assert [each.ratio.median for each in results] == [4, 4, 8, 16, 100, 100]
    assert [each.unit for each in results] == ["characters_a_second"] * 4 + ["megabytes"] * 2


def test_processes_are_compared(asked: Answering, tmp_path: Path) -> None:
    calls = asked(
        growth, lambda options: trained(speed=900 if options["processes"] == "2" else 1000)
    )
    results = list(growth.measure_processes(rounds=2, text=tmp_path / "text.txt"))
    assert [(call["processes"], call["threads"]) for call in calls] == [("2", "1"), ("1", "2")] * 2
    *speeds, apart = results
    assert [each.ratio.median for each in speeds] == pytest.approx([0.9, 0.9])
    assert (apart.ratio.median, apart.wanted, apart.at_most) == (0.0, 1e-4, True)


def test_a_sampled_softmax_is_compared_with_the_whole(
    asked: Answering, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(growth, "SOFTMAX_VOCABULARIES", (60, 4000))
    monkeypatch.setattr(growth, "SYMBOLS", 5000)

    def answer(options: dict[str, Any]) -> Any:
        sampled = options["softmax-candidates"] != "0"
        return trained(speed=7000 if sampled else 1000, nats=2.1 if sampled else 2.0)

    calls = asked(growth, answer)
    few, many, learned = growth.measure_softmax(rounds=2, text=tmp_path / "my.txt", minutes=0.5)
    assert [call["softmax-candidates"] for call in calls] == [
        *["30", "0"] * 2,
        *["512", "0"] * 4,
    ]
    assert [(call["minutes"], call["seed"]) for call in calls[8:]] == [
        *(("0.5", seed) for seed in "1122")
    ]
    assert (few.ratio.median, many.ratio.median) == pytest.approx((7, 7))
    assert learned.ratio.median == pytest.approx(0.1)
    assert (learned.unit, learned.at_most, learned.wanted) == ("nats", True, 0.0)


def test_generated_text_has_every_symbol_and_depends_on_the_seed(tmp_path: Path) -> None:
    text = growth.write_generated(tmp_path / "a", 300, 5000).read_text("utf-8")
    assert (len(text), len(set(text))) == (5000, 300)
    assert text == growth.write_generated(tmp_path / "b", 300, 5000).read_text("utf-8")
    first, second = (growth.generated_symbols(300, 5000, seed) for seed in (1, 2))
    assert (first != second).any()


def test_without_a_gpu_the_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="no CUDA GPU"):
        list(gpu.measure_gpu(rounds=1, text=None, nanogpt=None))


def test_a_share_of_the_peak_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "our_speed", lambda *_: 50.0)
    found = gpu.speed("cuda", Case("lstm", 4), 1e6, rounds=1)
    vocabulary_size = (found.details["share_of_peak"] * 1e6 / 50 / 6 - 4 * 4 * (4 + 64)) / 4
    assert vocabulary_size == pytest.approx(round(vocabulary_size))
    assert 30 < vocabulary_size < 100


def test_the_peak_is_that_of_the_fastest_products(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 9.0, 10.0, 12.0, 20.0, 21.0])  # a warm-up, then 2 s and 1 s
    monkeypatch.setattr("benchmarks.gpu.time.perf_counter", lambda: next(moments))
    peak = gpu.operations_a_second("cpu", "float32", size=32, turns=2)
    assert peak == pytest.approx(10 * 2 * 32**3 / 1.0)
