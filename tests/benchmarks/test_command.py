"""`python -m benchmarks`: the command line around the measurements, made tiny."""

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from benchmarks import __main__ as program
from benchmarks import engine, figures, growth
from benchmarks.figures import Ratio, Result
from ricorda.engine import kernels_are_built

Call = Callable[..., tuple[object, str, str]]

needs_kernels = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*words: str | Path) -> tuple[object, str, str]:
        code: object = 0
        try:
            program.main([str(word) for word in words])
        except SystemExit as exit:
            code = exit.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything small, and no process of its own."""
    monkeypatch.setattr(figures, "SECONDS", 1e-4)
    monkeypatch.setattr(engine, "CASES", (engine.Case("rnn", 8, "float32", (1, 2, 3)),))
    monkeypatch.setattr(engine, "STREAMS", 2)
    monkeypatch.setattr(engine, "SCORED", 600)
    monkeypatch.setattr(engine, "SAMPLED", 2)
    monkeypatch.setattr("benchmarks.engine.subprocess.run", lambda *_, **__: None)


@needs_kernels
@pytest.mark.usefixtures("tiny")
def test_the_engine_is_measured(call: Call) -> None:
    code, out, _ = call("engine", "--rounds", "1", "--json")
    assert code == 0
    found = json.loads(out)["engine"]
    against = [each["against"] for each in found]
    assert {"PyTorch layer", "PyTorch cell", "one stream", "float32", "PyTorch"} <= set(against)


@needs_kernels
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_c_program_is_measured(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "SECONDS", 1e-4)
    monkeypatch.setattr("benchmarks.c_program.HIDDEN_SIZE", 8)
    code, out, _ = call("export", "--part", "c", "--rounds", "1", "--json")
    assert code == 0
    found = json.loads(out)["export"]
    assert [each["what"].split(", ")[1] for each in found] == ["int8", "float32"]


def test_adaptive_reading_is_measured(call: Call, tmp_path: Path) -> None:
    """A text that repeats, one that is too small, and one that is not text."""
    (tmp_path / "folder").mkdir()
    lines = "".join(f"line {number % 7} of the log\n" for number in range(400))
    (tmp_path / "folder" / "log.txt").write_text(lines)
    (tmp_path / "small.txt").write_text("too small")
    (tmp_path / "noise").write_bytes(bytes([255, 254, 0]) * 500)
    code, out, err = call("adaptive", tmp_path, "--least", "1KB", "--steps", "3", "--json")
    assert code == 0
    assert "noise: left out" in err
    [found] = json.loads(out)["adaptive"]
    assert found["text"] == "log.txt"
    assert found["size"] == len(lines) // 10
    assert found["adaptive"] < found["frozen"] / 2
    assert found["adaptive"] < found["networks"]
    assert 0 <= found["xz"] < 1


@needs_kernels
@pytest.mark.usefixtures("tiny")
def test_a_missing_peer_is_reported(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.engine.importlib.util.find_spec", lambda _: None)
    code, out, err = call("engine", "--rounds", "1", "--part", "steps", "--json")
    assert (code, json.loads(out)) == (0, {"engine": []})
    assert "torch is not installed" in err
    assert "onnx is not installed" in err


@needs_kernels
@pytest.mark.usefixtures("tiny")
def test_parts_are_measured_as_asked(call: Call) -> None:
    _, out, _ = call("engine", "--part", "ours", "--rounds", "1", "--json")
    found = [each["against"] for each in json.loads(out)["engine"]]
    assert found == ["a plain read", "one stream", "float32"]


@needs_kernels
@pytest.mark.usefixtures("tiny")
def test_what_choosing_among_the_likeliest_adds_is_measured(call: Call) -> None:
    code, out, _ = call("engine", "--part", "sampling", "--rounds", "1", "--json")
    assert code == 0
    found = json.loads(out)["engine"]
    assert [each["wanted"] for each in found] == [0.5] * 8
    assert {each["against"] for each in found} == {"all symbols"}


@needs_kernels
def test_settings_reach_a_part(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def measure(**settings: Any) -> list[Result]:
        asked.append(settings)
        return [Result("step", "PyTorch", Ratio(1, 1, 1))]

    monkeypatch.setattr(growth, "measure_softmax", measure)
    text = tmp_path / "my.txt"
    text.write_text("some text")
    words = ["scale", "--part", "softmax", "--rounds", "2", "--text", text, "--minutes", "0.5"]
    code, out, _ = call(*words, "--largest", "5MB")
    assert code == 0
    assert "PyTorch" in out
    (settings,) = asked
    assert settings["text"] == text
    assert (settings["rounds"], settings["minutes"]) == (2, 0.5)
    assert settings["largest"] == 5 * 10**6


@needs_kernels
def test_every_part_has_its_measurement() -> None:
    for name, parts in program.PARTS.items():
        for part in parts:
            module = f"benchmarks.{program.PLACES.get(part, program.MODULES[name])}"
            assert callable(getattr(importlib.import_module(module), f"measure_{part}"))


@needs_kernels
def test_a_folder_that_is_not_nanogpt_is_refused_before_anything_runs(
    call: Call, tmp_path: Path
) -> None:
    code, out, _ = call("train", "--nanogpt", tmp_path)
    assert "has no train.py" in str(code)
    assert out == ""


@needs_kernels
def test_a_text_that_is_missing_is_reported_before_anything_runs(call: Call) -> None:
    code, out, _ = call("train", "--text", "nowhere.txt")
    assert "nowhere.txt" in str(code)
    assert out == ""


@pytest.mark.parametrize("what", ["engine", "train"])
def test_without_kernels_there_is_nothing_to_measure(
    what: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ricorda.engine.kernels_are_built", lambda: False)
    code, _, _ = call(what)
    assert "the compiled kernels are missing" in str(code)


def test_every_command_has_its_help() -> None:
    assert set(program.command.commands) == {
        *("engine", "train", "documents", "export", "compress", "adaptive", "scale", "memory"),
        *("against", "precision", "finetune", "cells", "page"),
    }
    for each in program.command.commands.values():
        assert isinstance(each, click.Command)
        assert each.help
