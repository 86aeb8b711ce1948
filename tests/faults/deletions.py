"""Trace every deletion and rename of a part of the test suite, and report foreign paths.

    python -m tests.faults.deletions [PYTEST ARGUMENT ...]

strace follows pytest and all that it starts. Every path that is deleted or renamed must have been
made in the trace: opened with O_CREAT, made as a folder or a link, or the target of a rename. What
a process of ricorda deletes or replaces and a test has made must, besides, have a name that ricorda
writes. Exit code 1 if a path does not.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

DEFAULT = (
    *("tests/test_durable.py", "tests/text/test_cached_encoding.py", "tests/text/test_id_file.py"),
    *("tests/training/checkpoint/test_held_folder.py", "tests/training/checkpoint/test_folder.py"),
    *(
        "tests/training/test_run.py",
        "tests/training/test_resume.py",
        "tests/training/checkpoint/test_lock.py",
    ),
    *("tests/torch/test_processes.py", "tests/cli/test_names.py", "tests/cli/test_signals.py"),
    *(
        "tests/cli/test_runs.py",
        "tests/cli/test_large_texts.py",
        "tests/cli/test_resume.py",
        "tests/cli/test_train.py",
    ),
    *("tests/faults/test_named_faults.py", "tests/faults/test_kills.py"),
    *("tests/studio/test_server.py", "tests/studio/test_trainings.py"),
)
"""The tests that train, resume, use the cache and the studio."""

DELETING = ("unlink", "unlinkat", "rmdir")
RENAMING = ("rename", "renameat", "renameat2")
OPENING = ("open", "openat", "openat2", "creat")
MAKING = ("mkdir", "mkdirat", "mknod", "mknodat")
LINKING = ("link", "linkat", "symlink", "symlinkat")
STARTING = ("clone", "clone3", "fork", "vfork")
CALLS = (*DELETING, *RENAMING, *OPENING, *MAKING, *LINKING, *STARTING, "execve", "chdir")

RICORDA = re.compile(r'"-m", "ricorda"|/bin/ricorda"|ricorda\.training\.worker')
"""What the command line of one of ricorda's processes holds."""

OWN_NAMES = re.compile(
    r"\.ricorda-[\w.-]+\.partial|\.ricorda\.lock|CACHEDIR\.TAG"
    r"|config\.json|report\.html|model\.safetensors|documents\.index|metrics\.jsonl|samples\.jsonl"
    r"|dashboards\.json|events\.out\.tfevents\.\d{10}\.ricorda"
    r"|input-\d+\.txt"
    r"|manifest\.json|tensors\.safetensors|progress\.json|best\.safetensors|\d+(\.\d+)?"
    r"|note\.txt|ids|state\.json|provisional\.[124]|entry|[0-9a-f]{64}(\.lock)?"
    r"|ricorda-\w+|outcome\.json|request\.json"
)
"""Names that ricorda writes, as docs/explanations/reliability.md lists them."""

_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_UNFINISHED = re.compile(r"(\d+) +(\w+\(.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_PATH = re.compile(r'(?:(AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>, )?"((?:[^"\\]|\\.)*)"')


class Call(NamedTuple):
    """One system call that succeeded."""

    process: int
    name: str
    arguments: str
    result: int


def calls(lines: Iterator[str]) -> Iterator[Call]:
    """Yield the successful calls of a trace, those that strace printed in two parts included."""
    begun: dict[str, str] = {}
    for line in lines:
        if found := _UNFINISHED.match(line):
            begun[found[1]] = found[2]
            continue
        if found := _RESUMED.match(line):
            line = f"{found[1]} {begun.pop(found[1], '')}{found[2]}"  # noqa: PLW2901
        found = _LINE.match(line)
        if found and int(found[4]) >= 0:
            yield Call(int(found[1]), found[2], found[3], int(found[4]))


@dataclass
class Trace:
    """What was made, by whom, and what was deleted or replaced without having been made."""

    made: dict[str, bool] = field(default_factory=dict)
    """Paths that are there, and whether a process of ricorda made them."""

    ricordas: set[int] = field(default_factory=set)
    folders: dict[int, str] = field(default_factory=dict)
    deleted: int = 0
    by_ricorda: int = 0
    foreign: list[str] = field(default_factory=list)

    def take(self, call: Call) -> None:
        """Account for one call."""
        paths = self._paths(call)
        own = call.process in self.ricordas
        if call.name in STARTING:
            self.folders[call.result] = self.folders.get(call.process, "/")
            if own:
                self.ricordas.add(call.result)
        elif call.name == "execve":
            if RICORDA.search(call.arguments):
                self.ricordas.add(call.process)
        elif call.name == "chdir":
            self.folders[call.process] = paths[0]
        elif call.name in MAKING or (call.name in OPENING and "O_CREAT" in call.arguments):
            self.made.setdefault(paths[0], own)
        elif call.name in LINKING:
            self.made.setdefault(paths[-1], own)
        elif call.name in DELETING:
            self._removed(call, paths[0])
            self.made.pop(paths[0], None)
        elif call.name in RENAMING:
            self._renamed(call, paths[0], paths[1])

    def _paths(self, call: Call) -> list[str]:
        """The paths among the arguments, absolute."""
        if call.name in STARTING or call.name == "execve":
            return []
        found = []
        for descriptor, folder, path in _PATH.findall(call.arguments):
            if descriptor == "AT_FDCWD":
                self.folders[call.process] = folder
            below = folder or self.folders.get(call.process, "/")
            found.append(os.path.normpath(os.path.join(below, path)))  # noqa: PTH118
        return found

    def _removed(self, call: Call, path: str) -> None:
        """Report a path that may not be deleted, moved or replaced."""
        own = call.process in self.ricordas
        self.deleted += 1
        self.by_ricorda += own
        name = path.rpartition("/")[2]
        if path not in self.made:
            self.foreign.append(f"{call.name} {path}: not made in the trace")
        elif own and not self.made[path] and not OWN_NAMES.fullmatch(name):
            self.foreign.append(f"{call.name} {path}: made by a test, and not a name of ricorda's")

    def _renamed(self, call: Call, before: str, after: str) -> None:
        self._removed(call, before)
        if after in self.made:
            self._removed(call, after)
        below = f"{before}/"
        for path in [path for path in self.made if path == before or path.startswith(below)]:
            # The old name stays: another thread may be in the middle of a call that names it.
            self.made[after + path[len(before) :]] = self.made[path]


def traced(arguments: Sequence[str], folder: Path) -> tuple[int, Trace]:
    """Run pytest under strace; return its exit status and what the trace says."""
    output = folder / "trace"
    (folder / "tmp").mkdir()
    strace = ["strace", "-f", "-qq", "-y", "-s", "4096", "--seccomp-bpf", "-e", "signal=none"]
    pytest = [sys.executable, "-m", "pytest", "-q", "--timeout", "0"]
    pytest += ["-o", "tmp_path_retention_policy=all"]  # it deletes nothing itself
    done = subprocess.run(
        [
            *(*strace, "-e", f"trace={','.join(CALLS)}", "-o", str(output)),
            *(*pytest, f"--basetemp={folder / 'tests'}", *arguments),
        ],
        env=os.environ | {"TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    trace = Trace()
    with output.open(encoding="ascii", errors="replace") as lines:
        for call in calls(lines):
            trace.take(call)
    return done.returncode, trace


def main(arguments: Sequence[str]) -> int:
    """Trace the tests and print what was found."""
    with tempfile.TemporaryDirectory(prefix="ricorda-deletions-") as name:
        status, trace = traced(arguments or DEFAULT, Path(name))
    for line in sorted(set(trace.foreign)):
        print(line)
    print(
        f"deleted, moved or replaced: {trace.deleted:,} paths, {trace.by_ricorda:,} of them by "
        f"ricorda's own processes; foreign: {len(set(trace.foreign)):,}"
    )
    return 1 if trace.foreign or status else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
