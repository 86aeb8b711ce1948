"""Two machines with addresses of their own, as network namespaces: connected and disconnected."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed

from tests.torch.test_processes import (
    ENVIRONMENT,
    LONG,
    LONGEST,
    SMALL,
    TEXT,
    at_step,
    curve,
    ended,
    run,
)

NAMES = ("ricorda-first", "ricorda-second")
ADDRESSES = ("10.83.71.1", "10.83.71.2")
LINKS = ("ricorda0", "ricorda1")
TIMEOUT = 3

Machines = tuple[Path, Path]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=120)


def _may() -> bool:
    """Whether namespaces can be made here."""
    if not sys.platform.startswith("linux") or shutil.which("ip") is None or os.getuid() != 0:
        return False
    try:
        ip("netns", "add", "ricorda-trial")
        ip("netns", "delete", "ricorda-trial")
    except (subprocess.CalledProcessError, OSError):
        return False
    return torch.distributed.is_available()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """Two folders, each of a machine with an address of its own and its own copy of the text."""
    if not _may():
        pytest.skip("network namespaces need Linux, root and the command ip")
    folders = (tmp_path / "first", tmp_path / "second")
    try:
        for name, folder in zip(NAMES, folders, strict=True):
            folder.mkdir()
            (folder / "bottles.txt").write_text(TEXT)
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", LINKS[0], "type", "veth", "peer", "name", LINKS[1])
        for name, link in zip(NAMES, LINKS, strict=True):
            ip("link", "set", link, "netns", name)
        for name, link, address in zip(NAMES, LINKS, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
        yield folders
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def start(machines: Machines, *options: str) -> list[subprocess.Popen[str]]:
    """torchrun on each machine."""
    return [
        subprocess.Popen(
            [
                *("ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run"),
                *("--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "0"),
                *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{ADDRESSES[0]}:29471"),
                *("--rdzv-conf", f"is_host={int(address == ADDRESSES[0])}"),
                *("--rdzv-id", "two-machines", "--local-addr", address),
                *("-m", "ricorda", "train", "bottles.txt", *SMALL, "--out", "together", *options),
            ],
            cwd=folder,
            env=ENVIRONMENT | {"GLOO_SOCKET_IFNAME": link},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, folder, link, address in zip(NAMES, machines, LINKS, ADDRESSES, strict=True)
    ]


def writer(machines: Machines) -> Path:
    """The folder of the machine whose process is the first, once a run is there."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        for folder in machines:
            if (folder / "together" / "config.json").exists():
                return folder
        time.sleep(0.02)
    raise AssertionError("no run has begun")


@LONG
def test_two_machines_learn_what_one_does(machines: Machines) -> None:
    processes = start(machines, "--steps", "30", "--json")
    results = [ended(process) for process in processes]
    assert [status for status, _, _ in results] == [0, 0], results
    printed = [out for _, out, _ in results if out]
    assert len(printed) == 1  # of the first process
    first = writer(machines)
    alone = run(first, "train", "bottles.txt", *SMALL, "--steps", "30", "--out", "one")
    assert curve(first / "together") == pytest.approx(curve(first / "one"), rel=1e-4)
    assert json.loads(printed[0])["validation"] == pytest.approx(alone["validation"], rel=1e-4)


@LONG
def test_a_machine_that_is_cut_off_ends_the_run_and_the_checkpoint_is_good(
    machines: Machines,
) -> None:
    processes = start(machines, "--steps", "100000", "--collective-timeout", str(TIMEOUT))
    first = writer(machines)
    at_step(first / "together", 200)
    ip("-n", NAMES[0], "link", "set", LINKS[0], "down")
    cut = time.monotonic()
    own = processes[machines.index(first)]
    assert own.stderr is not None
    lines = iter(own.stderr.readline, "")
    assert any(f"did not answer for {TIMEOUT} s" in line for line in lines)
    assert time.monotonic() - cut < TIMEOUT + 20  # on an idle machine, little over the timeout
    for process in processes:
        process.kill()
        process.communicate(timeout=LONGEST)
    on = run(first, "resume", "together", "--steps", "3000", "--processes", "1", "--quiet")
    assert on["steps"] == 3000
