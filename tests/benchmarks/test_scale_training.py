"""What `ricorda bench scale` measures of training, in sizes that take no time."""

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from benchmarks import gpu_ways, nanogpt, scale_gpu, scale_plot, scale_training
from benchmarks.nanogpt import Moment
from benchmarks.result import Result
from benchmarks.timing import Ratio
from ricorda.engine import kernels_are_built
from ricorda.errors import ConfigurationError


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (scale_training, scale_gpu, gpu_ways):
        monkeypatch.setattr(module, "SECONDS", 0.01)


def test_speeds_over_each_size_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HIDDEN_SIZES", "BATCH_SIZES", "WINDOWS"):
        monkeypatch.setattr(scale_training, name, (2, 4))
    monkeypatch.setattr(scale_training, "BASE", {"hidden_size": 4, "batch_size": 2, "window": 4})
    monkeypatch.setattr(scale_training, "MEMORY_HIDDEN_SIZES", (3,))
    monkeypatch.setattr(scale_training, "VOCABULARIES", (50,))
    commands: list[list[str]] = []

    def peak(command: list[str]) -> float:
        commands.append(command)
        return 100.0

    monkeypatch.setattr(scale_training, "peak_megabytes", peak)
    monkeypatch.setattr("ricorda.training.plan.speed.measure_speed", lambda *_, **__: 50.0)  # steps
    results = list(scale_training.measure_training(lambda _: None))
    speeds = [each for each in results if each.unit == "characters_a_second"]
    assert [next(iter(each.details)) for each in speeds] == [
        *["hidden_size"] * 2,
        *["batch_size"] * 2,
        *["window"] * 2,
    ]
    symbols = [2 * 4, 2 * 4, 2 * 4, 4 * 4, 2 * 2, 2 * 4]  # of a step
    assert [each.ratio.median for each in speeds] == [50 * number for number in symbols]
    assert [each.ratio.median for each in results[6:]] == [100.0] * 3
    assert [command[-3] for command in commands[1:]] == ["auto", "off"]


@pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")
def test_processes_are_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ricorda

    train, asked = ricorda.train, []

    def alone(*texts: Any, processes: int, threads: int, out: Path, **options: Any) -> Any:
        asked.append((processes, threads))
        return train(*texts, out=out, threads=1, **options)

    monkeypatch.setattr(ricorda, "train", alone, raising=False)
    text = tmp_path / "text.txt"
    text.write_text(scale_training.generated_text(20, 2000))
    sizes = {"hidden_size": 4, "batch_size": 4, "window": 8}
    fastest, median, apart = scale_training.measure_processes(
        lambda _: None, rounds=2, text=text, steps=30, **sizes
    )
    assert asked == [(2, 1), (1, 2)] * 2
    for speed in (fastest, median):
        assert speed.wanted == 0.9
        assert speed.ratio.least <= speed.ratio.median <= speed.ratio.most
    assert (
        fastest.details["characters_a_second_of_one_process"]
        >= (median.details["characters_a_second_of_one_process"])
    )
    assert (apart.ratio.median, apart.wanted, apart.at_most) == (0.0, 1e-4, True)
    shutil.rmtree(tmp_path)


def test_generated_text_has_every_symbol_and_depends_on_the_seed() -> None:
    text = scale_training.generated_text(300, 5000)
    assert (len(text), len(set(text))) == (5000, 300)
    assert text == scale_training.generated_text(300, 5000)
    assert text != scale_training.generated_text(300, 5000, seed=2)


def test_without_a_gpu_the_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="no CUDA GPU"):
        list(scale_gpu.measure_gpu(lambda _: None, rounds=1))


def test_a_share_of_the_peak_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_gpu, "measure_speed", lambda *_, **__: 50.0)  # steps a second
    found = scale_gpu.speed("cpu", "float32", 4, 1e9, turns=1, batch_size=2, window=4)
    assert found.ratio.median == 50 * 2 * 4
    operations = 6 * (4 * 4**2 + 65 * 4)  # a symbol: two a weight forwards, four backwards
    share = found.ratio.median * operations / 1e9
    assert found.details["share_of_peak"] == pytest.approx(share)


def test_the_peak_is_that_of_the_fastest_products(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 9.0, 10.0, 12.0, 20.0, 21.0])  # a warm-up, then 2 s and 1 s
    monkeypatch.setattr(scale_gpu, "time", Mock(perf_counter=lambda: next(moments)))
    peak = scale_gpu.operations_a_second("cpu", "float32", size=32, turns=2)
    assert peak == pytest.approx(10 * 2 * 32**3 / 1.0)


def test_other_ways_are_measured_and_what_cannot_be_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_ways, "HIDDEN_SIZES", (4,))
    monkeypatch.setattr(gpu_ways, "STREAMS", 2)
    monkeypatch.setattr(gpu_ways, "STEPS", 4)
    monkeypatch.setattr(torch, "compile", lambda module: module)
    monkeypatch.setattr(torch.cuda, "Stream", None)  # as where there is none
    said: list[str] = []
    found = list(gpu_ways.measure(said.append, rounds=1, device="cpu"))
    assert [each.what.split(": ")[1] for each in found] == [
        what for what, *_ in gpu_ways.WAYS if "graph" not in what
    ]
    assert all(each.ratio.median > 0 for each in found)
    assert [line.split(",")[0] for line in said] == [
        what for what, *_ in gpu_ways.WAYS if "graph" in what
    ]


@pytest.mark.parametrize("best, said", [(1.2, 0), (1.6, 1)])
def test_the_time_to_the_target_is_told_whether_or_not_the_peer_reaches_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, best: float, said: int
) -> None:
    moments = [Moment(10.0, 2.0), Moment(40.0, best)]
    monkeypatch.setattr(nanogpt, "learn", lambda *_: moments)
    monkeypatch.setattr(scale_gpu, "seconds_to_target", lambda *_: [4.0, 5.0, 8.0])
    text = tmp_path / "text.txt"
    text.write_text(scale_training.generated_text(20, 2000))
    lines: list[str] = []
    results = list(scale_gpu.time_to_target(lines.append, text, tmp_path))
    assert [each.ratio.median for each in results] == [8.0]
    assert results[0].details["target_nats_per_character"] == max(1.4697, best)
    assert sum("which nanoGPT's run did not" in line for line in lines) == said


def test_plots_show_every_point(tmp_path: Path) -> None:
    results = [
        Result(
            f"training, hidden size {size}: characters a second",
            "",
            Ratio(speed, speed, speed),
            unit="characters_a_second",
            details={"hidden_size": size},
        ).as_json()
        for size, speed in ((64, 2e6), (256, 5e5), (1024, 4e4))
    ]
    (path,) = scale_plot.write_plots(results, tmp_path)
    svg = path.read_text()
    assert path.name == "scale-characters_a_second-hidden_size.svg"
    assert svg.count("<circle") == 3
    assert svg.startswith("<svg xmlns")
    assert "1,024" in svg
    assert "hidden size" in svg
