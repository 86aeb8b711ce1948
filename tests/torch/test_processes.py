"""Real processes: started, compared with one, killed, stopped. Few: each start takes seconds."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch.distributed

import ricorda
from ricorda.cli.main import main
from ricorda.errors import ProcessLost
from ricorda.runs import RunFolder, read_rows
from ricorda.torch import process_group
from ricorda.training.checkpoint.held_folder import RunLock

if not (sys.platform == "linux" and torch.distributed.is_available()):
    pytest.skip("several processes are tested on Linux", allow_module_level=True)

TEXT = "".join(f"{number} bottles of beer on the wall\n" for number in range(100, 0, -1))
SMALL = [
    *("--hidden-size", "12", "--embedding-size", "5", "--batch-size", "4", "--window", "16"),
    *("--threads", "1", "--precision", "float32", "--dropout", "0.2", "--seed", "3", "--quiet"),
]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(ricorda.__file__).parents[1])}
LONG = pytest.mark.skipif(os.environ.get("FAULTS") != "all", reason="make processes")
LONGEST = 250  # seconds that anything here may take


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bottles.txt").write_text(TEXT)
    return tmp_path


def started(place: Path, *arguments: str, by: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start `ricorda`, or a launcher that starts it."""
    environment = ENVIRONMENT | {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "3"}
    return subprocess.Popen(
        [sys.executable, "-m", *by, "ricorda", *arguments],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=LONGEST)
    return process.returncode, out, err


def run(place: Path, *arguments: str, by: tuple[str, ...] = ()) -> dict[str, Any]:
    status, out, err = ended(started(place, *arguments, "--json", by=by))
    assert status == 0, err
    assert len(out.splitlines()) == 1, out
    figures: dict[str, Any] = json.loads(out)
    return figures


def run_here(place: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The same in this process, which has imported PyTorch already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        status = main([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    figures: dict[str, Any] = json.loads(out)
    return figures


def curve(folder: Path) -> list[float]:
    rows = read_rows(RunFolder(folder).metrics)
    return [row["nats_per_character"] for row in rows if row["event"] == "training"]


def workers(launcher: subprocess.Popen[str]) -> list[int]:
    """The processes that a launcher started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    found = []
    for child in map(int, children):
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"ricorda.torch.worker" in command:
            found.append(child)
    return sorted(found)


def eventually(holds: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started_again(launcher: subprocess.Popen[str], before: list[int]) -> None:
    """Wait until a launcher has other processes than before."""
    eventually(lambda: (now := workers(launcher)) and not set(now) & set(before))


def last_step(folder: Path) -> int:
    """The step of a run's newest row; -1 without rows."""
    return max((row["step"] for row in read_rows(RunFolder(folder).metrics)), default=-1)


def at_step(folder: Path, step: int) -> None:
    """Wait until a run has taken so many steps."""
    eventually(lambda: last_step(folder) >= step)


def held(launcher: subprocess.Popen[str], folder: Path, steps: int) -> list[int]:
    """Stop a rank, so that no other advances; the ranks, or none if all steps were taken before."""
    ranks = workers(launcher)
    if not ranks:
        return []
    os.kill(ranks[-1], signal.SIGSTOP)
    if last_step(folder) < steps:
        return ranks
    os.kill(ranks[-1], signal.SIGCONT)
    return []


@pytest.mark.parametrize("further", [
    pytest.param([], marks=LONG),
    pytest.param(["--documents", "lines"], marks=LONG),
    ["--softmax-candidates", "9", "--documents", "lines"],
])  # fmt: skip
def test_torchrun_by_pytorch_alone_equals_one_process(
    place: Path, capsys: pytest.CaptureFixture[str], further: list[str]
) -> None:
    """PyTorch's DistributedDataParallel averages the gradients."""
    options = ["train", "bottles.txt", *SMALL, "--steps", "30", "--backend", "torch", *further]
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    together = run(place, *options, "--out", "two", by=torchrun)
    alone = run_here(place, capsys, *options, "--out", "one")
    assert curve(place / "two") == pytest.approx(curve(place / "one"), rel=1e-4)
    assert together["validation"] == pytest.approx(alone["validation"], rel=1e-4)
    configuration = json.loads((place / "two" / "config.json").read_text())["training"]
    assert configuration["processes"] == 2


@LONG
@pytest.mark.parametrize("backend", ["kernels", "torch"])
def test_processes_start_from_a_model(
    place: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    (place / "new.txt").write_text("caffè e tè, già così\n" * 100)
    run_here(place, capsys, "train", "bottles.txt", *SMALL, "--steps", "20", "--out", "old")
    options = ["train", "new.txt", *SMALL, "--steps", "20", "--backend", backend, "--from", "old"]
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    together = run(place, *options, "--out", "two", by=torchrun)
    alone = run_here(place, capsys, *options, "--out", "one")
    assert curve(place / "two") == pytest.approx(curve(place / "one"), rel=1e-4)
    assert together["validation"] == pytest.approx(alone["validation"], rel=1e-4)


@LONG
def test_a_branch_is_made_once_and_learned_by_several(place: Path) -> None:
    run(place, "train", "bottles.txt", *SMALL, "--steps", "20", "--out", "one")
    changed = ["--steps", "24", "--dropout", "0.1", "--quiet"]
    branch = run(place, "resume", "one", *changed, "--processes", "2", "--out", "branch")
    assert branch["steps"] == 24
    configuration = json.loads((place / "branch" / "config.json").read_text())
    assert configuration["training"]["processes"] == 2
    assert configuration["branch"]["step"] == 20


def test_a_killed_rank_is_restarted_and_the_run_ends_as_if_undisturbed(place: Path) -> None:
    steps = 400
    options = ["train", "-", *SMALL, "--steps", str(steps), "--processes", "2"]
    undisturbed = subprocess.run(
        [sys.executable, "-m", "ricorda", *options, "--out", "whole", "--json"],
        cwd=place,
        env=ENVIRONMENT,
        input=TEXT,
        capture_output=True,
        text=True,
        check=True,
        timeout=LONGEST,
    )
    options[1] = "whole/input-1.txt"
    ranks: list[int] = []
    while not ranks:
        shutil.rmtree(place / "killed", ignore_errors=True)
        killed = started(place, *options, "--out", "killed", "--json")
        at_step(place / "killed", 40)
        ranks = held(killed, place / "killed", steps)
        if not ranks:
            ended(killed)
    os.kill(ranks[-1], signal.SIGKILL)
    started_again(killed, ranks)
    status, out, err = ended(killed)
    assert status == 0, err
    assert "Traceback" not in err
    figures = json.loads(out)
    assert figures["validation"] == json.loads(undisturbed.stdout)["validation"]
    assert curve(place / "killed") == curve(place / "whole")
    assert not list((place / "killed").glob(".*.partial"))


@pytest.mark.parametrize("whom", ["a rank", "all", pytest.param("the launcher", marks=LONG)])
def test_a_signal_stops_all_after_the_same_step(place: Path, whom: str) -> None:
    """Of what all receive, the launcher sends its own to the ranks again."""
    options = ["train", "bottles.txt", *SMALL, "--steps", "100000", "--processes", "2"]
    process = started(place, *options, "--out", "stopped", "--json")
    at_step(place / "stopped", 100)
    number = signal.SIGINT if whom == "the launcher" else signal.SIGTERM
    ranks = workers(process)
    for each in {"a rank": ranks[-1:], "all": [*ranks, process.pid]}.get(whom, [process.pid]):
        os.kill(each, number)
    status, out, err = ended(process)
    assert status == 128 + number, err
    figures = json.loads(out)
    assert figures["stopped_because"] == "interrupted"
    checkpoints = [path.name for path in (place / "stopped" / "checkpoints").iterdir()]
    assert str(figures["steps"]) in checkpoints
    with RunLock(place / "stopped"):
        assert err.count("\n") == 0, err


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=LONG)])
@pytest.mark.parametrize("seconds", [0.0, pytest.param(0.3, marks=LONG)])
def test_a_signal_before_the_first_step_ends_all_without_a_message(
    place: Path, number: signal.Signals, seconds: float
) -> None:
    """It goes to all of them while they read a pipe, to the launcher last.

    Seconds later, the launcher has seen that others ended and stops the rest by itself.
    """
    os.mkfifo(place / "pipe")
    process = started(place, "train", "pipe", *SMALL, "--processes", "2", "--out", "begun")
    try:
        with (place / "pipe").open("wb"):  # opens when the first one reads
            ranks = workers(process)
            for each in ranks:
                os.kill(each, number)
            time.sleep(seconds)
            os.kill(process.pid, number)
            status, out, err = ended(process)
    finally:
        process.kill()
    assert status in {128 + number, -number}
    assert (out, err.strip()) == ("", "")
    assert not any(Path(f"/proc/{each}").exists() for each in ranks)
    assert not (place / "begun").exists()


def listens(port: int) -> bool:
    with socket.socket() as client:
        return not client.connect_ex(("127.0.0.1", port))


def test_a_signal_ends_a_process_that_waits_for_the_start_of_others(place: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setitem(ENVIRONMENT, name, str(value))
        process = started(place, "train", "bottles.txt", *SMALL, "--out", "first")
    try:
        eventually(lambda: listens(port))
        store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
            "127.0.0.1", port, 2, is_master=False, wait_for_workers=False
        )
        eventually(lambda: store.add("ricorda/started", 0) == 1)  # it waits now
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode in {128 + signal.SIGTERM, -signal.SIGTERM}
    assert (out, err.strip()) == ("", "")
    assert not (place / "first").exists()


def test_processes_that_do_not_start_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "START", timedelta(seconds=0.05))
    store = torch.distributed.HashStore()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLost, match=r"expected 2 processes .* got 1"):
        process_group._wait_for_all(store, 2)
    process_group._wait_for_all(store, 2)  # the second is here


@LONG
def test_a_launcher_that_is_killed_takes_all_with_it(place: Path) -> None:
    options = ["train", "bottles.txt", *SMALL, "--steps", "1000000", "--processes", "2"]
    process = started(place, *options, "--out", "alone")
    at_step(place / "alone", 0)
    process.kill()
    _, err = process.communicate(timeout=LONGEST)  # until the last one has closed it
    assert "the last checkpoint remains" in err  # of the launcher, or of a rank that saw it first
    assert "Traceback" not in err
    with RunLock(place / "alone"):
        assert list((place / "alone" / "checkpoints").iterdir())


@LONG
def test_a_rank_that_hangs_ends_the_run_within_the_time_that_is_stated(place: Path) -> None:
    options = ["train", "bottles.txt", *SMALL, "--steps", "100000", "--processes", "2"]
    options += ["--collective-timeout", "2", "--max-restarts", "0"]
    process = started(place, *options, "--out", "hung")
    at_step(place / "hung", 100)
    os.kill(workers(process)[-1], signal.SIGSTOP)
    status, _, err = ended(process)
    assert status == 1
    lines = err.splitlines()
    assert re.search("did not answer for 2 s", lines[0])
    assert "continue with `ricorda resume`" in lines[-1]
    on, *_ = [run(place, "resume", "hung", "--steps", "2000", "--processes", "1", "--quiet")]
    assert on["steps"] == 2000


def test_wrong_input_is_reported_once_and_not_tried_again(place: Path) -> None:
    process = started(place, "train", "nothing.txt", *SMALL, "--processes", "2")
    status, out, err = ended(process)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "nothing.txt" in err
