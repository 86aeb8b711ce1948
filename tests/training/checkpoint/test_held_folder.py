"""A run's folder that is moved, removed, replaced or shared with a user's files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.errors import FolderLost, RunError, TextError, TrainingError
from ricorda.model import read_model_file
from ricorda.training import start
from ricorda.training.checkpoint.manager import CheckpointManager
from tests.training.reporters import DoAt
from tests.training.small_runs import BOTTLES

SMALL: dict[str, Any] = {
    **{"hidden_size": 8, "embedding_size": 5, "batch_size": 4, "window": 16},
    **{"steps": 30, "threads": 1, "seed": 1},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a text in it, where the tests run."""
    (tmp_path / "bottles.txt").write_text(BOTTLES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def nothing_is_written_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for each save: what is written while the folder is replaced may go to either folder."""
    save = CheckpointManager.save

    def save_and_wait(manager: CheckpointManager, *arguments: Any) -> None:
        save(manager, *arguments)
        manager.wait()

    monkeypatch.setattr(CheckpointManager, "save", save_and_wait)


def learn(
    place: Path, action: Callable[[], object] = lambda: None, *, at: int = 10, **options: Any
) -> Path:
    run = ricorda.train("bottles.txt", reporter=DoAt(action, at), **(SMALL | options))
    return place / run.folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def replace_by_a_users_folder() -> None:
    Path("runs/bottles").rename("runs/moved")
    Path("runs/bottles").mkdir()
    Path("runs/bottles/diary.txt").write_text("mine")


@pytest.mark.usefixtures("nothing_is_written_meanwhile")
def test_a_folder_that_was_replaced_ends_the_run_and_the_users_files_stay(place: Path) -> None:
    whole = read_model_file(learn(place, out=Path("whole")) / "model.safetensors")
    with pytest.raises(FolderLost, match=r"was moved to .*/runs/moved .*`ricorda resume /"):
        learn(place, replace_by_a_users_folder)
    assert issubclass(FolderLost, TrainingError)  # which ends with exit code 1
    assert names(place / "runs/bottles") == {"diary.txt"}
    assert (place / "runs/bottles/diary.txt").read_text() == "mine"
    resumed = ricorda.resume("runs/moved", quiet=True)
    model = read_model_file(resumed.folder / "model.safetensors")
    for name, tensor in whole.tensors.items():
        assert tensor.tobytes() == model.tensors[name].tobytes()


def remove_the_folder() -> None:
    Path("runs/bottles").rename("removed")  # at once, though a thread writes into it
    shutil.rmtree("removed")


def test_a_folder_that_was_removed_ends_the_run(place: Path) -> None:
    with pytest.raises(FolderLost, match=r"was removed .* checkpoints are lost: train again$"):
        learn(place, remove_the_folder)
    assert not (place / "runs/bottles").exists()


@pytest.mark.usefixtures("nothing_is_written_meanwhile")
def test_a_folder_that_was_replaced_while_a_resumed_run_trains(place: Path) -> None:
    learn(place)
    with pytest.raises(FolderLost, match="was moved"):
        ricorda.resume("runs/bottles", steps=60, reporter=DoAt(replace_by_a_users_folder, 40))
    assert names(place / "runs/bottles") == {"diary.txt"}


def test_a_users_files_in_a_run_stay_and_a_removed_configuration_is_written_again(
    place: Path,
) -> None:
    def disturb() -> None:
        Path("runs/bottles/config.json").unlink()
        Path("runs/bottles/diary.txt").write_text("mine")
        Path("runs/bottles/checkpoints/0/diary.txt").write_text("mine")

    folder = learn(place, disturb, at=1)  # before the first checkpoint is dropped
    assert (folder / "diary.txt").read_text() == "mine"
    assert names(folder / "checkpoints" / "0") == {"diary.txt"}
    assert ricorda.resume(folder, steps=40, quiet=True).metrics["steps"] == 40
    assert names(folder / "checkpoints" / "0") == {"diary.txt"}


def test_partial_files_of_others_stay(place: Path) -> None:
    folder = learn(place)
    for theirs in (".x.partial", ".notes.partial", "checkpoints/.40.partial"):
        (folder / theirs).mkdir()
        (folder / theirs / "manifest.json").write_text("mine")
    (folder / ".y.partial").write_text("mine")
    (folder / ".ricorda-0123.partial").write_text("half of a file")
    (folder / "checkpoints" / ".ricorda-40.partial").mkdir()
    (folder / "checkpoints" / ".ricorda-40.partial" / "progress.json").write_text("half")
    ricorda.resume(folder, steps=40, quiet=True)
    left = {name for name in names(folder) if ".partial" in name}
    assert left == {
        *(".x.partial", ".notes.partial", "checkpoints/.40.partial", ".y.partial"),
        *(".x.partial/manifest.json", ".notes.partial/manifest.json"),
        "checkpoints/.40.partial/manifest.json",
    }


def fail_to_read(diary: Path | None) -> Callable[..., Any]:
    """Stand for `read_dataset`; where a diary is given, write it first."""

    def read(*_: Any, **__: Any) -> Any:
        if diary is not None:
            diary.write_text("mine")
        raise TextError("unreadable")

    return read


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("diary", [True, False])
def test_a_run_that_cannot_begin_removes_what_was_made_for_it_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch, existed: bool, diary: bool
) -> None:
    out = place / "a" / "b"
    if existed:
        out.mkdir(parents=True)
    read = fail_to_read(out / "diary.txt" if diary else None)
    monkeypatch.setattr(start, "read_dataset", read)
    with pytest.raises(TextError):
        learn(place, out=out)
    left = {"bottles.txt"}
    left |= {"a", "a/b"} if existed or diary else set()
    left |= {"a/b/diary.txt"} if diary else set()
    assert names(place) == left


def test_a_users_lock_file_is_not_written_into(place: Path) -> None:
    (place / "out").mkdir()
    (place / "out" / ".lock").write_text("mine")
    with pytest.raises(RunError, match="holds other files"):
        learn(place, out=Path("out"))
    assert (place / "out" / ".lock").read_text() == "mine"
