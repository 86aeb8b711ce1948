"""Unfinished uploads are removed once their studio has ended; nothing else is removed."""

from pathlib import Path

import pytest

from ricorda.studio.texts import Uploads


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a studio left that was killed, beside files of the user's own."""
    (tmp_path / ".ricorda-upload-abc.partial").write_text("left")
    (tmp_path / ".ricorda-upload-mine").write_text("mine")
    (tmp_path / ".x.partial").write_text("mine")
    (tmp_path / "my.txt").write_text("mine")
    (tmp_path / ".ricorda-upload-folder.partial").mkdir()
    (tmp_path / ".ricorda-upload-link.partial").symlink_to("my.txt")
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_a_dead_studio_left_is_removed_and_nothing_else(folder: Path) -> None:
    before = names(folder)
    Uploads(folder).clean()
    assert before - names(folder) == {".ricorda-upload-abc.partial"}


def test_what_another_studio_receives_is_left_alone(folder: Path) -> None:
    at_work = Uploads(folder)
    with at_work.new_file() as (_, path):
        Uploads(folder).clean()
        assert path.is_file()
        assert ".ricorda-upload-abc.partial" in names(folder)
    at_work.close()
    Uploads(folder).clean()
    assert ".ricorda-upload-abc.partial" not in names(folder)


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    Uploads(tmp_path / "texts").clean()
    assert not (tmp_path / "texts").exists()


def test_a_studio_cleans_at_its_start(tmp_path: Path) -> None:
    from ricorda.studio.application import make_studio
    from ricorda.studio.entrance import Entrance
    from ricorda.studio.workspace import Workspace

    (tmp_path / ".ricorda-upload-abc.partial").write_text("left")
    make_studio(Workspace(tmp_path / "runs", tmp_path), Entrance(80), 1000).close()
    assert names(tmp_path) == set()
