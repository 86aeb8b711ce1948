"""The settings that the form shows as placeholders are those that a training chooses."""

from pathlib import Path
from typing import Any

import pytest

from ricorda.errors import ConfigurationError
from ricorda.studio.planning import planned
from ricorda.studio.reading import Reading
from ricorda.studio.settings import FORM, TrainingRequest
from ricorda.studio.texts import Texts
from ricorda.studio.workspace import Workspace
from ricorda.training.plan import forecast as forecasting
from tests.studio.conftest import TEXT

OPERATIONS = 3e11  # a second: what a planner assumes of a machine that was not measured


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "bottles.txt"
    path.write_text(TEXT)
    return path


def plan(text: Path, **asked: Any) -> dict[str, Any]:
    texts = Texts(Workspace(text.parent / "runs", text.parent), 10**6)
    return planned(TrainingRequest(text=text.name, **asked), text, texts.parts, cores=1)


@pytest.mark.parametrize(
    "asked",
    [
        {"hidden_size": 12},
        {"hidden_size": 12, "steps": 50, "num_layers": 2},
        {"hidden_size": 48, "batch_size": 8, "window": 32, "seed": 7},
        {"hidden_size": 12, "cell": "gru", "minutes": 0.5},
        {"hidden_size": 12, "documents": "lines", "test_fraction": 0.1},
        {"hidden_size": 12, "vocabulary": "bytes"},
        {"minutes": 1.0},
    ],
    ids=str,
)
def test_the_plan_is_that_of_the_training(
    text: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecasting, "measure_speed", lambda *_: 1000.0)
    monkeypatch.setattr(forecasting, "_operations", lambda *_: OPERATIONS)
    expected = forecasting.forecast(text, threads=1, quiet=True, **asked).configuration
    found = plan(text, **asked)["settings"]
    for name in ("batch_size", "window", "learning_rate", "dropout", "seed", "threads"):
        assert found[name] == getattr(expected, name), name
    assert found["hidden_size"] == expected.model.hidden_size
    assert found["num_layers"] == expected.model.num_layers
    assert found["minutes"] == expected.budget.minutes


def test_a_plan_is_of_fields_of_the_form(text: Path) -> None:
    found = plan(text)
    assert set(found["settings"]) <= set(FORM)
    assert set(found["estimated"]) <= set(found["settings"])


@pytest.mark.parametrize(
    "asked, estimated",
    [({}, True), ({"minutes": 2.0}, True), ({"steps": 9}, False), ({"hidden_size": 8}, False)],
)
def test_what_depends_on_speed_is_an_estimate(
    text: Path, asked: dict[str, Any], estimated: bool
) -> None:
    assert ("hidden_size" in plan(text, **asked)["estimated"]) == estimated


@pytest.mark.parametrize("vocabulary", ["words", "pieces:64"])
def test_nothing_is_planned_for_symbols_that_are_yet_to_be_learned(
    text: Path, vocabulary: str
) -> None:
    assert plan(text, vocabulary=vocabulary) == {"settings": {}, "estimated": []}


def test_no_text_is_read_for_options_that_contradict() -> None:
    def unread(reading: Reading) -> Any:
        raise AssertionError(reading)

    request = TrainingRequest(text="bottles.txt", vocabulary="bytes", min_count=3)
    with pytest.raises(ConfigurationError, match="--min-count 3"):
        planned(request, Path("bottles.txt"), unread, cores=1)


def test_threads_are_at_most_the_cores(text: Path) -> None:
    assert plan(text, threads=64)["settings"]["threads"] == 1
