"""Knowing a job again that torchrun starts anew: it goes on with its own run."""

import os
import socket
from pathlib import Path

from ricorda.durable import open_untrusting
from ricorda.runs import LOCK, RunFolder, list_runs

LONGEST_NAME = 1024  # bytes of a job's name


def job_name() -> str:
    """The name of the job that torchrun runs this process for; empty where it does not.

    Where torchrun was given no --rdzv-id, it is that of torchrun's own process.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    if name != "none":
        return name
    agent = os.getppid()
    try:
        began = Path(f"/proc/{agent}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        began = ""
    return f"{socket.gethostname()} {agent} {began}"


def was_restarted() -> bool:
    """Whether torchrun has started this job's processes before."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def belongs_to(folder: RunFolder, job: str) -> bool:
    """Whether a run was last trained by a job."""
    if not job or not folder.is_run:
        return False
    try:
        with open_untrusting(folder.path / LOCK) as file:
            return file.read(LONGEST_NAME) == job.encode()[:LONGEST_NAME]
    except OSError:
        return False


def run_of(job: str, out: Path | None) -> RunFolder | None:
    """The run that a job began before it was started again; None if there is none."""
    if not job:
        return None
    candidates = list_runs() if out is None else [RunFolder(out)]
    return next((folder for folder in candidates if belongs_to(folder, job)), None)
