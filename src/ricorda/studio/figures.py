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

from ricorda.durable import write_atomically
from ricorda.studio.texts import Reading
from ricorda.studio.workspace import Workspace

PATIENCE = 10  # added to the niceness: training comes first
AT_ONCE = 2  # processes
LONGEST = 64 * 1024  # bytes of what `ricorda baselines --json` prints


class BaselineFigures:
    """What `ricorda baselines` prints of each text, once for each; from any thread."""

    def __init__(self, workspace: Workspace) -> None:
        """Keep the figures in the workspace's hidden folder."""
        self._workspace = workspace
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._failed: set[str] = set()
        self._lock = threading.Lock()

    def get(self, reading: Reading) -> dict[str, Any]:
        """Give the figures as `{"done": True, "bits_per_character": ...}`, or begin to compute.

        Without figures, because none can be had, they are None.
        """
        if reading.validation is not None or reading.is_gone:
            return {"done": True, "bits_per_character": None}
        key = hashlib.sha256(repr(reading.stamp).encode()).hexdigest()[:24]
        kept = self._workspace.hidden / f"baselines-{key}.json"
        with self._lock:
            if kept.is_file():
                with contextlib.suppress(OSError, ValueError):
                    return {"done": True, **json.loads(kept.read_bytes()[:LONGEST])}
            if key not in self._failed and key not in self._running:
                if sum(each.poll() is None for each in self._running.values()) >= AT_ONCE:
                    return {"done": False}  # its turn comes as it is asked for again
                self._running[key] = self._begin(reading)
            if key in self._running and self._running[key].poll() is None:
                return {"done": False}
            return {"done": True, "bits_per_character": None, **self._finish(key, kept)}

    def _finish(self, key: str, kept: Path) -> dict[str, Any]:
        """Take what a process printed, and keep it; nothing if it failed."""
        process = self._running.pop(key, None)
        if process is None:
            return {}
        output, _ = process.communicate()
        try:
            found: dict[str, Any] = json.loads(output[:LONGEST])
            write_atomically(kept, json.dumps(found).encode())
        except (OSError, ValueError):
            self._failed.add(key)
            return {}
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
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process.pid, PATIENCE)
        return process
