"""A run's folder is moved whole, and only if nobody trains in it."""

from dataclasses import replace
from pathlib import Path

import pytest

import ricorda
from ricorda.errors import RunError
from ricorda.runs import RunFolder
from ricorda.training.checkpoint.held_folder import RunLock
from ricorda.training.checkpoint.moving import move_run, with_own_copies
from ricorda.training.checkpoint.record import read_record, write_record

TEXT = "it is what it is, and what it was it was\n" * 40


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a run that is not finished."""
    folder = tmp_path_factory.mktemp("moving")
    (folder / "text.txt").write_text(TEXT)
    ricorda.train(
        folder / "text.txt", out=folder / "one", steps=2, hidden_size=4, threads=1, quiet=True
    )
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_moved_run_is_the_same_and_goes_on(trained: Path) -> None:
    before = contents(trained / "one")
    moved = move_run(RunFolder(trained / "one"), trained / "two")
    assert moved.path == trained / "two"
    assert not (trained / "one").exists()
    assert contents(moved.path) == before
    ricorda.resume(moved.path, steps=3, quiet=True)
    move_run(moved, trained / "one")


def test_texts_that_came_through_a_pipe_are_found_again(trained: Path) -> None:
    run = RunFolder(trained / "one")
    record = read_record(run)
    kept, other = run.path / "input-1.txt", trained / "input-1.txt"
    names = [str(kept.absolute()), str(other.absolute())]
    write_record(run, replace(record, text=replace(record.text, texts=names)))
    kept.write_text("what came through it")
    moved = move_run(run, trained / "two")
    assert read_record(moved).text.texts == [str(trained / "two" / "input-1.txt"), names[1]]
    move_run(moved, run.path)
    assert read_record(run).text.texts == names
    kept.unlink()


def test_a_run_moved_by_hand_has_its_own_copy_whatever_takes_its_place(trained: Path) -> None:
    run = RunFolder(trained / "one")
    record = read_record(run)
    copy = run.path / "input-1.txt"
    copy.write_text("what came through the pipe")
    there = trained / "another"
    there.mkdir()
    (there / "input-1.txt").write_text("what came through another one")
    names = [str(there / "input-1.txt")]
    before = replace(record, text=replace(record.text, texts=names))
    assert with_own_copies(before, run).text.texts == [str(copy.absolute())]
    copy.unlink()


def test_what_cannot_be_moved_stays(trained: Path) -> None:
    run = RunFolder(trained / "one")
    before = contents(run.path)
    (trained / "taken").mkdir(exist_ok=True)
    with pytest.raises(RunError, match="taken"):
        move_run(run, trained / "taken")
    with RunLock(run.path), pytest.raises(RunError, match="another process trains"):
        move_run(run, trained / "two")
    (trained / "link").symlink_to(run.path)
    with pytest.raises(RunError, match="a symbolic link"):
        move_run(RunFolder(trained / "link"), trained / "two")
    (trained / "none").mkdir()
    (trained / "none" / "config.json").write_text("{}")
    with pytest.raises(RunError, match=r"config\.json is wrong"):
        move_run(RunFolder(trained / "none"), trained / "two")
    assert not (trained / "two").exists()
    assert contents(run.path) == before
