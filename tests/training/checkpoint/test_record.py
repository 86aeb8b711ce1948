"""config.json: what it holds, and what earlier versions wrote."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ricorda.errors import ConfigurationError
from ricorda.model import ModelConfiguration
from ricorda.runs import RunFolder
from ricorda.training.checkpoint.record import (
    RunRecord,
    TextRecord,
    difference,
    fingerprint,
    new_record,
    read_record,
    record_from_json,
    write_record,
)
from ricorda.training.configuration import Budget, TrainingConfiguration


def record(**settings: Any) -> RunRecord:
    text = TextRecord(texts=["/my.txt"], validation=None, digest="00")
    training = TrainingConfiguration(
        model=ModelConfiguration(cell="gru", vocabulary_size=5, hidden_size=4),
        budget=Budget(steps=3),
        batch_size=2,
        window=3,
        learning_rate=0.1,
        **settings,
    )
    return new_record(text, training)


def test_a_record_survives_json() -> None:
    written = record(averaging=0.5, seed=7)
    assert record_from_json(asdict(written)) == written


def test_many_texts_are_read_again_or_refused(tmp_path: Path) -> None:
    whole, folder = record(), RunFolder(tmp_path)

    def of(texts: list[str]) -> RunRecord:
        return replace(whole, text=replace(whole.text, texts=texts))

    write_record(folder, of([f"/texts/{number}" for number in range(250_000)]))
    assert len(read_record(folder).text.texts) == 250_000
    with pytest.raises(ConfigurationError, match="give a folder or a pattern instead"):
        write_record(folder, of(["/" + "a" * 1000] * 20_000))


@pytest.mark.parametrize(
    "kernels, device, backend",
    [("auto", "cpu", "kernels"), ("off", "cpu", "torch"), ("auto", "cuda", "torch")],
)
def test_an_earlier_version_named_the_kernels(kernels: str, device: str, backend: str) -> None:
    saved = asdict(record())
    del saved["training"]["backend"]
    saved["training"] |= {"kernels": kernels, "device": device}
    training = record_from_json(saved).training
    assert (training.backend, training.device) == (backend, device)


@pytest.mark.parametrize("wrong", [{"kernels": "fast"}, {"backend": "auto"}, {"batch_size": None}])
def test_settings_that_are_wrong_or_open_are_refused(wrong: dict[str, Any]) -> None:
    saved = asdict(record())
    saved["training"] |= wrong
    with pytest.raises(ValidationError):
        record_from_json(saved)


def test_a_fingerprint_tells_what_differs() -> None:
    before = fingerprint(record(threads=2).training)
    assert difference(before, before) == ""
    now = fingerprint(record(threads=3).training)
    assert "(threads 2 is now 3)" in difference(before, now)
    assert "not bit for bit" in difference(before, now)
