"""Progress in a notebook: what its one display shows, and that a kernel has it."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ricorda
from ricorda.errors import TrainingError
from ricorda.training.report import notebook
from ricorda.training.report.notebook import MOST_POINTS, Notebook, in_notebook
from ricorda.training.report.progress import Lines, Reporter, reporter_for
from ricorda.training.run import new_run
from tests.pages.fragments import checked_card

TEXT = "5 bottles of beer on the wall\n" * 60
SMALL: dict[str, Any] = {"steps": 40, "hidden_size": 8, "batch_size": 4, "window": 16, "threads": 1}


class Place:
    """A display that keeps all that was shown in it."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.kept_from: int | None = None

    def show(self, card: str, words: str) -> None:
        self.shown.append((card, words))

    def keep(self) -> None:
        self.kept_from = len(self.shown)

    @property
    def last(self) -> str:
        return checked_card(self.shown[-1][0]).text


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(notebook, "EVERY", 0.0)
    return Place()


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my.txt"
    path.write_text(TEXT)
    return path


def test_it_is_a_reporter(place: Place) -> None:
    reporter: Reporter = Notebook(place)
    assert reporter is not None


def test_a_run_is_shown_from_the_text_to_its_figures(text: Path, place: Place) -> None:
    run = ricorda.train(text, reporter=Notebook(place), **SMALL)
    cards = [checked_card(card).text for card, _ in place.shown]
    assert any("step 7 of 40" in card and "characters/s" in card for card in cards)
    bits = f"{run.metrics['validation']['bits_per_character']:.2f}"
    assert f"validation: {bits} bits per character" in place.last
    assert "ricorda.load('runs/my').generate" in place.last
    assert "characters/s" not in place.last
    assert "cifg" not in place.last.split("Settings")[0].lower()
    assert "cifg, 1 x 8 units" in place.last.split("Settings")[1]
    assert place.kept_from is not None
    assert "bits per character" in place.shown[-1][1]
    assert len({card for card in cards if "track" in card}) <= len(cards)


def test_an_interrupted_run_says_how_to_continue(text: Path, place: Place) -> None:
    import signal

    class Stopped(Notebook):
        def evaluated(self, step: int, nats_per_character: float | None, sample: str) -> None:
            super().evaluated(step, nats_per_character, sample)
            if step >= 10:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        ricorda.train(text, reporter=Stopped(place), **SMALL)
    assert "continue with ricorda.resume('runs/my')" in caught.value.__notes__[0]
    assert "continue with: ricorda.resume('runs/my')" in place.last
    run = ricorda.resume("runs/my", reporter=Notebook(place))
    assert run.metrics["steps"] == 40
    assert "resuming after step" in place.last


def test_a_training_that_breaks_leaves_its_last_state(text: Path, place: Place) -> None:
    class Broken(Notebook):
        def stepped(self, *figures: object) -> None:
            if figures[0] == 5:
                raise TrainingError("broken")
            super().stepped(*figures)  # type: ignore[arg-type]

    with pytest.raises(TrainingError):
        new_run(text, reporter=Broken(place), **SMALL)
    assert "step 4 of 40" in place.last


def test_messages_samples_and_warnings_are_escaped(place: Place) -> None:
    report = Notebook(place)
    report.say("a file called <b>\x1b[2J</b>")
    report.warn("<i>mind</i>")
    report.stepped(1, None, 0.1, 2.0, 1000.0, None)
    report.evaluated(1, 1.5, "<script>alert(1)</script> \u202e")
    assert r"<b>\x1b[2J</b>" in place.last
    assert "<i>mind</i>" in place.last
    assert r"<script>alert(1)</script> \u202e" in place.last
    assert "2.164" in place.last  # 1.5 nats in bits


def test_reading_a_text_is_shown(place: Place) -> None:
    report = Notebook(place)
    with report.reading() as progress:
        progress(50_000_000, 200_000_000)
    assert "reading the text: 50 MB of 200 MB" in place.last
    card = checked_card(place.shown[-1][0])
    assert ("div", {"style": "width: 25.0%"}) in card.tags


def test_the_evaluation_of_the_model_is_shown_until_the_results_come(place: Place) -> None:
    report = Notebook(place)
    report.stepped(4, 4, 1.0, 2.0, 1000.0, 0.0)
    report.close()
    with report.concluding():
        assert "evaluating the model" in place.last
    report.say("validation: 2 bits")
    assert "evaluating the model" not in place.last
    assert "step 4 of 4" in place.last


def test_a_long_run_keeps_few_points(place: Place) -> None:
    report = Notebook(place)
    notebook_size = 0
    for step in range(1, 20 * MOST_POINTS):
        report._curve.add_step(step, 1 / step)
        notebook_size = max(notebook_size, len(report._curve._training))
    assert notebook_size <= MOST_POINTS + 1
    report._show()
    assert len(place.shown[-1][0]) < 30_000
    first, last = report._curve._training[0], report._curve._training[-1]
    assert first[0] < 100
    assert last[0] > 19 * MOST_POINTS


def test_it_is_shown_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place()
    monkeypatch.setattr(notebook, "EVERY", 1e9)
    report = Notebook(place)
    for step in range(1, 50):
        report.stepped(step, 100, step / 100, 2.0, 1000.0, 1.0)
    assert len(place.shown) == 1
    report.evaluated(50, 1.5, "sample")
    assert len(place.shown) == 2


def test_a_kernel_has_it_and_other_programs_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert not in_notebook()
    shell = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not in_notebook()  # IPython in a terminal
    assert isinstance(reporter_for(quiet=False), Lines)
    shell.kernel = object()
    assert in_notebook()
    assert isinstance(reporter_for(quiet=False), Notebook)
    assert not isinstance(reporter_for(quiet=True), Notebook)
