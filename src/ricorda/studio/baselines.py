"""Simple methods' figures of a text, computed in the background at a low priority and kept."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ricorda.durable import open_untrusting, write_atomically
from ricorda.studio.reading import Reading
from ricorda.studio.workspace import Workspace

PATIENCE = 10  # added to the niceness: training comes first
AT_ONCE = 2  # processes
LONGEST = 64 * 1024  # bytes of what `ricorda baselines --json` prints
NONE: dict[str, Any] = {"done": True, "bits_per_character": None}


class BaselineFigures:
    """What `ricorda baselines` prints of each text, once for each; from any thread."""

    def __init__(self, workspace: Workspace) -> None:
        """Keep the figures in the workspace's private folder."""
        self._workspace = workspace
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._found: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def get(self, reading: Reading) -> dict[str, Any]:
        """Give the figures as `{"done": True, "bits_per_character": ...}`, or begin to compute.

        The studio must be allowed to read the text. Figures that cannot be computed are None.
        """
        if reading.validation is not None:
            return NONE
        key = hashlib.sha256(repr(reading.stamp).encode()).hexdigest()[:24]
        kept = self._workspace.private / f"baselines-{key}.json"
        with self._lock:
            if key in self._found:
                return self._found[key]
            with contextlib.suppress(OSError, ValueError), open_untrusting(kept) as file:
                return {"done": True, **json.loads(file.read(LONGEST))}
            if key not in self._running:
                if sum(each.poll() is None for each in self._running.values()) >= AT_ONCE:
                    return {"done": False}  # its turn comes as it is asked for again
                self._running[key] = self._begin(reading)
            if self._running[key].poll() is None:
                return {"done": False}
            self._found[key] = NONE | self._finish(key, kept)
            return self._found[key]

    def _finish(self, key: str, kept: Path) -> dict[str, Any]:
        """Take what a process printed, and keep it; nothing if it failed."""
        process = self._running.pop(key)
        output, _ = process.communicate()
        try:
            found: dict[str, Any] = json.loads(output[:LONGEST])
        except ValueError:
            return {}
        with contextlib.suppress(OSError):  # a full disk: they are computed again next time
            write_atomically(kept, json.dumps(found).encode())
        return found

    def close(self) -> None:
        """End what is being computed."""
        with self._lock:
            for process in self._running.values():
                process.kill()
                process.communicate()
            self._running.clear()

    def _begin(self, reading: Reading) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "ricorda", "baselines", *reading.words, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(OSError, AttributeError):  # Windows has no such call
            os.setpriority(os.PRIO_PROCESS, process.pid, PATIENCE)
        return process
