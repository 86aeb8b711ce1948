"""How many processor cores and how much memory this process may use, in a container too.

Linux has two interfaces (cgroups(7)). In version 2 all controllers share one hierarchy, with the
files cpu.max and memory.max; in version 1 each controller has its own, with cpu.cfs_quota_us,
cpu.cfs_period_us and memory.limit_in_bytes. A group is also bound by the limits of every group
above it. What cannot be read sets no limit.
"""

import contextlib
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def usable_cores() -> int:
    """Return how many cores this process may use, at least one.

    That is the smaller of the cores that it may run on and the processor time that its control
    groups allow, rounded up. The C++ kernels take this number when they are loaded.
    """
    quota = cpu_quota()
    allowed = allowed_cores()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def allowed_cores() -> int:
    """Return how many cores the system may schedule this process on; all if it reports none."""
    if hasattr(os, "sched_getaffinity"):
        try:
            return len(os.sched_getaffinity(0))
        except OSError:  # a system call filter
            pass
    return os.cpu_count() or 1


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return how many processors the process may use by its quota; None without a limit.

    root: the folder that stands for / (another one in tests).
    """
    quotas = [
        int(words[0]) / int(words[1])
        for words in (_quota_and_period(group) for group in _groups("cpu", root))
        if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]) > 0
    ]
    return min(quotas, default=None)


def memory_limit(root: Path = ROOT) -> int | None:
    """Return how many bytes of memory the process's groups may use; None without a limit."""
    limits = [
        int(word)
        for group in _groups("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
        for word in _words(group / name, 1)
        if word.isdecimal()
    ]
    return min(limits, default=None)


def _quota_and_period(group: Path) -> tuple[str, ...]:
    """A group's processor time and the time in which it may use that, both in microseconds."""
    version_1 = (_words(group / name, 1) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
    return _words(group / "cpu.max", 2) or tuple(word for words in version_1 for word in words)


@dataclass(frozen=True)
class _Mount:
    """Where a hierarchy is mounted."""

    controllers: frozenset[str] | None
    """Those of version 1; None: the hierarchy of version 2, which has all."""

    root: PurePosixPath
    """The group that the mount shows as its top."""

    folder: Path


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of the process's groups with a controller, innermost first."""
    paths = _own_paths(root)
    for mount in _mounts(root):
        if mount.controllers is not None and controller not in mount.controllers:
            continue
        path = paths.get("" if mount.controllers is None else controller)
        if path is None:
            continue
        # Outside the mount's root, as in a container without a cgroup namespace: use the root.
        inside = path.relative_to(mount.root) if path.is_relative_to(mount.root) else "."
        folder = mount.folder / inside
        yield from (folder, *(each for each in folder.parents if each.is_relative_to(mount.folder)))


def _own_paths(root: Path) -> dict[str, PurePosixPath]:
    """The process's group by controller, as /proc/self/cgroup lists them; "": of version 2."""
    paths = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if path.startswith("/") and ".." not in PurePosixPath(path).parts:
            paths.update(dict.fromkeys(controllers.split(","), PurePosixPath(path)))
    return paths


def _mounts(root: Path) -> Iterator[_Mount]:
    """The hierarchies that /proc/self/mountinfo lists (proc_pid_mountinfo(5))."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), [*after.split(" "), "", "", ""][:3]
        if len(fields) < 5 or kind not in ("cgroup", "cgroup2"):
            continue
        top, folder = (_unescaped(field) for field in fields[3:5])
        controllers = None if kind == "cgroup2" else frozenset(options.split(","))
        yield _Mount(controllers, PurePosixPath(top), root / folder.lstrip("/"))


def _unescaped(field: str) -> str:
    r"""A path with its spaces, tabs, line ends and backslashes, which the list has as \040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def _lines(path: Path) -> list[str]:
    """A file's lines; none where it cannot be read."""
    with contextlib.suppress(OSError):
        return path.read_text("utf-8", "surrogateescape").splitlines()
    return []


def _words(path: Path, count: int) -> tuple[str, ...]:
    """The words of a file's first line; none unless there are as many as expected."""
    words = tuple(word for line in _lines(path)[:1] for word in line.split())
    return words if len(words) == count else ()
