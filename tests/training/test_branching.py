"""A branch continues a run's last checkpoint with other settings, in another folder."""

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ricorda.errors import ConfigurationError, RunError
from ricorda.model import read_model_file
from ricorda.training import Run
from ricorda.training import run as runs
from tests.training.reporters import InterruptAt
from tests.training.small_runs import Learn, rows


@pytest.fixture
def learn(learn: Learn) -> Learn:
    return partial(learn, steps=12)


def resume(folder: Path, **options: Any) -> Run:
    return runs.resumed_run(folder, **({"quiet": True} | options))


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def learned(run: Run) -> dict[str, bytes]:
    file = read_model_file(run.folder / "model.safetensors")
    return {name: tensor.tobytes() for name, tensor in file.tensors.items()}


CHANGES: list[dict[str, Any]] = [
    {"learning_rate": 1e-4},
    {"dropout": 0.3, "recurrent_dropout": 0.1, "input_dropout": 0.2},
    {"weight_decay": 0.1, "clip_norm": 0.1},
    {"averaging": 0.9},
    {"softmax_candidates": 9},
    {"patience": 3, "keep": 3, "adaptive_validation": True},
    {"learning_rate": 1e-3, "backend": "torch"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_branch_goes_on_with_other_settings(learn: Learn, changes: dict[str, Any]) -> None:
    run = learn(reporter=InterruptAt(5))
    before = contents(run.folder)
    branch = resume(run.folder, **changes)
    assert contents(run.folder) == before
    assert branch.folder == Path("runs/my-branch")
    assert branch.metrics["steps"] == 12
    record = json.loads((branch.folder / "config.json").read_text())
    for name, value in changes.items():
        assert record["training"][name] == value
    assert record["branch"] == {"run": str(run.folder.absolute()), "step": 5}
    assert branch.model.training["branch"] == {"run": "my", "step": 5}
    assert "It is a branch of my at step 5. " in (branch.folder / "report.html").read_text()
    found = rows(branch)
    own = rows(run)[:-1]  # without the row of the interruption
    place = next(place for place, row in enumerate(found) if row["event"] == "branched")
    assert found[:place] == own
    made = {name: value for name, value in changes.items() if name != "backend"}
    assert found[place] == {"step": 5, "event": "branched", "changes": made}
    assert next(row["step"] for row in found[place + 1 :] if row["event"] == "training") == 6


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_branch_is_resumed_to_the_same_bits(learn: Learn, changes: dict[str, Any]) -> None:
    run = learn(reporter=InterruptAt(5))
    whole = resume(run.folder, **changes)
    stopped = resume(run.folder, reporter=InterruptAt(8), **changes)
    assert stopped.folder == Path("runs/my-branch-2")
    resumed = resume(stopped.folder)
    assert resumed.folder == stopped.folder
    assert rows(resumed) == rows(whole)
    assert learned(resumed) == learned(whole)


def test_a_branch_without_changes_goes_on_as_the_run_does(learn: Learn) -> None:
    run = learn(reporter=InterruptAt(5))
    branch = resume(run.folder, out=Path("copy"))
    assert branch.folder == Path("copy")
    whole = resume(run.folder)
    assert learned(branch) == learned(whole)
    assert [row for row in rows(branch) if row["event"] != "branched"][:-1] == rows(whole)[:-1]


def test_the_rate_of_a_branch_is_the_schedules(learn: Learn) -> None:
    run = learn(learning_rate=0.01, reporter=InterruptAt(5))
    branch, whole = resume(run.folder, learning_rate=0.001), resume(run.folder)
    rates = [
        {row["step"]: row["learning_rate"] for row in rows(each) if row["event"] == "training"}
        for each in (branch, whole)
    ]
    for step in range(6, 13):
        assert rates[0][step] == pytest.approx(0.1 * rates[1][step], rel=1e-6)
    assert learned(branch) != learned(whole)


def test_averages_begin_and_end_with_a_branch(learn: Learn) -> None:
    plain = learn(reporter=InterruptAt(5))
    averaged = resume(plain.folder, averaging=0.9, reporter=InterruptAt(8))
    assert averaged.metrics["steps"] == 8
    without = resume(averaged.folder, averaging=0.0)
    assert without.folder == Path("runs/my-branch-branch")
    assert without.metrics["steps"] == 12
    assert "averaged" in str(rows(resume(averaged.folder)))


def test_a_run_that_has_ended_branches_with_a_larger_budget(learn: Learn) -> None:
    run = learn()
    before = contents(run.folder)
    with pytest.raises(RunError, match=r"has ended \(steps\): give its branch a larger budget"):
        resume(run.folder, learning_rate=1e-4)
    with pytest.raises(ConfigurationError, match="beyond the 12 steps"):
        resume(run.folder, learning_rate=1e-4, steps=11)
    assert [path.name for path in Path("runs").iterdir()] == ["my"]
    branch = resume(run.folder, learning_rate=1e-4, steps=16)
    assert branch.metrics["steps"] == 16
    assert contents(run.folder) == before
    # The run itself goes on in its own folder as ever.
    assert resume(run.folder, steps=14).folder == run.folder


def test_a_branch_counts_its_patience_anew(learn: Learn) -> None:
    run = learn(patience=1, learning_rate=5.0, clip_norm=1e9, steps=60)
    assert run.metrics["stopped_because"] == "patience"
    branch = resume(run.folder, patience=3)
    assert branch.metrics["steps"] > run.metrics["steps"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 8}, "batch_size: leave it out"),
        ({"hidden_size": 8}, "hidden_size: leave it out"),
        ({"seed": 8}, "seed: leave it out"),
        ({"learning_rate": 10.0, "weight_decay": 5.0}, "must be at most 1"),
        ({"weight_decay": 100.0}, "--learning-rate 0.05 times --weight-decay 100"),
        ({"input_dropout": 0.1}, "--input-dropout 0.1 is for learned embeddings"),
    ],
    ids=str,
)
def test_what_a_branch_cannot_change(learn: Learn, options: dict[str, Any], message: str) -> None:
    run = learn(embedding_size="onehot", learning_rate=0.05, reporter=InterruptAt(3))
    with pytest.raises(ConfigurationError, match=message):
        resume(run.folder, **options)
    assert [path.name for path in Path("runs").iterdir()] == ["my"]


def test_a_branch_drops_no_recurrent_weights_that_are_not_there(learn: Learn) -> None:
    run = learn(cell="mingru", reporter=InterruptAt(3))
    with pytest.raises(ConfigurationError, match=r"--recurrent-dropout 0\.1 is for --cell rnn"):
        resume(run.folder, recurrent_dropout=0.1)


def test_a_branch_that_cannot_begin_leaves_nothing(learn: Learn) -> None:
    run = learn(reporter=InterruptAt(3))
    Path("my.txt").rename("moved.txt")
    with pytest.raises(RunError, match="cannot be read again"):
        resume(run.folder, dropout=0.2)
    for path in (run.folder / "checkpoints").rglob("manifest.json"):
        path.write_bytes(b"{}")
    with pytest.raises(RunError, match="nothing to branch from"):
        resume(run.folder, dropout=0.2, text="moved.txt", out=Path("out"))
    assert [path.name for path in Path("runs").iterdir()] == ["my"]
    assert not Path("out").exists()


def test_a_branch_has_its_own_copy_of_what_the_run_keeps(learn: Learn) -> None:
    start = learn(out=Path("start"))
    run = learn(from_model=start.folder, hidden_size=6, reporter=InterruptAt(3))
    shutil.copy("my.txt", run.folder / "input-1.txt")
    config = json.loads((run.folder / "config.json").read_text())
    config["text"]["texts"] = [str((run.folder / "input-1.txt").absolute())]
    (run.folder / "config.json").write_text(json.dumps(config))
    branch = resume(run.folder, dropout=0.2, reporter=InterruptAt(6))
    shutil.rmtree(run.folder)
    done = resume(branch.folder)
    assert done.metrics["steps"] == 12
    assert done.model.training["from"]["name"] == "start"


def test_several_processes_do_not_branch(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    run = learn(reporter=InterruptAt(3))
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "2")
    with pytest.raises(ConfigurationError, match="--dropout makes a branch"):
        resume(run.folder, dropout=0.2)
