"""`ricorda.evaluate`: the figures of files, as the command measures them."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ricorda
from ricorda.cli.main import main
from ricorda.engine import Model, load
from ricorda.errors import ConfigurationError, InputError, TextError, VocabularyError
from tests.engine.conftest import byte_model, model
from tests.model.divided import LABELS, divided_model

__all__ = ["byte_model", "model"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text("abca\nbe\n")
    (tmp_path / "two.txt").write_text("cab\n")
    return tmp_path


def of_the_command(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["evaluate", "model.safetensors", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_it_measures_what_the_command_does(
    model: Model, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.save("model.safetensors")
    cases: list[tuple[int | None, list[str]]] = [(None, []), (3, ["--window", "3"])]
    for window, words in cases:
        found = ricorda.evaluate(load("model.safetensors"), "one.txt", "two.txt", window=window)
        assert found.as_json() == of_the_command(capsys, "one.txt", "two.txt", *words)


def test_a_model_may_be_named_and_texts_listed(model: Model, place: Path) -> None:
    model.save("model.safetensors")
    expected = ricorda.evaluate(load(place), "one.txt", "two.txt")
    for given in ("model.safetensors", place, SimpleNamespace(folder=place)):
        assert ricorda.evaluate(given, [place / "one.txt", "two.txt"]) == expected
    assert ricorda.evaluate(place, "*.txt").characters == expected.characters


def test_documents_are_divided_as_in_training_and_read_under_known_labels(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = divided_model()
    trained.training["reading"] = {"documents": "lines", "label_from": "file"}
    trained.save("model.safetensors")
    (place / f"{LABELS[0]}.txt").write_text("ab\nba\n")
    (place / "other.txt").write_text("ab\n")
    names = [f"{LABELS[0]}.txt", "other.txt"]
    found = ricorda.evaluate("model.safetensors", names)
    assert found.as_json() == of_the_command(capsys, *names)
    assert found.documents == 3
    assert found.accuracy is not None
    assert found.accuracy.documents == 2


def test_unknown_characters_are_counted_or_refused(model: Model, place: Path) -> None:
    (place / "odd.txt").write_text("abZba\n")
    with pytest.warns(UserWarning, match="never"):
        assert ricorda.evaluate(model, "odd.txt").unseen == 1
    with pytest.raises(VocabularyError):
        ricorda.evaluate(model, "odd.txt", on_unknown="error")


def test_bytes_are_read_as_bytes(byte_model: Model, place: Path) -> None:
    assert ricorda.evaluate(byte_model, "one.txt").bytes == 7


@pytest.mark.parametrize(
    "texts, error",
    [((), TextError), (("missing.txt",), TextError), ((5,), ConfigurationError)],
    ids=str,
)
def test_wrong_texts(
    model: Model, place: Path, texts: tuple[Any, ...], error: type[InputError]
) -> None:
    with pytest.raises(error, match=r"text|missing"):
        ricorda.evaluate(model, *texts)
