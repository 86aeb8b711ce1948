"""Failing disks: the previous checkpoint remains, and the run continues or ends with the cause."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.forge import Done, Forge, differences, good_checkpoints, leftovers

Tell = Callable[[str], None]

ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS", "EACCES")
SAVE = {"patches": ["wait", "save"], "save": 2}


def cases(calls: int, *, every: bool) -> list[tuple[int, str]]:
    """Every call with every error, or a spread of them."""
    all_cases = [(number, error) for number in range(1, calls + 1) for error in ERRORS]
    return all_cases if every else all_cases[::23]


def calls_of_a_save(forge: Forge) -> int:
    return forge.train(forge.place(), **SAVE, fault={"below": "run"}).fault["count"]


def test_each_call_of_a_save_fails_and_the_run_continues(
    forge: Forge, undisturbed: Done, every: bool, tell: Tell
) -> None:
    calls = calls_of_a_save(forge)
    chosen = cases(calls, every=every)
    for number, error in chosen:
        fault = {"below": "run", "number": number, "errno": getattr(errno, error)}
        done = forge.train(forge.place(), **SAVE, fault=fault)
        assert done.fault["fired"] == 1
        assert done.status == 0, done.output
        assert differences(undisturbed.run, done.run) == []
        forge.resume(done.place)  # it is refused, having ended, and cleans up
        assert leftovers(done.run) == []
    tell(
        f"failing calls of a save: {calls} calls x {len(ERRORS)} errors, {len(chosen)} tried, "
        "the run went on to the same bits in all"
    )


def test_a_save_that_fails_is_reported(forge: Forge) -> None:
    place = forge.place()
    fault = {"below": "run", "kind": "fsync", "number": 2, "errno": errno.EIO}
    words = ["train", "my.txt", "--out", "run", "--hidden-size", "4", "--threads", "1"]
    done = forge.call(place, *words, "--steps", "4", **SAVE, fault=fault)
    assert done.status == 0
    assert "not saved (Input/output error" in done.output
    assert "the run continues, the last checkpoint remains" in done.output
    assert done.output.count("not saved") == 1


def test_each_call_of_a_save_fails_and_the_former_checkpoint_stands(
    forge: Forge, undisturbed: Done, every: bool, tell: Tell
) -> None:
    chosen = cases(calls_of_a_save(forge), every=every)
    for number, error in chosen:
        fault = {"below": "run", "number": number, "errno": getattr(errno, error)}
        killed = forge.train(forge.place(), **SAVE, fault=fault, dies=True)
        assert killed.status == -9
        assert {path.name for path in good_checkpoints(killed.run)} & {"1", "2"}
        assert differences(undisturbed.run, forge.finish(killed.place).run) == []
        assert leftovers(killed.run) == []
    tell(f"the same, and the process ends there: {len(chosen)} of {len(chosen)} resumed")


@pytest.mark.parametrize("error", ERRORS)
def test_a_disk_that_fails_to_the_end_ends_the_run_with_the_cause(
    forge: Forge, undisturbed: Done, error: str
) -> None:
    number = getattr(errno, error)
    fault = {"below": "run/checkpoints", "action": "fail from", "number": 1, "errno": number}
    done = forge.train(forge.place(), **SAVE, fault=fault, stays_armed=True)
    assert done.status == 1
    assert f"the last steps could not be saved ({os.strerror(number)}" in done.output
    assert "Traceback" not in done.output
    assert {path.name for path in good_checkpoints(done.run)} == {"0", "1"}
    assert differences(undisturbed.run, forge.finish(done.place).run) == []
    assert leftovers(done.run) == []


def test_rows_that_cannot_be_written_are_reported_once_and_the_run_continues(
    forge: Forge, undisturbed: Done
) -> None:
    fault = {"below": "run/metrics.jsonl", "action": "fail from", "number": 1, "errno": 28}
    done = forge.train(forge.place(), patches=["fit"], fault=fault, stays_armed=True)
    assert done.status == 0
    message = "run/metrics.jsonl cannot be written (No space left on device)"
    assert done.output.count(message) == 1  # --quiet shows warnings, and nothing else
    assert "validation" not in done.output
    place = forge.place()
    words = ["train", "my.txt", "--out", "run", "--hidden-size", "4", "--threads", "1"]
    loud = forge.call(place, *words, "--steps", "4", patches=["fit"], fault=fault)
    assert loud.status == 0
    assert loud.output.count(message) == 1
    assert differences(undisturbed.run, done.run) in (["metrics"], [])


@pytest.mark.parametrize("kind", ["open", "write", "close"])
def test_rows_that_were_kept_from_the_disk_are_caught_up(
    forge: Forge, undisturbed: Done, kind: str
) -> None:
    fault = {"below": "run/metrics.jsonl", "kind": kind, "number": 3, "errno": errno.EIO}
    done = forge.train(forge.place(), patches=["fit"], fault=fault)
    assert done.fault["fired"] == 1
    assert done.status == 0
    assert differences(undisturbed.run, done.run) == []


def test_what_differs_when_read_back_is_no_checkpoint(forge: Forge, undisturbed: Done) -> None:
    fault = {"below": "run/checkpoints", "kind": "write", "action": "spoil", "number": 1}
    killed = forge.train(forge.place(), **SAVE, fault=fault, dies=True)
    assert killed.fault["fired"] == 1
    assert {path.name for path in (killed.run / "checkpoints").iterdir()} == {"0", "1"}
    assert differences(undisturbed.run, forge.finish(killed.place).run) == []


def test_the_order_of_writes_flushes_and_renames(forge: Forge) -> None:
    fault = {"below": "run", "log": True}
    done = forge.train(forge.place(), **SAVE, fault=fault)
    calls = (done.place / "calls.txt").read_text().splitlines()
    renamed = calls.index("rename /checkpoints/2")
    partial = "/checkpoints/.ricorda-2.partial"
    files = {call.split()[1] for call in calls if call.startswith(f"write {partial}/")}
    assert len(files) == 6
    for file in files:
        last_write = max(i for i, call in enumerate(calls) if call == f"write {file}")
        flushed = calls.index(f"fsync {file}")
        read_back = max(i for i, call in enumerate(calls) if call == f"read {file}")
        assert last_write < flushed < read_back < renamed
    assert calls.index(f"fsync {partial}") < renamed
    assert renamed < calls.index("fsync /checkpoints")
    dropped = [i for i, call in enumerate(calls) if call.startswith("unlink /checkpoints/0/")]
    assert calls.index("fsync /checkpoints") < dropped[0]
    assert calls[dropped[0]] == "unlink /checkpoints/0/manifest.json"
    model = calls.index("rename /model.safetensors")
    beside = [i for i, call in enumerate(calls) if call.startswith("fsync /.ricorda-")]
    assert beside
    assert max(beside) < model < calls.index("fsync ")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system may not be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full(forge: Forge, small_disk: Path) -> None:
    place = forge.place()
    big = [*("--hidden-size", "40", "--steps", "4", "--threads", "1")]
    whole = forge.train(place, *big)
    (small_disk / "my.txt").write_text((place / "my.txt").read_text())
    (small_disk / "output.txt").symlink_to(small_disk.parent / "output.txt")  # where there is room
    full = forge.train(small_disk, *big)
    assert full.status == 1
    assert "No space left on device" in full.output
    assert "Traceback" not in full.output
    assert leftovers(full.run) == []
    if (full.run / "checkpoints").exists() and good_checkpoints(full.run):
        subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
        assert differences(whole.run, forge.finish(small_disk).run) == []
