"""Checkpoints on the disk: complete, checked, the newest kept."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ricorda.errors import RunError
from ricorda.training.checkpoint.folder import CheckpointFolder, Newer, _signed


def saved(tmp_path: Path, *steps: int, keep: int = 2, anchors: tuple[int, ...] = ()) -> list[str]:
    folder = CheckpointFolder(tmp_path, keep)
    for step in steps:
        folder.save(step, {"progress.json": [b"one", b"two"]}, anchor=step in anchors)
    return sorted(path.name for path in tmp_path.iterdir())


def found(tmp_path: Path) -> tuple[list[str], list[str]]:
    said: list[str] = []
    good = [each.path.name for each in CheckpointFolder(tmp_path, 2).good(said.append)]
    return good, said


@pytest.mark.parametrize("keep, left", [(1, ["3"]), (2, ["2", "3"]), (9, ["0", "1", "2", "3"])])
def test_the_newest_are_kept(tmp_path: Path, keep: int, left: list[str]) -> None:
    assert saved(tmp_path, 0, 1, 2, 3, keep=keep) == left


def test_the_newest_anchor_is_kept_too(tmp_path: Path) -> None:
    assert saved(tmp_path, 0, 1, 2, 3, keep=1, anchors=(0, 1)) == ["1", "3"]


def test_a_second_checkpoint_of_a_step_is_the_newer_one(tmp_path: Path) -> None:
    assert saved(tmp_path, 7, 7, 7, keep=9) == ["7", "7.2", "7.3"]
    assert found(tmp_path) == (["7.3", "7.2", "7"], [])


def test_after_a_return_the_newest_is_what_was_written_last(tmp_path: Path) -> None:
    assert saved(tmp_path, 100, 150, 100, keep=9) == ["100", "100.2", "150"]
    assert found(tmp_path)[0][0] == "100.2"
    assert saved(tmp_path, 120, 170, keep=2) == ["120.2", "170.2"]
    assert saved(tmp_path, 110) == ["110.3", "170.2"]
    assert found(tmp_path) == (["110.3", "170.2"], [])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    saved(tmp_path, 4)
    (checkpoint,) = CheckpointFolder(tmp_path, 1).good(print)
    assert checkpoint.read("progress.json", 100) == b"onetwo"
    assert not checkpoint.is_anchor


def test_broken_ones_are_passed_over_and_go_at_the_next_save(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3, keep=9)
    (tmp_path / "3" / "progress.json").write_bytes(b"onetwa")
    good, said = found(tmp_path)
    assert good == ["2", "1"]
    assert said == [
        f"the checkpoint {tmp_path / '3'} is broken (the digest of progress.json differs): "
        "an older one is used"
    ]
    assert saved(tmp_path, 4) == ["2", "4"]


BREAKS: dict[str, Callable[[Path], object]] = {
    "a file cut off": lambda place: os.truncate(place / "progress.json", 5),
    "a file that grew": lambda place: (place / "progress.json").write_bytes(b"onetwothree"),
    "a file gone": lambda place: (place / "progress.json").unlink(),
    "a manifest gone": lambda place: (place / "manifest.json").unlink(),
    "a manifest cut off": lambda place: os.truncate(place / "manifest.json", 40),
    "a manifest of nothing": lambda place: (place / "manifest.json").write_text("{}"),
    "a manifest of a list": lambda place: (place / "manifest.json").write_text("[]"),
    "a manifest too deep": lambda place: (place / "manifest.json").write_text("[" * 9999),
    "a manifest too long": lambda place: os.truncate(place / "manifest.json", 10**7),
    "a link": lambda place: _replaced_by_link(place / "progress.json"),
    "a pipe": lambda place: _replaced_by_pipe(place / "progress.json"),
    "a folder": lambda place: _replaced_by_folder(place / "progress.json"),
}


def _replaced_by_link(path: Path) -> None:
    path.rename(path.with_name("other.json"))
    path.symlink_to("other.json")


def _replaced_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("kind", BREAKS)
def test_every_kind_of_break_is_seen(tmp_path: Path, kind: str) -> None:
    saved(tmp_path, 1)
    BREAKS[kind](tmp_path / "1")
    good, said = found(tmp_path)
    assert good == []
    assert len(said) == 1
    assert "is broken" in said[0]


@pytest.mark.parametrize(
    "name", ["../a.txt", "/etc/passwd", "a/b.txt", "..", "", "A.TXT", "a.txt\0", 5, None]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: object) -> None:
    saved(tmp_path, 1)
    described = {"size": 3, "sha256": "0" * 64}
    body = {"format": 2, "anchor": False, "files": {str(name): described}}
    (tmp_path / "1" / "manifest.json").write_text(json.dumps(_signed(body)))
    good, said = found(tmp_path)
    assert good == []
    assert "its manifest lists no files" in said[0]


def test_every_flipped_bit_of_a_manifest_is_seen(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    path = tmp_path / "1" / "manifest.json"
    whole = path.read_bytes()
    spaces = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        good, _ = found(tmp_path)
        spaces += good == ["1"]
    assert spaces == 0


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    path = tmp_path / "2" / "manifest.json"
    path.write_text(json.dumps(_signed({**json.loads(path.read_text()), "format": 3})))
    with pytest.raises(Newer, match="has format 3, newer than this ricorda reads"):
        found(tmp_path)


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "real", 1)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(RunError, match="found a symbolic link"):
        CheckpointFolder(tmp_path / "link", 1).save(2, {}, anchor=False)
    with pytest.raises(RunError, match="found a symbolic link"):
        found(tmp_path / "link")
