"""Firefox driven by its own protocol, Marionette: JSON over a socket, each message with its length.

https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
SECONDS = 120.0  # until Firefox, or a script in it, counts as stuck
PREFERENCES = {
    "app.update.disabledForTesting": True,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#settings",
    "toolkit.telemetry.enabled": False,
}
"""What keeps a fresh profile from calling its maker."""


class Firefox:
    """One session of a Firefox; `ask` sends a command and hands back its value."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._read()  # who it is
        self.ask("WebDriver:NewSession")
        limit = int(SECONDS * 1000)
        self.ask("WebDriver:SetTimeouts", {"script": limit, "pageLoad": limit})

    def ask(self, command: str, parameters: dict[str, Any] | None = None) -> Any:
        """Do one WebDriver command. Raises AssertionError with what Firefox says went wrong."""
        self._number += 1
        message = json.dumps([0, self._number, command, parameters or {}])
        self._socket.sendall(f"{len(message)}:{message}".encode())
        _, number, error, result = self._read()
        assert number == self._number
        assert error is None, error
        return result.get("value") if isinstance(result, dict) and "value" in result else result

    def run(self, script: str, *given: Any) -> Any:
        """The value of a script's `return`, once a promise that it returns has settled."""
        call = "const done = arguments[arguments.length - 1]; const given = [...arguments];"
        wrapped = (
            f"{call} (async (...given) => {{ {script} }})(...given)"
            ".then((value) => done({ value }), (error) => done({ error: String(error) }))"
        )
        found = self.ask("WebDriver:ExecuteAsyncScript", {"script": wrapped, "args": list(given)})
        assert "error" not in found, found["error"]
        return found.get("value")

    def close(self) -> None:
        """End Firefox."""
        with contextlib.suppress(OSError, AssertionError, ValueError):
            self.ask("Marionette:Quit", {"flags": ["eForceQuit"]})
        self._stream.close()
        self._socket.close()

    def _read(self) -> Any:
        size = b""
        while (digit := self._stream.read(1)) != b":":
            assert digit, "Firefox has ended"
            size += digit
        return json.loads(self._stream.read(int(size)))


@contextlib.contextmanager
def headless_firefox(profile: Path) -> Iterator[Firefox]:
    """Start Firefox with a new profile, and end it afterwards."""
    assert FIREFOX is not None
    preferences = PREFERENCES | {"marionette.port": 0}  # 0: any free port
    lines = [
        f"user_pref({json.dumps(key)}, {json.dumps(value)});" for key, value in preferences.items()
    ]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    options = ["--headless", "--no-remote", "--profile", str(profile), "--marionette"]
    console = "--remote-allow-system-access"  # where scripts' errors are
    process = subprocess.Popen(
        [FIREFOX, *options, console],
        env=os.environ | {"HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    drain = None
    try:
        port = _port(process)
        drain = threading.Thread(target=process.stdout.read)  # or its output would fill the pipe
        drain.start()
        firefox = Firefox(port)
        try:
            yield firefox
        finally:
            firefox.close()
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        process.kill()
        process.wait()
        if drain is not None:
            drain.join()
        process.stdout.close()


def _port(process: "subprocess.Popen[str]") -> int:
    """The port that Firefox says it listens to; Firefox that does not is ended."""
    assert process.stdout is not None
    watch = threading.Timer(SECONDS, process.kill)
    watch.start()
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "Listening on port" in line:
                return int(line.split()[-1])
    finally:
        watch.cancel()
    raise AssertionError(f"Firefox did not start: {''.join(said)[-500:]}")
