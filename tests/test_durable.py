"""Files are complete or absent, and only ricorda's own are removed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.durable import (
    append,
    is_partial,
    partial_name,
    remove_folder,
    remove_leftovers,
    write_atomically,
    write_new,
)
from ricorda.errors import RunError


@pytest.fixture(params=[0o022, 0o077, 0o027, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask, put back afterwards."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_have_the_mode_that_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    write_atomically(tmp_path / "whole", b"a")
    write_atomically(tmp_path / "whole", b"b")
    write_new(tmp_path / "new", [b"a"])
    append(tmp_path / "rows", b"a")
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_all_files_of_a_run_have_the_mode_that_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    (tmp_path / "my.txt").write_text("0123456789" * 30)
    options: dict[str, Any] = {"hidden_size": 4, "threads": 1, "steps": 2}
    options |= {"window": 8, "batch_size": 2}
    run = ricorda.train(tmp_path / "my.txt", out=tmp_path / "run", quiet=True, **options)
    paths = [run.folder, *run.folder.rglob("*")]
    assert len(paths) > 10
    for path in paths:
        whole = 0o777 if path.is_dir() else 0o666
        assert (path.name, path.stat().st_mode & 0o777) == (path.name, whole & ~umask)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ricorda.durable.flush", refuse)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "file", b"a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".x.partial", ".partial", "x.partial", ".ricorda-.partial"])
def test_names_of_others_are_not_ricordas(name: str) -> None:
    assert not is_partial(name)
    assert is_partial(partial_name("x"))


def test_a_folder_is_removed_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("ours", partial_name("a"), "theirs"):
        (folder / name).write_text("")
    assert not remove_folder(folder, ["ours", "missing"])
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    (folder / "theirs").unlink()
    assert remove_folder(folder, ["ours"])
    assert not folder.exists()
    assert remove_folder(folder, ["ours"])


def test_links_and_folders_of_these_names_stay(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "ours").mkdir(parents=True)
    (mine / "link").symlink_to("ours")
    (tmp_path / "link").symlink_to("mine")
    (mine / "file").write_text("")
    assert not remove_folder(tmp_path / "link", ["file", "link", "ours"])
    assert not remove_folder(mine, ["link", "ours"])
    assert {path.name for path in mine.iterdir()} == {"file", "link", "ours"}


def test_leftovers_are_removed_and_what_others_put_into_them_stays(tmp_path: Path) -> None:
    half = tmp_path / partial_name("7")
    half.mkdir()
    (half / "ours").write_text("")
    (half / "theirs").write_text("")
    (tmp_path / partial_name("8")).write_text("")
    (tmp_path / ".x.partial").write_text("")
    remove_leftovers(tmp_path, ["ours"])
    assert {path.name for path in tmp_path.rglob("*")} == {half.name, "theirs", ".x.partial"}


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a device")
def test_no_message_asks_to_remove_a_device(tmp_path: Path) -> None:
    link = tmp_path / "link"  # as /dev/stdout is one
    link.symlink_to("/dev/null")
    for path in (Path("/dev/null"), link):
        with pytest.raises(RunError, match=": name another file"):
            write_atomically(path, b"")
