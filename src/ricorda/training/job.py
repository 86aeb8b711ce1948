"""Recognizing a job that torchrun has restarted, so that it continues its own run."""

import os
import socket
from pathlib import Path

from ricorda.durable import open_untrusting
from ricorda.runs import LOCK, RunFolder, list_runs

LONGEST_NAME = 1024  # bytes of a job's name


def job_name() -> str:
    """Return the name of the job for which torchrun runs this process; empty without torchrun.

    If torchrun was given no --rdzv-id, the name is that of torchrun's own process.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    if name != "none":
        return name
    launcher = os.getppid()
    try:
        started = Path(f"/proc/{launcher}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = ""
    return f"{socket.gethostname()} {launcher} {started}"


def was_restarted() -> bool:
    """Return whether torchrun has started this job's processes before."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def belongs_to(folder: RunFolder, job: str) -> bool:
    """Return whether a job was the last to train a run."""
    if not job or not folder.is_run:
        return False
    try:
        with open_untrusting(folder.path / LOCK) as file:
            return file.read(LONGEST_NAME) == job.encode()[:LONGEST_NAME]
    except OSError:
        return False


def run_of(job: str, out: Path | None) -> RunFolder | None:
    """Return the run that a job began before it was restarted; None if there is none."""
    if not job:
        return None
    candidates = list_runs() if out is None else [RunFolder(out)]
    return next((folder for folder in candidates if belongs_to(folder, job)), None)
