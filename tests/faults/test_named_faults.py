"""Other faults of a run: in its text, its numbers, its clock, its reader, its folder."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ricorda.model import read_model_file
from tests.faults.forge import (
    BOTTLES,
    TINY,
    Done,
    Forge,
    copy,
    differences,
    good_checkpoints,
    leftovers,
    remains,
)

AT_2 = {"patches": ["step", "wait"], "at": 2}


@pytest.mark.parametrize("does", ["delete text", "change text"])
def test_a_text_that_changes_during_the_run_does_not_matter_to_it(
    forge: Forge, undisturbed: Done, does: str
) -> None:
    done = forge.train(forge.place(), **AT_2, does=does)
    assert done.status == 0
    assert differences(undisturbed.run, done.run) == []


def stopped(forge: Forge) -> Path:
    """A run that was interrupted after 2 of its 4 steps."""
    done = forge.train(forge.place(), **AT_2, does="signal", signal=signal.SIGINT)
    assert done.status == 130
    return done.place


def test_a_text_that_was_moved_is_named(forge: Forge, undisturbed: Done) -> None:
    place = stopped(forge)
    (place / "my.txt").rename(place / "moved.txt")
    refused = forge.resume(place)
    assert refused.status == 2
    assert "the run's text cannot be read again" in refused.output
    done = forge.resume(place, "--text", "moved.txt", "--quiet")
    assert done.status == 0, done.output
    assert differences(undisturbed.run, done.run) == ["model"]  # it tells the text's name
    models = [read_model_file(run / "model.safetensors") for run in (undisturbed.run, done.run)]
    for name, tensor in models[0].tensors.items():
        assert tensor.tobytes() == models[1].tensors[name].tobytes()
    texts = json.loads((done.run / "config.json").read_text())["text"]["texts"]
    assert texts == [str(place / "moved.txt")]


def test_a_changed_text_is_refused_and_what_differs_is_named(forge: Forge) -> None:
    place = stopped(forge)
    (place / "my.txt").write_text(BOTTLES + "more")
    refused = forge.resume(place)
    assert refused.status == 2
    assert f"it has {len(BOTTLES) + 4:,} bytes and digest" in refused.output
    assert f"the run's had {len(BOTTLES):,} bytes and digest" in refused.output
    (place / "my.txt").write_text(BOTTLES.replace("99", "98"))
    refused = forge.resume(place)
    assert refused.status == 2
    assert "it has digest" in refused.output
    (place / "my.txt").write_text(BOTTLES)
    assert forge.resume(place, "--quiet").status == 0


def test_a_changed_validation_file_is_refused(forge: Forge) -> None:
    place = forge.place()
    (place / "validation.txt").write_text(BOTTLES[:600])
    words = [*TINY, "--validation", "validation.txt"]
    assert forge.train(place, *words, **AT_2, does="signal", signal=signal.SIGTERM).status == 143
    (place / "validation.txt").write_text(BOTTLES[300:900])
    refused = forge.resume(place)
    assert refused.status == 2
    assert "the validation" in refused.output
    assert "changed since this run began" in refused.output
    (place / "moved.txt").write_text(BOTTLES[:600])
    assert forge.resume(place, "--validation", "moved.txt", "--quiet").status == 0


def test_a_clock_that_is_set_back_does_not_matter(forge: Forge, undisturbed: Done) -> None:
    done = forge.train(forge.place(), **AT_2, does="set clock back")
    assert done.status == 0
    assert differences(undisturbed.run, done.run) == []
    assert remains(done.run)["metrics"] == remains(undisturbed.run)["metrics"]


def test_a_memory_limit_ends_the_run_with_the_cause(forge: Forge) -> None:
    words = [*TINY[:-4], "--steps", "4", "--initialisation", "uniform"]  # orthogonal takes seconds
    words += ["--cell", "lstm", "--hidden-size", "256"]  # its copies need new memory
    whole = forge.train(forge.place(), *words)
    done = forge.train(forge.place(), *words, **AT_2, does="lower memory")
    assert done.status == 1, done.output
    assert "Traceback" not in done.output
    assert "not enough memory" in done.output or "could not be saved" in done.output
    assert "`ricorda resume" in done.output
    assert differences(whole.run, forge.finish(done.place).run) == []
    assert leftovers(done.run) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_saves_the_run(
    forge: Forge, undisturbed: Done, number: signal.Signals
) -> None:
    done = forge.train(forge.place(), **AT_2, does="signal", signal=number)
    assert done.status == 128 + number
    assert [path.name for path in good_checkpoints(done.run) if path.name == "3"]
    assert differences(undisturbed.run, forge.finish(done.place).run) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_second_signal_ends_the_process_at_once(
    forge: Forge, undisturbed: Done, number: signal.Signals
) -> None:
    done = forge.train(forge.place(), **AT_2, does="two signals", signal=number)
    assert done.status == -number
    assert "3" not in [path.name for path in good_checkpoints(done.run)]
    assert differences(undisturbed.run, forge.finish(done.place).run) == []


def test_numbers_that_are_not_finite_lead_back_to_a_checkpoint(forge: Forge) -> None:
    wrong = {**AT_2, "does": "spoil weights", "until_returns": 2}
    done = forge.train(forge.place(), **wrong)
    assert done.status == 0, done.output
    rows = remains(done.run)["metrics"]
    events = [row for row in rows if row["event"] == "returned"]
    assert [row["learning_rate_factor"] for row in events] == [0.5, 0.25]
    assert [row["step"] for row in events] == [2, 2]
    assert "not a number" in events[0]["error"] or "nan" in events[0]["error"]
    rates = {row["step"]: row["learning_rate"] for row in rows if row["event"] == "training"}
    whole = forge.train(forge.place())
    for row in remains(whole.run)["metrics"]:
        if row["event"] == "training":
            factor = 1 if row["step"] <= 2 else 0.25
            assert rates[row["step"]] == pytest.approx(factor * row["learning_rate"])
    # Killed after the return, it goes on to the same bits.
    place = forge.place()
    killed = forge.train(
        place,
        **(wrong | {"patches": ["step", "wait", "save"]}),
        save=5,
        fault={"below": "run", "number": 0},
        dies=True,
    )
    assert killed.status == -9
    resumed = forge.resume(place, "--quiet", **wrong)
    assert resumed.status == 0, resumed.output
    assert differences(done.run, resumed.run) == []


def test_numbers_that_stay_wrong_stop_the_run_with_a_diagnosis(forge: Forge) -> None:
    done = forge.train(forge.place(), **AT_2, does="spoil weights", until_returns=99)
    assert done.status == 1
    assert "3 returns to a checkpoint with a lower learning rate did not help" in done.output
    assert "--learning-rate" in done.output
    assert "Traceback" not in done.output
    rows = [json.loads(line) for line in (done.run / "metrics.jsonl").read_text().splitlines()]
    events = [row["event"] for row in rows]
    assert events[-2:] == ["returned", "gave_up"]
    assert (events.count("returned"), events.count("gave_up")) == (3, 1)
    assert good_checkpoints(done.run)


def test_a_second_run_in_one_folder_is_refused(forge: Forge, undisturbed: Done) -> None:
    place = stopped(forge)
    hold = (
        "import fcntl, os, sys; "
        "fcntl.flock(os.open('run/.ricorda.lock', os.O_RDWR), fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        refused = forge.resume(place)
        assert refused.status == 2
        assert refused.output.startswith("ricorda: another process trains in run: ")
        assert refused.output.count("\n") == 1
        holder.kill()
    done = forge.resume(place, "--quiet")
    assert done.status == 0, done.output
    assert differences(undisturbed.run, done.run) == []


def test_a_run_that_is_being_trained_is_locked(forge: Forge) -> None:
    place = forge.place()
    process = started(place, "--minutes", "60", "--hidden-size", "4")
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if b"run: " in line:
                break
        assert "another process trains" in forge.resume(place).output
        taken = forge.train(place)
        assert taken.status == 2
        assert "already holds a run, which is not finished" in taken.output
    finally:
        process.kill()
        process.communicate()


def started(place: Path, *words: str) -> "subprocess.Popen[bytes]":
    """A training in a process of its own, with pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "ricorda", "train", "my.txt", "--out", "run", *words],
        cwd=place,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_stream_ends_the_printing_and_not_the_run(forge: Forge, stream: str) -> None:
    place = forge.place()
    process = started(place, *TINY, "--json")
    getattr(process, stream).close()
    with process:
        other = process.stderr if stream == "stdout" else process.stdout
        assert other is not None
        said = other.read()
    assert process.returncode == 0
    assert b"Traceback" not in said
    last = (place / "run" / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["stopped_because"] == "steps"


def _newest(run: Path) -> Path:
    return max(good_checkpoints(run), key=lambda path: [int(n) for n in path.name.split(".")])


def _with_format(checkpoint: Path, number: int) -> None:
    from ricorda.training.checkpoint.folder import _signed

    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest = _signed({**manifest, "format": number})
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))


def test_a_checkpoint_of_a_newer_format_is_refused(forge: Forge) -> None:
    place = stopped(forge)
    _with_format(_newest(place / "run"), 3)
    before = sorted(str(path) for path in place.rglob("*") if path.name != "output.txt")
    refused = forge.resume(place)
    assert refused.status == 2
    assert "has format 3, newer than this ricorda reads (2): upgrade ricorda" in refused.output
    assert sorted(str(path) for path in place.rglob("*") if path.name != "output.txt") == before


def test_a_checkpoint_of_an_older_format_is_passed_over(forge: Forge, undisturbed: Done) -> None:
    place = stopped(forge)
    newest = _newest(place / "run")
    (newest / "manifest.json").unlink()
    done = forge.resume(place)
    assert done.status == 0
    assert f"{newest.name} is broken (it has no manifest.json): an older one is used" in done.output
    assert differences(undisturbed.run, done.run) == []
    other = stopped(forge)
    _with_format(_newest(other / "run"), 1)
    assert "it has format 1, which this ricorda no longer reads" in forge.resume(other).output


def test_broken_checkpoints_are_passed_over_and_reported(forge: Forge, undisturbed: Done) -> None:
    place = stopped(forge)
    newest = _newest(place / "run")
    tensors = newest / "tensors.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(content)
    all_broken = copy(place, place.with_name(f"{place.name}-all"))
    done = forge.resume(place)
    assert done.status == 0
    assert done.output.count("the digest of tensors.safetensors differs") == 1
    assert differences(undisturbed.run, done.run) == []
    for checkpoint in good_checkpoints(all_broken / "run"):
        (checkpoint / "progress.json").write_text("{}")
    refused = forge.resume(all_broken)
    assert refused.status == 2
    assert "no checkpoint in run/checkpoints is intact" in refused.output


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.jsonl", "model.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "zeros", "link"])
def test_what_the_checkpoint_has_too_is_put_back(
    forge: Forge, undisturbed: Done, name: str, damage: str
) -> None:
    place = stopped(forge)
    path = place / "run" / name
    length = path.stat().st_size
    path.unlink()
    if damage == "zeros":
        path.write_bytes(b"\0" * length)
    elif damage == "link":
        path.symlink_to("/dev/full")
    done = forge.resume(place)
    if damage == "link" and name == "model.safetensors":
        assert done.status == 2
        assert "found a symbolic link" in done.output
        return
    assert done.status == 0, done.output
    if damage != "link":
        assert differences(undisturbed.run, done.run) == []


def test_no_link_or_pipe_is_written_through(forge: Forge) -> None:
    place = stopped(forge)
    (place / "run" / "checkpoints").rename(place / "elsewhere")
    (place / "run" / "checkpoints").symlink_to(place / "elsewhere")
    refused = forge.resume(place)
    assert refused.status == 2
    assert "found a symbolic link" in refused.output
    (place / "run" / ".ricorda.lock").unlink()
    (place / "run" / ".ricorda.lock").symlink_to("/dev/null")
    assert "found a symbolic link: name another file or remove it" in forge.resume(place).output


def test_another_machine_is_reported(forge: Forge) -> None:
    place = stopped(forge)
    changed = json.loads((place / "run" / "config.json").read_text())
    changed["training"]["threads"] = 2
    (place / "run" / "config.json").write_text(json.dumps(changed))
    done = forge.resume(place)
    assert done.status == 0
    message = "the machine or a version changed (threads 1 is now 2): the run continues"
    assert message in done.output


def test_a_pipe_in_place_of_the_rows_does_not_hang_the_run(forge: Forge) -> None:
    place = stopped(forge)
    path = place / "run" / "samples.jsonl"
    path.unlink()
    os.mkfifo(path)
    done = forge.resume(place)
    assert done.status == 0
    assert "samples.jsonl cannot be written" in done.output
