"""Processes that end with the program that started them, even if it is killed."""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator

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
