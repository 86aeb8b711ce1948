"""Trainings in processes of their own: their speed, their memory, their errors."""

import sys
from pathlib import Path

import pytest

from benchmarks import against, memory, runs
from benchmarks.runs import Trained
from ricorda.engine import kernels_are_built
from ricorda.errors import ConfigurationError, InputError, RicordaError
from tests.benchmarks.conftest import Asked, trained

needs_kernels = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")


def test_memory_is_the_childs_alone() -> None:
    held = bytearray(200_000_000)  # of this process
    _, little = runs.measured([sys.executable, "-S", "-c", "pass"])
    program = "held = bytearray(60_000_000)\nfor i in range(0, len(held), 4096): held[i] = 1"
    printed, more = runs.measured([sys.executable, "-S", "-c", program + "\nprint('a\\nb')"])
    assert printed == "a\nb"
    assert little + 50 < more < len(held) / 1e6
    with pytest.raises(RicordaError, match="ended badly"):
        runs.measured([sys.executable, "-c", "import sys; sys.exit('ended badly')"])


def test_the_source_of_another_checkout_is_used(tmp_path: Path) -> None:
    (tmp_path / "ricorda.py").write_text("print('another')")
    printed, _ = runs.measured([sys.executable, "-c", "import ricorda"], tmp_path)
    assert printed == "another"


def test_the_speed_leaves_the_first_steps_out() -> None:
    rows = [{"characters_per_second": speed} for speed in (1, 2, 50, 40, 30, 20, 10, 60, 70, 80)]
    run = Trained(rows, {}, 0)
    assert run.speed() == 50
    assert run.speed(slower=0.9) == 80


@needs_kernels
def test_a_training_has_rows_a_result_and_memory(tmp_path: Path) -> None:
    text = tmp_path / "my.txt"
    text.write_text("abc abd\n" * 100)
    sizes = ["--hidden-size", "4", "--batch-size", "2", "--window", "4", "--steps", "3"]
    run = runs.train(text, tmp_path / "run", *sizes)
    assert len(run.rows) == 3
    assert run.result["steps"] == 3
    assert run.speed() > 0
    assert run.megabytes > 10
    text.write_text("")
    with pytest.raises(InputError, match=r"my.txt: empty; a text of at least 2"):
        runs.train(text, tmp_path / "other", *sizes)


@needs_kernels
def test_memory_is_compared_with_its_forecast() -> None:
    sizes = "--hidden-size 4 --threads 1"
    (result,) = memory.against_forecasts(5000, cases=(sizes,))
    assert result.ratio.median == pytest.approx(
        result.details["measured_megabytes"] / result.details["forecast_megabytes"]
    )
    assert list(memory.against_forecasts(1, cases=(sizes,))) == []


def test_the_memory_of_a_budget(asked: object, tmp_path: Path) -> None:
    calls: Asked = asked(memory, lambda _: trained(megabytes=5.0))  # type: ignore[operator]
    (result,) = memory.measure_memory(text=tmp_path / "my.txt", minutes=0.5)
    assert (result.ratio.median, result.unit, result.at_most) == (5.0, "megabytes", True)
    assert calls[0]["minutes"] == "0.5"
    assert list(memory.measure_memory(text=None, minutes=0.5)) == []


def checkout(folder: Path) -> Path:
    (folder / "src" / "ricorda").mkdir(parents=True)
    (folder / "src" / "ricorda" / "_kernels.so").touch()
    return folder


def test_another_checkout_is_measured_by_turns(
    asked: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(against, "TEXT_BYTES", 20_000)
    other = checkout(tmp_path / "other") / "src"

    def answer(options: dict[str, object]) -> Trained:
        is_other = options["source"] == other
        return trained(speed=1000 if is_other else 1100, nats=1.5 if is_other else 1.498)

    calls: Asked = asked(against, answer)  # type: ignore[operator]
    *speeds, quality = against.measure(
        tmp_path / "other", text=tmp_path / "my.txt", minutes=1, seeds=(1, 2, 3), rounds=2, steps=10
    )
    assert [call["source"] for call in calls] == [against.OURS, other] * (4 * 2 + 3)
    settings = [(call["cell"], call["hidden-size"], call["precision"]) for call in calls[:16:4]]
    assert settings == [
        *(("lstm", "512", "float32"), ("lstm", "512", "bfloat16")),
        *(("gru", "256", "float32"), ("gru", "256", "bfloat16")),
    ]
    assert all(call["batch-size"] == "16" and call["window"] == "64" for call in calls[:16])
    assert [call["seed"] for call in calls[16:]] == [*"112233"]
    assert [each.ratio.median for each in speeds] == pytest.approx([1.1] * 4)
    assert quality.ratio.median == pytest.approx(-0.002)
    assert quality.at_most


def test_a_folder_without_compiled_kernels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="compiled kernels"):
        against.source_of(tmp_path)
