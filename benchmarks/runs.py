"""Trainings in processes of their own, by the command line, which every version has."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ricorda.errors import InputError, RicordaError

# The system counts a child's memory from its birth, when it still was a copy of its parent: a
# small process stands between, so that what the benchmark itself holds is not counted.
BETWEEN = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
MEGABYTE = 10**6
TIMED = ("--dropout", "0", "--recurrent-dropout", "0", "--validation-fraction", "0.01")
"""Options of a training whose steps are timed: without dropout and with short evaluations."""

WRONG_INPUT = 2  # the exit code of a command that was given what it cannot take


@dataclass(frozen=True)
class Trained:
    """What a training left."""

    rows: list[dict[str, Any]]
    """The rows of its steps, from metrics.jsonl."""

    result: dict[str, Any]
    """What it printed last."""

    megabytes: float
    """Its peak resident memory."""

    def speed(self, slower: float = 0.5) -> float:
        """Characters per second that this share of its steps does not reach, evaluations left out.

        The first fifth of the steps is not counted.
        """
        steps = self.rows[len(self.rows) // 5 :]
        speeds = sorted(float(row["characters_per_second"]) for row in steps)
        return speeds[int(slower * len(speeds))]


def train(text: Path, out: Path, *options: str, source: Path | None = None) -> Trained:
    """Run `ricorda train`, that of another checkout's `source` if given.

    Raises InputError with its last line if it was given what it cannot take, else RicordaError.
    """
    words = ["train", str(text), "--out", str(out), "--quiet", "--json", *options]
    printed, megabytes = measured([sys.executable, "-m", "ricorda", *words], source)
    with (out / "metrics.jsonl").open(encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["event"] == "training"]
    if not rows:
        raise RicordaError(f"the training to be measured left no rows in {out}")
    return Trained(rows, json.loads(printed.splitlines()[-1]), megabytes)


def measured(command: Sequence[str], source: Path | None = None) -> tuple[str, float]:
    """Run a command; return what it printed and its peak resident memory in megabytes.

    Raises as `train` does.
    """
    environment = os.environ if source is None else os.environ | {"PYTHONPATH": str(source)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", BETWEEN, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("ricorda: ")
        if done.returncode == WRONG_INPUT:
            raise InputError(last)
        raise RicordaError(f"the command to be measured failed: {last}")
    *printed, peak = done.stdout.splitlines()
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of what the system counts in
    return "\n".join(printed), int(peak) * unit / MEGABYTE


def peer_speed(program: Path, **settings: Any) -> float:
    """Run a peer's training program; return the characters per second of its median step."""
    command = [sys.executable, "-P", str(program), json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RicordaError(f"the peer's training failed: {last}")
    seconds: list[float] = json.loads(done.stdout)
    symbols = settings["batch_size"] * settings["window"]
    return float(symbols / statistics.median(seconds[len(seconds) // 5 :]))
