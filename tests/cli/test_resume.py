"""`ricorda resume`: continue a run, by default the newest."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ricorda
from ricorda.training import run as runs
from tests.training.reporters import InterruptAt

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def interrupted(here: Path) -> Path:
    """A run like the tiny one, interrupted after 13 of its 40 steps."""
    run = runs.new_run(
        "my.txt",
        steps=40,
        hidden_size=12,
        threads=1,
        out=Path("runs/stopped"),
        reporter=InterruptAt(13),
    )
    assert run.metrics["steps"] == 13
    return run.folder


def test_it_continues_as_if_undisturbed(interrupted: Path, call: Call, tiny: ricorda.Run) -> None:
    code, out, err = call("resume", interrupted, "--json", "--quiet")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert list(found) == list(tiny.metrics)
    timed = {"run", "model", "train_seconds"}
    assert {name: found[name] for name in found if name not in timed} == {
        name: tiny.metrics[name] for name in tiny.metrics if name not in timed
    }
    model = (interrupted / "model.safetensors").read_bytes()
    assert model == (tiny.folder / "model.safetensors").read_bytes()


def test_the_newest_run_is_taken_and_it_says_where_it_is(interrupted: Path, call: Call) -> None:
    code, out, err = call("resume")
    assert (code, out) == (0, "")
    assert "resuming after step 13: runs/stopped" in err
    assert "ricorda sample runs/stopped" in err


def test_a_run_that_was_moved_continues(interrupted: Path, call: Call) -> None:
    shutil.move(interrupted, "elsewhere")
    assert call("resume", "elsewhere", "--quiet") == (0, "", "")


def test_a_moved_run_finds_the_text_that_came_through_a_pipe(interrupted: Path, call: Call) -> None:
    """config.json still has the old path."""
    shutil.copy("my.txt", interrupted / "input-1.txt")
    config = json.loads((interrupted / "config.json").read_text())
    config["text"]["texts"] = [str((interrupted / "input-1.txt").absolute())]
    (interrupted / "config.json").write_text(json.dumps(config))
    shutil.move(interrupted, "elsewhere")
    assert call("resume", "elsewhere", "--quiet") == (0, "", "")


@pytest.mark.parametrize(
    "run, message",
    [
        ("runs/tiny", "has ended (steps): start a new one with `ricorda train`"),
        ("runs/missing", "expected a run's folder with a config.json, found none"),
        ("my.txt", "expected a run's folder with a config.json, found none"),
        ("runs", "expected a run's folder with a config.json, found none"),
    ],
)
def test_what_cannot_continue(here: Path, call: Call, run: str, message: str) -> None:
    code, out, err = call("resume", run)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def _rewrite(path: Path, content: str) -> None:
    path.write_text(content)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no checkpoint": (lambda run: shutil.rmtree(run / "checkpoints"), "no checkpoint in"),
    "another text": (
        lambda run: _rewrite(Path("my.txt"), "5 bottles\n" * 99),
        "changed since this run began",
    ),
    "no text": (lambda run: Path("my.txt").unlink(), "cannot be read again"),
    "no configuration": (
        lambda run: _rewrite(run / "config.json", "{"),
        "config.json is not JSON",
    ),
    "a newer format": (
        lambda run: _rewrite(
            run / "config.json",
            (run / "config.json").read_text().replace('"format": 1', '"format": 99, "more": 1'),
        ),
        "has format 99, newer than this ricorda reads (1): upgrade ricorda",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_run_is_reported(interrupted: Path, call: Call, kind: str) -> None:
    damage, message = DAMAGE[kind]
    damage(interrupted)
    code, out, err = call("resume", interrupted, "--quiet")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
