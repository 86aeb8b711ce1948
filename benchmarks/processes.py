"""Processes that end with the program that started them, even if it is killed; processor time."""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MARK = "RICORDA_STARTED_BY"
"""The environment variable that the processes started by a program have in common."""

WATCH = """
import os, signal, sys, time
from pathlib import Path

sys.stdin.buffer.read(1)  # comes when the program is done, or nothing when it is no more
mark, found = sys.argv[1].encode(), True
while found:
    found = False
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(bytes(1)):
                os.kill(int(process.name), signal.SIGKILL)
                found = True
        except OSError:
            pass
    time.sleep(0.01)
"""

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
"""The ticks of a second in which /proc counts processor time."""


def processor_seconds(process: int) -> float:
    """The processor time of a process with all its threads, without its children; on Linux alone.

    Raises OSError if there is no such process.
    """
    user, system = _status(process)[11:13]
    return (int(user) + int(system)) / TICKS


def descendants(process: int) -> list[int]:
    """The processes that a process started, and those that these started; on Linux alone."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            children.setdefault(int(_status(int(place.name))[1]), []).append(int(place.name))
    found = [process]
    for each in found:
        found += children.get(each, [])
    return found[1:]


def _status(process: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may contain anything; proc(5)."""
    return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


@contextlib.contextmanager
def ended_afterwards() -> Iterator[None]:
    """Within, processes may be started that are killed afterwards, or when this one is killed.

    It finds them by their environment, on Linux alone: sessions and groups of their own hide none.
    """
    before = os.environ.get(MARK)
    mark = secrets.token_hex(16)
    watch = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", WATCH, f"{MARK}={mark}"],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C and the end of a group do not reach it
    )
    os.environ[MARK] = mark
    try:
        yield
    finally:
        watch.communicate(b".")
        if before is None:
            del os.environ[MARK]
        else:
            os.environ[MARK] = before
