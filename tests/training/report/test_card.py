"""A run as a notebook shows it."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.errors import RicordaError
from ricorda.training.run import new_run
from tests.pages.fragments import checked_card
from tests.training.reporters import InterruptAt

TEXT = "5 bottles of beer on the wall\n" * 60
SMALL: dict[str, Any] = {"steps": 40, "hidden_size": 8, "batch_size": 4, "window": 16, "threads": 1}


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "<i>my.txt"
    path.write_text(TEXT)
    return path


def test_a_finished_run(text: Path) -> None:
    run = ricorda.train(text, quiet=True, out=Path("runs/<b>x"), **SMALL)
    card = checked_card(run._repr_html_())
    bits = f"{run.metrics['validation']['bits_per_character']:.3f}"
    assert bits in card.text
    assert "<b>x" in card.text
    assert "CIFG, 1 x 8 units, ended after its steps" in card.text
    assert "best: " in card.text
    assert "run.model" in card.text
    curves = [each for tag, each in card.tags if tag == "path" and "fill" in each]
    assert len(curves) == 2
    assert repr(run).startswith(f"<ricorda.Run {Path('runs/<b>x')}: {bits} bits, 40 steps in ")
    assert run.model.training["step"] == run.metrics["best_step"]


def test_an_interrupted_run_says_how_to_continue(text: Path) -> None:
    run = new_run(text, reporter=InterruptAt(13), out=Path("runs/x"), **SMALL)
    card = checked_card(run._repr_html_())
    assert f"Continue with ricorda.resume({os.fspath(Path('runs/x'))!r})" in card.text
    assert "bits per character so far" in card.text
    assert "interrupted" in repr(run)


def test_a_run_whose_folder_is_gone_or_damaged_still_has_a_card(text: Path) -> None:
    run = ricorda.train(text, quiet=True, out=Path("runs/x"), **SMALL)
    (run.folder / "metrics.jsonl").write_text('{"step": 1, "event": "training"}\n{"step"\n')
    assert "best: " not in checked_card(run._repr_html_()).text
    shutil.rmtree(run.folder)
    assert "40" in checked_card(run._repr_html_()).text
    with pytest.raises(RicordaError):
        _ = run.model
