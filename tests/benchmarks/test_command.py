"""`ricorda bench`: the command line around the measurements, made tiny."""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    engine,
    scale_gpu,
    scale_softmax,
    timing,
    train,
    train_layer,
    train_memory,
    train_target,
)
from benchmarks.nanogpt import NEEDED
from benchmarks.result import Result
from benchmarks.timing import Ratio
from ricorda.engine import kernels_are_built

Call = Callable[..., tuple[int, str, str]]

needs_kernels = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything small, and no process of its own."""
    monkeypatch.setattr(timing, "SECONDS", 1e-4)
    monkeypatch.setattr(engine, "CASES", (engine.Case("rnn", 8, "float32", (1, 2, 3)),))
    monkeypatch.setattr(engine, "STREAMS", 2)
    monkeypatch.setattr(engine, "SCORED", 600)
    monkeypatch.setattr(engine, "SAMPLED", 2)
    monkeypatch.setattr("benchmarks.engine.subprocess.run", lambda *_, **__: None)
    sizes = train.Sizes(
        epochs=5,
        cases=(train_layer.Case("rnn", 8, 2, 1),),
        batch_size=2,
        layer_window=3,
        step_hidden_size=8,
        step_window=4,
        matrix_size=16,
    )
    monkeypatch.setattr(train, "Sizes", lambda: sizes)


@needs_kernels
@pytest.mark.usefixtures("tiny")
def test_the_engine_is_measured(call: Call) -> None:
    code, out, err = call("bench", "engine", "--rounds", "1", "--json")
    assert code == 0
    found = json.loads(out)["engine"]
    against = [each["against"] for each in found]
    assert {"PyTorch layer", "PyTorch cell", "one stream", "float32", "PyTorch"} <= set(against)
    assert all(each["times"]["least"] <= each["times"]["most"] for each in found)
    assert "rnn 8 float32, one stream / PyTorch layer: " in err


@needs_kernels
@pytest.mark.usefixtures("tiny")
def test_a_part_of_the_engine_is_measured_alone(call: Call) -> None:
    code, out, _ = call("bench", "engine", "--part", "ours", "--rounds", "1", "--json")
    assert code == 0
    found = [each["against"] for each in json.loads(out)["engine"]]
    assert found == ["a plain read", "one stream", "float32"]


@needs_kernels
def test_rounds_are_the_turns_of_each_side(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def run(_: object, rounds: int, parts: tuple[str, ...]) -> list[Result]:
        asked.append(rounds)
        assert parts == ("steps", "ours", "scoring", "process")
        return [Result("step", "PyTorch", Ratio(12.3, 1.5, 20.0, 2e-6, 3e-3), 40)]

    monkeypatch.setattr(engine, "run", run)
    code, out, _ = call("bench", "engine", "--rounds", "4")
    call("bench", "engine")
    assert (code, asked) == (0, [4, 9])
    assert out.splitlines()[1].split() == [
        *("step", "PyTorch", "12.30", "1.50", "20.00", "at", "least", "40"),
        *("2.0", "us", "3.0", "ms"),
    ]


@needs_kernels
@pytest.mark.usefixtures("tiny")
def test_training_is_measured_part_by_part(call: Call) -> None:
    words = ["--part", "layers", "--part", "share", "--rounds", "1"]
    code, out, err = call("bench", "train", *words, "--json")
    assert code == 0
    found = json.loads(out)["train"]
    assert found[0]["what"] == "rnn 8, layer forwards and backwards, float32"
    assert found[-1]["against"].startswith("torch.mm 16")
    assert "tutorial" not in err
    _, table, _ = call("bench", "train", *words)
    assert "GFLOP/s" in table
    assert "at least 0.6" in table


@needs_kernels
def test_text_nanogpt_and_minutes_reach_the_measurement(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, checkout = tmp_path / "my.txt", tmp_path / "peer"
    text.write_text("abc\n" * 50)
    (checkout / "config").mkdir(parents=True)
    for name in NEEDED:
        (checkout / name).write_text("")
    asked: list[Any] = []

    def target(*given: Any) -> list[Result]:
        asked.append(given[:3])
        return []

    def memory(text: Path, minutes: float) -> Result:
        asked.append((text, minutes))
        figures = Ratio(600.0, 600.0, 600.0)
        return Result("memory", "a limit", figures, 700, at_most=True, unit="megabytes")

    monkeypatch.setattr(train_target, "measure", target)
    monkeypatch.setattr(train_memory, "measure", memory)
    measure = functools.partial(call, "bench", "train", "--part", "target", "--part", "memory")
    code, _, err = measure()
    assert (code, asked) == (0, [])
    assert "without --text and --nanogpt" in err
    code, out, _ = measure("--text", text, "--nanogpt", checkout, "--minutes", "2")
    assert (code, asked) == (0, [(text, checkout, 3), (text, 2.0)])
    assert "at most 700" in out


@needs_kernels
def test_a_folder_that_is_not_nanogpt_is_refused_before_anything_runs(
    call: Call, tmp_path: Path
) -> None:
    code, out, err = call("bench", "train", "--nanogpt", tmp_path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "has no train.py" in err


@needs_kernels
def test_a_text_that_is_not_there_is_told_before_anything_runs(call: Call) -> None:
    code, out, err = call("bench", "train", "--text", "nowhere.txt")
    assert (code, out) == (2, "")
    assert "nowhere.txt" in err


@pytest.mark.parametrize("what", ["engine", "train"])
def test_without_kernels_there_is_nothing_to_measure(
    what: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ricorda.engine.kernels_are_built", lambda: False)
    code, _, err = call("bench", what)
    assert code == 1
    assert "the compiled kernels are missing" in err


@pytest.mark.parametrize("words", [(), ("--part", "training"), ("--part", "gpu")])
def test_what_learns_asks_for_pytorch_before_anything_runs(
    words: tuple[str, ...], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, err = call("bench", "scale", *words)
    assert (code, out) == (1, "")
    assert err == (
        "ricorda: training needs PyTorch, which is not installed: pip install 'ricorda[torch]'\n"
    )


@pytest.mark.parametrize("part, module, words, expected", [
    ("gpu", scale_gpu, ["--nanogpt", "peer"], {"nanogpt": Path("peer")}),
    ("softmax", scale_softmax, ["--minutes", "0.5"], {"minutes": 0.5}),
], ids=["gpu", "softmax"])  # fmt: skip
def test_a_text_and_settings_reach_a_part_of_scale(
    part: str,
    module: Any,
    words: list[str],
    expected: dict[str, Any],
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    asked: dict[str, Any] = {}

    def measure(say: Any, **settings: Any) -> list[Result]:
        asked.update(settings)
        return []

    monkeypatch.setattr(module, f"measure_{part}", measure)
    text = tmp_path / "my.txt"
    text.write_text("some text")
    scale = ("bench", "scale", "--part", part, "--rounds", "2")
    assert call(*scale, "--text", str(text), *words)[0] == 0
    assert asked == {"text": text, "rounds": 2, **expected}
    code, _, err = call(*scale, "--text", "nowhere.txt")
    assert code == 2
    assert "nowhere.txt" in err
