"""A run that is killed at any instant continues with bit-identical results."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.forge import BOTTLES, TINY, Done, Forge, differences, good_checkpoints, leftovers

Tell = Callable[[str], None]

SOMEWHAT = [
    *("--hidden-size", "16", "--batch-size", "4", "--window", "16", "--threads", "1"),
    *("--steps", "120", "--dropout", "0.2", "--num-layers", "2"),
]


def real_text() -> str:
    """The beginning of a real text where there is one."""
    root = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    path = Path(os.environ.get("RICORDA_DATA", root)) / "tinyshakespeare" / "input.txt"
    return path.read_text()[:20_000] if path.is_file() else BOTTLES * 6


@pytest.mark.parametrize("what", ["text", "documents", "from a model"])
def test_random_kills(forge: Forge, every: bool, tell: Tell, what: str) -> None:
    options, text, kills, same = [*SOMEWHAT], real_text(), 200 if every else 6, 0
    if what == "documents":
        options += ["--documents", "lines"]
    elif what == "from a model":
        model = forge.train(forge.place(BOTTLES), *SOMEWHAT, "--steps", "20")
        options += ["--from", str(model.run)]
        kills //= 2
    began = time.monotonic()
    whole = forge.train(forge.place(text), *options)
    seconds = time.monotonic() - began
    assert whole.status == 0, whole.output
    chance = random.Random(5)
    for _ in range(kills):
        place, status = forge.place(text), 0
        while status != -9:  # one that had ended already was not killed
            place = forge.place(text)
            began, instant = time.monotonic(), chance.uniform(0, seconds)
            killed = forge.train(place, *options, kill_after=instant)
            status = killed.status
            assert status in {0, -9}, f"exit code {status}: {killed.output}"
            if status == 0:  # the first run took longer than this one
                seconds = min(seconds, time.monotonic() - began)
        done = forge.finish(place, *options)
        assert differences(whole.run, done.run) == []
        assert (done.run / "report.html").exists()
        assert leftovers(done.run) == []
        same += 1
    tell(f"random kills: {same} of {kills} resumed, bit-identical")


def test_kills_at_each_call_of_a_save(
    forge: Forge, undisturbed: Done, every: bool, tell: Tell
) -> None:
    counted = forge.train(forge.place(), patches=["wait", "save"], save=2, fault={"below": "run"})
    calls = counted.fault["count"]
    assert calls > 50
    numbers = range(1, calls + 1) if every else range(1, calls + 1, 9)
    for number in numbers:
        place = forge.place()
        fault = {"below": "run", "action": "kill", "number": number}
        killed = forge.train(place, patches=["wait", "save"], save=2, fault=fault)
        assert killed.status == -9
        newest = {path.name for path in good_checkpoints(killed.run)}
        assert newest & {"1", "2"}
        assert differences(undisturbed.run, forge.finish(place).run) == []
        assert leftovers(killed.run) == []
    tell(f"kills at the calls of a save: {len(numbers)} of {len(numbers)} resumed, bit-identical")


def test_a_run_that_is_killed_again_and_again(forge: Forge, undisturbed: Done) -> None:
    place = forge.place()
    fault = {"below": "run", "action": "kill", "number": 60}
    killed = forge.train(place, patches=["wait", "save"], save=1, fault=fault)
    while killed.status == -9:
        killed = forge.resume(place, "--quiet", patches=["wait", "save"], save=1, fault=fault)
    assert killed.status == 0, killed.output
    assert differences(undisturbed.run, killed.run) == []


def test_a_kill_before_the_first_checkpoint(forge: Forge, undisturbed: Done) -> None:
    place = forge.place()
    fault = {"below": "run", "action": "kill", "number": 1}
    assert forge.train(place, patches=["wait", "save"], save=0, fault=fault).status == -9
    assert differences(undisturbed.run, forge.finish(place).run) == []


def test_a_kill_before_the_run_begins(forge: Forge, undisturbed: Done) -> None:
    place = forge.place()
    fault = {"below": "run", "action": "kill", "number": 1}
    assert forge.train(place, patches=["wait", "save"], save=0, fault=fault).status == -9
    (place / "run" / "config.json").unlink()
    (place / "run" / ".ricorda-x.partial").write_text("half")
    done = forge.train(place, *TINY)
    assert differences(undisturbed.run, done.run) == []
    assert leftovers(done.run) == []


def test_what_ends_a_command_line_is_in_its_output(forge: Forge) -> None:
    crashed = forge.train(forge.place(), patches=["one that is not there"])
    assert crashed.status == 99
    assert "KeyError" in crashed.output
