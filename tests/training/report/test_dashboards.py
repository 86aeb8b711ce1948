"""`--log`: what dashboards receive, once each, also of a run that was killed and resumed.

The libraries of the dashboards are replaced by stand-ins that record; test_real_dashboards.py has
the same with the real ones.
"""

import contextlib
import json
import math
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.cli.main import main
from ricorda.errors import MissingExtra
from ricorda.runs import RunFolder, read_rows
from ricorda.training import Silent
from ricorda.training.checkpoint.deletion import delete_run
from ricorda.training.report.dashboards import with_dashboards
from ricorda.training.report.dashboards.figures import figures_of, known_as, shown_settings
from tests.docs.documents import DOCS, blocks
from tests.training.report.stand_in import FakeMLflow, FakeWandB
from tests.training.reporters import InterruptAt

SMALL: dict[str, Any] = {
    **{"hidden_size": 8, "batch_size": 4, "window": 8, "threads": 1, "keep": 9, "seed": 3},
    "quiet": True,
}
STEPS = 60
END = ["close", "concluding", "concluded", "ended", "finished"]

LN2 = math.log(2)
FIGURES: list[tuple[dict[str, Any], dict[str, float]]] = [
    (
        {"event": "training", "nats_per_character": 2 * LN2, "learning_rate": 0.5, "step": 3},
        {"bits_per_character/training": 2.0, "learning_rate": 0.5},
    ),
    (
        {"event": "evaluation", "nats_per_character": LN2, "seconds": 4.0},
        {"bits_per_character/validation": 1.0},
    ),
    ({"event": "evaluation", "nats_per_character": None}, {}),
    ({"event": "training", "gradient_norm": math.inf}, {}),
    ({"event": "returned", "from_step": 7}, {}),
    ({"event": "ended", "validation": None}, {}),
    (
        {"event": "ended", "validation": {"bits_per_character": 1.5}, "test": None},
        {"final/validation": 1.5},
    ),
]


@pytest.mark.parametrize("row, expected", FIGURES)
def test_the_figures_of_a_row(row: dict[str, Any], expected: dict[str, float]) -> None:
    assert figures_of(row) == pytest.approx(expected)


def test_settings_that_are_unset_are_not_shown() -> None:
    given = {"a": None, "b": 0, "c": False, "d": ["x", "y"], "e": (), "f": "text"}
    assert shown_settings(given) == {"b": 0, "c": False, "d": "x, y", "f": "text"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my.txt").write_text("one line of a song\n" * 60)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def train(log: Any, **options: Any) -> Path:
    """Train a run to its end, or until its reporter interrupts it."""
    from ricorda.training.run import new_run

    return new_run("my.txt", steps=STEPS, log=log, **{**SMALL, **options}).folder


def killed_and_resumed(log: Any) -> Path:
    """A run that took steps after the checkpoint from which it is resumed, as after a kill."""
    folder = train(log, reporter=InterruptAt(31))
    checkpoints = sorted((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    for newer in checkpoints[-3:]:  # as if they had never been written
        shutil.rmtree(newer)
    ricorda.resume(folder, quiet=True)
    return folder


def steps_in(path: Path, event: str) -> list[int]:
    return [row["step"] for row in read_rows(path) if row["event"] == event]


def test_mlflow_has_each_step_once_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeMLflow(monkeypatch)
    folder = killed_and_resumed("mlflow")
    seen = Counter((metric.key, metric.step) for metric in store.metrics)
    assert set(seen.values()) == {1}
    by_name = {key: [m.step for m in store.metrics if m.key == key] for key, _ in seen}
    metrics = folder / "metrics.jsonl"
    assert by_name["bits_per_character/training"] == steps_in(metrics, "training")
    assert by_name["bits_per_character/validation"] == steps_in(metrics, "evaluation")
    assert store.parameters["hidden_size"] == "8"
    assert store.statuses == ["RUNNING", "KILLED", "RUNNING", "FINISHED"]
    assert store.uris == [f"sqlite:///{folder.parent.absolute() / 'mlflow.db'}"] * 2
    written = {f"samples/{row['step']:09}.txt" for row in read_rows(folder / "samples.jsonl")}
    assert set(store.files) == written


def test_wandb_has_the_whole_run_in_its_newest_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandB(monkeypatch)
    folder = killed_and_resumed("wandb")
    first, second = fake.sessions
    assert first["id"] == second["id"] == known_as(folder, "wandb")
    assert (second["mode"], second["dir"]) == ("offline", folder)
    assert second["config"]["cell"] == "cifg"
    assert second["finished"]
    seen = Counter((name, step) for step, values in second["rows"] for name in values)
    assert set(seen.values()) == {1}
    trained = [step for step, values in second["rows"] if "bits_per_character/training" in values]
    assert trained == steps_in(folder / "metrics.jsonl", "training")
    samples = {step: values["sample"] for step, values in second["rows"] if "sample" in values}
    assert samples == {row["step"]: row["text"] for row in read_rows(folder / "samples.jsonl")}


def test_a_return_to_a_checkpoint_begins_again_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake, store = FakeWandB(monkeypatch), FakeMLflow(monkeypatch)
    dashboards = with_dashboards(Silent(), ["wandb", "mlflow"])
    dashboards.began(tmp_path, {}, 0)
    for step in (1, 2, 3):
        dashboards.logged({"step": step, "event": "training", "nats_per_character": LN2})
    dashboards.logged({"step": 1, "event": "returned", "from_step": 3})
    for step in (2, 3, 4):
        dashboards.logged({"step": step, "event": "training", "nats_per_character": 2 * LN2})
    dashboards.close()
    dashboards.finished()
    name = "bits_per_character/training"
    assert [session["finished"] for session in fake.sessions] == [True, True]
    assert fake.sessions[1]["rows"] == [
        (step, {name: pytest.approx(bits)}) for step, bits in ((1, 1), (2, 2), (3, 2), (4, 2))
    ]
    assert [(metric.step, round(metric.value)) for metric in store.metrics] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 2),
    ]


def test_a_dashboard_that_is_added_at_a_resume_gets_the_whole_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake, store = FakeWandB(monkeypatch), FakeMLflow(monkeypatch)
    folder = train("wandb", reporter=InterruptAt(31))
    ricorda.resume(folder, quiet=True, log=["wandb", "mlflow"])
    assert len(fake.sessions) == 2
    metrics = folder / "metrics.jsonl"
    name = "bits_per_character/training"
    assert [m.step for m in store.metrics if m.key == name] == steps_in(metrics, "training")
    saved = json.loads((folder / "config.json").read_text())
    assert saved["training"]["log"] == ["wandb", "mlflow"]


class WarningRecorder(Silent):
    """Keeps warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.mark.parametrize("method", ["began", "logged", "sampled", "weighed", "finished"])
def test_a_dashboard_that_fails_is_reported_once_and_left_out(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ricorda.training.report.dashboards import wandb

    FakeWandB(monkeypatch)

    def fail(*_: object) -> None:
        raise OSError("no space\nleft")

    monkeypatch.setattr(wandb.WeightsAndBiases, method, fail)
    reporter = WarningRecorder()
    folder = train("wandb", reporter=reporter)
    assert RunFolder(folder).is_run
    assert steps_in(folder / "metrics.jsonl", "ended") == [STEPS]
    assert reporter.warnings == ["--log wandb failed (no space left): the run continues without it"]


def test_a_missing_package_is_reported_before_anything_is_written(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match="pip install 'ricorda"):
        ricorda.train("my.txt", log="tensorboard", **SMALL)
    assert main(["train", "my.txt", "--log", "tensorboard"]) == 1
    assert capsys.readouterr().err == (
        "ricorda: --log tensorboard needs the package tensorboard, which is not installed: pip "
        "install 'ricorda[tensorboard]'\n"
    )
    assert [path.name for path in here.iterdir()] == ["my.txt"]


def test_a_run_is_resumed_where_its_dashboard_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeWandB(monkeypatch)
    folder = train("wandb", reporter=InterruptAt(20))
    monkeypatch.setitem(sys.modules, "wandb", None)
    reporter = WarningRecorder()
    assert ricorda.resume(folder, reporter=reporter).metrics["steps"] == STEPS
    assert len(reporter.warnings) == 1
    assert "--log wandb needs the package wandb" in reporter.warnings[0]


def test_an_unknown_dashboard_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ricorda.RicordaError, match="log"):
        ricorda.train("my.txt", log="dashboard", **SMALL)
    assert main(["train", "my.txt", "--log", "dashboard"]) == 2
    assert "dashboard" in capsys.readouterr().err


def test_the_option_is_repeated_by_config(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    fake = FakeWandB(monkeypatch)
    folder = train("wandb")
    words = ["train", "my.txt", "--config", str(folder), "--out", "again", "--quiet"]
    assert main(words) == 0
    assert len(fake.sessions) == 2
    assert fake.sessions[0]["id"] != fake.sessions[1]["id"]


def test_ids_are_deleted_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeWandB(monkeypatch)
    folder = train("wandb")
    assert delete_run(RunFolder(folder)) == []
    assert not folder.exists()


def test_the_guides_reporter_works(here: Path) -> None:
    """A person's own reporter, as the guide shows it."""
    (example,) = blocks(DOCS / "guides" / "dashboards.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", example.replace("steps=100", "steps=20, hidden_size=8")],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "my: cifg, 8 units, after step 0"
    assert lines[-1].startswith("step 20: ")
    assert sum("nats per character" in line for line in lines) >= 5


class Everything(Silent):
    """Keeps the names of what it receives, in order."""

    def __init__(self) -> None:
        self.received: list[str] = []

    def began(self, run: Path, settings: Any, step: int) -> None:
        self.received.append(f"began {step}")

    def logged(self, row: Any) -> None:
        self.received.append(row["event"])

    def sampled(self, step: int, text: str) -> None:
        self.received.append("sample")

    def weighed(self, step: int, weights: Any) -> None:
        assert {"output.weight", "output.bias"} <= set(weights)
        self.received.append("weights")

    def close(self) -> None:
        self.received.append("close")

    @contextlib.contextmanager
    def concluding(self) -> Iterator[None]:
        self.received.append("concluding")
        yield
        self.received.append("concluded")

    def finished(self) -> None:
        self.received.append("finished")


def test_a_reporter_receives_all_of_a_run_in_order() -> None:
    reporter = Everything()
    train((), reporter=reporter)
    received = reporter.received
    assert (received[0], received[-len(END) :]) == ("began 0", END)
    assert received.count("weights") == received.count("evaluation") == received.count("sample")
    assert received.count("training") == STEPS
