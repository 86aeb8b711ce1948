"""Forecasts of a training, compared with the training."""

from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.errors import ConfigurationError, TextError
from ricorda.training.options import TrainingOptions
from ricorda.training.plan import forecast
from ricorda.training.plan import machine as device
from ricorda.training.plan.forecast import Forecast
from ricorda.training.plan.machine import MemoryNeed
from ricorda.training.report.progress import Silent
from tests.training.small_runs import BOTTLES

SMALL: dict[str, Any] = {"hidden_size": 12, "batch_size": 4, "window": 16, "threads": 1}


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(forecast, "measure_speed", lambda *_: 50.0)
    path = tmp_path / "bottles.txt"
    path.write_text(BOTTLES)
    return path


def expect(text: Path, **options: Any) -> Forecast:
    return forecast.forecast(text, reporter=Silent(), **(SMALL | options))


@pytest.mark.parametrize("options", [{"steps": 7}, {"epochs": 0.5}, {"epochs": 2, "batch_size": 9}])
def test_it_tells_what_the_run_then_does(text: Path, options: dict[str, Any]) -> None:
    expected = expect(text, **options)
    assert list(text.parent.iterdir()) == [text]
    run = ricorda.train(text, quiet=True, **(SMALL | options))
    assert expected.steps == run.metrics["steps"]
    assert expected.characters == run.metrics["characters_seen"]
    for name in ("training_characters", "validation_characters", "vocabulary_size", "parameters"):
        assert expected.as_json()[name] == run.metrics[name]
    assert expected.passes == pytest.approx(expected.characters / expected.training_characters)
    assert expected.seconds >= expected.steps / 50


def test_minutes_buy_steps_at_the_measured_speed(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "_evaluation_seconds", lambda *_: 0.5)
    expected = expect(text, minutes=2)
    assert expected.configuration.evaluations == 20
    assert expected.steps == pytest.approx((0.98 * 120 - 20 * 0.5) * 50, abs=2)
    assert expected.seconds == pytest.approx(0.98 * 120, abs=0.1)
    assert expect(text, minutes=0.001).steps == 1


def test_bytes_are_reported_in_characters(text: Path) -> None:
    text.write_text("però è così\n" * 50)
    expected = expect(text, vocabulary="bytes", steps=3)
    assert expected.characters == round(3 * 4 * 16 * 12 / 15)


def test_averaged_weights_need_memory_and_a_second_evaluation(text: Path) -> None:
    plain, averaged = expect(text, steps=2), expect(text, steps=2, averaging=0.9)
    parameters = plain.configuration.model.parameters
    # the average itself, and its copy in a checkpoint
    assert averaged.memory_bytes - plain.memory_bytes == 2 * 4 * parameters


def test_a_training_may_take_all_memory_and_not_a_byte_more(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = expect(text, steps=2).configuration
    monkeypatch.setattr(device, "memory_need", lambda *_: MemoryNeed(400, 300, 200, 100))
    monkeypatch.setattr(device, "memory_of", lambda _: 1000)
    assert device.check_memory(configuration, 100).total == 1000
    monkeypatch.setattr(device, "memory_of", lambda _: 999)
    with pytest.raises(ConfigurationError, match="expected a training that fits"):
        device.check_memory(configuration, 100)


@pytest.mark.parametrize("command", [ricorda.train, forecast.forecast])
def test_what_the_machine_cannot_hold_is_refused(
    text: Path, monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    monkeypatch.setattr(device, "memory_of", lambda _: 10**9)
    with pytest.raises(ConfigurationError, match=r"needs about .* lower --hidden-size"):
        command(text, hidden_size=20_000, quiet=True)
    with pytest.raises(ConfigurationError, match="lower --batch-size, --window or --hidden-size"):
        command(text, batch_size=65_536, hidden_size=64, quiet=True)
    assert list(text.parent.glob("runs/*")) == []


@pytest.mark.parametrize(
    "physical, limit, expected",
    [(8, None, 8), (8, 3, 3), (8, 2**63 - 4096, 8), (None, 5, 5), (None, None, None)],
)
def test_the_memory_is_the_smaller_of_the_machines_and_its_groups(
    monkeypatch: pytest.MonkeyPatch, physical: int | None, limit: int | None, expected: int | None
) -> None:
    monkeypatch.setattr(device, "_physical_memory", lambda: physical)
    monkeypatch.setattr(device, "memory_limit", lambda: limit)
    assert device.memory_of("cpu") == expected


def test_where_the_memory_is_unknown_nothing_is_refused(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "memory_of", lambda _: None)
    assert expect(text, steps=2).steps == 2


def test_what_train_refuses_is_refused(text: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"dropout must be at most 0\.99"):
        expect(text, dropout=2.0)
    with pytest.raises(TextError, match="expected a text to learn"):
        forecast.forecast()
    text.write_text("a")
    with pytest.raises(TextError, match="one character"):
        expect(text)


def test_an_apple_gpu_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_is_available", lambda _: True)
    monkeypatch.setattr(device, "require_torch", lambda *_: None)
    options = TrainingOptions(device="mps", processes=2)
    with pytest.raises(
        ConfigurationError, match="--device mps: 2 processes cannot share"
    ) as raised:
        device.this_machine(options)
    assert "\n" not in str(raised.value)
