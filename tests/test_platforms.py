"""ricorda on systems without functions and modules that Linux has: they are taken away.

What other libraries need is imported first, so that only ricorda's own use is tested.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCHER = """
import importlib, os, sys
for name in "numpy pydantic click asyncio selectors subprocess tempfile shutil".split():
    importlib.import_module(name)
import multiprocessing.util, concurrent.futures.thread, signal, select
with_torch = len(sys.argv) > 2
if with_torch:
    import torch.nn, torch.utils.data
else:
    sys.modules["torch"] = None
for absent in sys.argv[1].split():
    module, _, name = absent.partition(".")
    if not name:
        sys.modules[module] = None
    elif hasattr(sys.modules[module], name):
        delattr(sys.modules[module], name)
importlib.reload(sys.modules["tempfile"])  # it notes at its import what there is
from ricorda.cli.main import main
from ricorda.training.plan import forecast
forecast.measure_speed.__defaults__ = (None, 0.1)  # seconds
from pathlib import Path
Path("text.txt").write_text("one line of a song\\n" * 90)
small = "--steps 3 --hidden-size 8 --batch-size 4 --window 8 --quiet".split()
commands = [
    ["train", "text.txt", *small, "--cache", "cache", "--out", "run"],
    ["train", "text.txt", *small, "--dry-run"],
    ["resume", "run", "--steps", "5", "--quiet"],
    ["sample", "run", "--length", "5", "--seed", "1"],
    ["score", "run", "text.txt"],
    ["evaluate", "run", "text.txt"],
    ["info", "run"],
    ["runs"],
    ["doctor"],
]
for command in commands:
    code = main(command)
    assert code == 0, (command, code)
import ricorda.cli.serve, ricorda.cli.studio, ricorda.serving.host, ricorda.studio.trainings
if with_torch:
    import ricorda.torch.learner, ricorda.torch.process_group
"""

WINDOWS = """
fcntl resource pwd grp termios tty pty
os.sysconf os.sysconf_names os.sched_getaffinity os.sched_setaffinity os.sched_yield os.fork
os.forkpty os.getuid os.geteuid os.getgid os.getegid os.getpgid os.killpg os.setsid os.uname
os.O_NOFOLLOW os.O_DIRECTORY os.O_CLOEXEC os.O_NONBLOCK os.O_TMPFILE os.O_PATH os.O_SYNC
os.posix_fadvise os.posix_fallocate os.POSIX_FADV_DONTNEED os.memfd_create os.pread os.pwrite
os.preadv os.readv os.sendfile os.copy_file_range os.statvfs os.getloadavg os.nice os.mkfifo
os.mknod os.fchmod os.chown os.fchown os.lchown os.fdatasync os.wait os.openpty os.ctermid
os.major os.minor os.sync os.eventfd os.pidfd_open os.getxattr os.setxattr os.splice
signal.SIGHUP signal.SIGALRM signal.SIGUSR1 signal.SIGUSR2 signal.SIGPIPE signal.SIGKILL
signal.SIGQUIT signal.SIGCHLD signal.pthread_sigmask signal.pthread_kill signal.alarm
signal.setitimer signal.sigwait signal.pause select.poll select.epoll
"""

MACOS = """
os.sched_getaffinity os.sched_setaffinity os.posix_fadvise os.posix_fallocate
os.POSIX_FADV_DONTNEED os.memfd_create os.O_TMPFILE os.O_PATH os.eventfd os.pidfd_open
os.copy_file_range os.getxattr os.setxattr os.fdatasync os.splice select.epoll
signal.sigtimedwait signal.sigwaitinfo
"""

ALONE = [
    "fcntl",
    "os.sysconf",
    "os.O_NOFOLLOW os.O_CLOEXEC os.O_DIRECTORY",
    "os.pread os.memfd_create os.posix_fadvise",
    "signal.SIGHUP",
]
"""What may be missing on a system that has the rest."""


def run_without(
    absent: str, folder: Path, *, with_torch: bool = False
) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "RICORDA_CACHE"}
    return subprocess.run(
        [sys.executable, "-c", LAUNCHER, " ".join(absent.split()), *["torch"] * with_torch],
        cwd=folder,
        env=environment | {"OMP_NUM_THREADS": "1", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("absent", [WINDOWS, MACOS, *ALONE], ids=["windows", "macos", *ALONE])
def test_the_commands_work_without(absent: str, tmp_path: Path) -> None:
    done = run_without(absent, tmp_path, with_torch=absent == WINDOWS)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_the_launcher_takes_things_away(tmp_path: Path) -> None:
    done = run_without("os.replace os.rename", tmp_path)
    assert done.returncode != 0
    assert "replace" in done.stderr
