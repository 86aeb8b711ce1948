"""The folder of an experiment: its settings, its locks, what it removes."""

import json
import threading
from pathlib import Path

import pytest

from ricorda import durable
from ricorda.durable import hold_lock
from ricorda.errors import RunError
from ricorda.experiments.folder import ExperimentFolder, folder_for, trial_name
from ricorda.training.checkpoint.held_folder import RunLock


@pytest.mark.parametrize(
    "text, name",
    [
        ("my.txt", "my-cell"),
        ("texts/La Divina Commedia.txt", "La-Divina-Commedia-cell"),
        ("poems/", "poems-cell"),
        ("???", "text-cell"),
    ],
)
def test_the_folder_is_named_after_the_text(text: str, name: str) -> None:
    assert folder_for(None, text, "cell").path == Path("experiments") / name


def test_a_folder_in_which_nothing_began_is_removed(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "new" / "deeper")
    with pytest.raises(ValueError, match="wrong"), folder.prepared(), folder.locked():
        raise ValueError("wrong")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_process_holds_stays(tmp_path: Path) -> None:
    """A second process that is refused must not let a third one in."""
    first, second = ExperimentFolder(tmp_path / "new"), ExperimentFolder(tmp_path / "new")
    with first.prepared(), RunLock(first.path):
        with pytest.raises(RunError, match="another process"), second.prepared():
            RunLock(second.path).__enter__()
        with pytest.raises(RunError, match="another process"):
            RunLock(second.path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_while_it_was_awaited_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, taken, awaited = tmp_path / "lock", threading.Event(), threading.Event()
    take = durable.try_lock

    def try_lock(descriptor: int) -> bool | None:
        held = take(descriptor)
        if held is False:
            awaited.set()
        return held

    monkeypatch.setattr(durable, "try_lock", try_lock)

    def wait() -> None:
        with hold_lock(path, wait=True) as held:
            assert held
            assert path.exists()
            taken.set()

    thread = threading.Thread(target=wait)
    with hold_lock(path):
        thread.start()
        assert awaited.wait(60)  # it has opened the file
        path.unlink()
        path.touch()
        assert not taken.is_set()
    thread.join()
    assert taken.is_set()


def test_different_trials_have_different_folders() -> None:
    assert trial_name("cell-lstm-seed-1") == "cell-lstm-seed-1"
    words = ["documents-separator:/-seed-1", "documents-separator:--seed-1", "a" * 500]
    words += ["a" * 500 + "b", "from_model-caf\udce9-seed-1", "from_model-caf\udcea-seed-1"]
    names = set(map(trial_name, words))
    assert len(names) == len(words)
    assert all(len(name) < 100 and "/" not in name for name in names)


def test_a_folder_with_settings_or_other_files_stays(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "begun")
    with folder.prepared():
        folder.write({"asked": {"text": "my.txt"}})
    other = ExperimentFolder(tmp_path / "other")
    with other.prepared():
        (other.path / "letter.txt").write_text("Dear")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "other"]
    with folder.prepared():
        assert folder.check({"text": "my.txt"}) is not None


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "is not JSON"),
        ("[]", "is not an experiment"),
        ('{"format": 2}', "is not an experiment of this version"),
        ('{"format": 1}', "has no settings"),
    ],
)
def test_damaged_settings_are_reported(tmp_path: Path, content: str, message: str) -> None:
    folder = ExperimentFolder(tmp_path)
    folder.settings.write_text(content)
    with pytest.raises(RunError, match=message):
        folder.check({})


def test_settings_that_differ_are_named(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    folder.write({"asked": {"option": "cell", "options": {"dropout": 0.1, "window": 64}}})
    assert json.loads(folder.settings.read_text())["format"] == 1
    asked = {"option": "cell", "options": {"window": 64}}
    with pytest.raises(RunError, match=r"with dropout 0\.1, not unset"):
        folder.check(asked)


def test_a_trial_is_taken_once(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    taken = folder.take_trial("000")
    assert taken is not None
    assert folder.take_trial("000") is None
    other = folder.take_trial("001")
    assert other is not None


def test_a_link_in_place_of_the_settings_is_refused(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    (tmp_path / "elsewhere.json").write_text('{"format": 1, "asked": {}}')
    folder.settings.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(RunError, match="cannot read"):
        folder.check({})
