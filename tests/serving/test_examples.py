"""The examples that use a server do the same with it as with the library."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ricorda

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LINES = "".join(f"{number} ok, the door is closed\n" for number in range(100, 140))


def run(name: str, *words: str, given: str = "") -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words],
        input=given,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return done.stdout


def test_examples(serve: Callable[..., Any], tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(LINES * 4)
    out = tmp_path / "run"
    ricorda.train(log, out=out, steps=60, hidden_size=16, window=32, threads=1, quiet=True)
    today = tmp_path / "today.txt"
    strange = "141 door door rood ok ok\n"
    today.write_text(LINES + strange + LINES)
    with serve({"log": out}) as server:
        there = ("--server", server.url)
        completed = run("autocomplete.py", str(out), "--ways", "2", given="10\nthe\n\nnever\n")
        assert 2 <= len(completed.splitlines()) <= 4
        served = run("autocomplete.py", "log", "--ways", "2", *there, given="10\nthe\n\n")
        assert 2 <= len(served.splitlines()) <= 4
        found = run("surprising_lines.py", str(out), str(today), "--count", "3")
        assert found.startswith("line 41: ")
        assert strange.strip() in found.splitlines()[0]
        assert (
            run("surprising_lines.py", "log", str(today), "--count", "1", *there)[:9]
            == (found.splitlines()[0][:9])
        )
