"""Limits of control groups, read from a pretended system and from this one's."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ricorda import cores
from ricorda.cores import cpu_quota, memory_limit

VERSION_2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def pretend(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """Write what /proc and /sys would tell."""
    for name, content in {
        "proc/self/cgroup": groups,
        "proc/self/mountinfo": mounts,
        **{f"sys/fs/cgroup/{name}": content for name, content in files.items()},
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    "files, quota, memory",
    [
        ({}, None, None),
        ({"cpu.max": "max 100000\n", "memory.max": "max\n"}, None, None),
        ({"cpu.max": "150000 100000\n", "memory.max": "300000000\n"}, 1.5, 300_000_000),
        ({"a/cpu.max": "50000 100000\n", "a/memory.max": "77\n"}, 0.5, 77),
        ({"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "200000 100000\n"}, 2, None),
        ({"a/b/cpu.max": "200000 100000\n", "a/cpu.max": "400000 100000\n"}, 2, None),
        ({"other/cpu.max": "1000 100000\n", "other/memory.max": "1\n"}, None, None),
        ({"a/b/memory.max": "9\n", "a/memory.max": "8\n", "memory.max": "max\n"}, None, 8),
    ],
    ids=["none", "unlimited", "top", "above", "tighter above", "tighter below", "other", "memory"],
)
def test_version_2_takes_the_tightest_limit_up_to_the_top(
    tmp_path: Path, files: dict[str, str], quota: float | None, memory: int | None
) -> None:
    root = pretend(tmp_path, "0::/a/b\n", VERSION_2, files)
    assert cpu_quota(root) == quota
    assert memory_limit(root) == memory


def test_version_1_has_a_hierarchy_for_each_controller(tmp_path: Path) -> None:
    root = pretend(
        tmp_path,
        "4:memory:/box\n2:cpu,cpuacct:/box/inner\n0::/unused\n",
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "38 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        {
            "cpu,cpuacct/box/inner/cpu.cfs_quota_us": "-1\n",
            "cpu,cpuacct/box/inner/cpu.cfs_period_us": "100000\n",
            "cpu,cpuacct/box/cpu.cfs_quota_us": "250000\n",
            "cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
            "memory/box/memory.limit_in_bytes": "123456\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/box/cpu.cfs_quota_us": "1\n",
        },
    )
    assert cpu_quota(root) == 2.5
    assert memory_limit(root) == 123456


@pytest.mark.parametrize("group", ["/docker/123", "/docker/123/inner", "/elsewhere", "/../host"])
def test_a_mount_may_show_a_part_of_the_hierarchy(tmp_path: Path, group: str) -> None:
    mounts = "9 8 0:30 /docker/123 /sys/fs/cgroup/my\\040cpu ro - cgroup cgroup ro,cpu\n"
    files = {"my cpu/cpu.cfs_quota_us": "300000\n", "my cpu/cpu.cfs_period_us": "100000\n"}
    root = pretend(tmp_path, f"2:cpu:{group}\n", mounts, files)
    assert cpu_quota(root) == (None if ".." in group else 3)


@pytest.mark.parametrize(
    "content", ["", "\n", "100000\n", "1 0\n", "-1 5\n", "a b\n", "1 2 3\n", "\xb2 5\n"]
)
def test_what_cannot_be_understood_sets_no_limit(tmp_path: Path, content: str) -> None:
    files = {"cpu.max": content, "memory.max": "much\n"}
    root = pretend(tmp_path, "0::/\nnonsense\n", VERSION_2 + "short\n\n", files)
    assert cpu_quota(root) is None
    assert memory_limit(root) is None


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert memory_limit(tmp_path) is None


@pytest.mark.parametrize(
    "allowed, quota, expected",
    [(8, None, 8), (8, 1.5, 2), (8, 0.01, 1), (2, 64.0, 2), (8, 3.0, 3)],
)
def test_the_smaller_of_cores_and_quota_is_used(
    monkeypatch: pytest.MonkeyPatch, allowed: int, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(allowed), raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert cores.usable_cores() == expected


@pytest.mark.parametrize("error", [None, OSError])
def test_a_system_that_does_not_tell_has_all_its_cores(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError] | None
) -> None:
    def refuse(_: int) -> None:
        raise OSError

    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    if error is not None:
        monkeypatch.setattr(os, "sched_getaffinity", refuse, raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: None)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert cores.usable_cores() == 5


REAL = Path("/sys/fs/cgroup/cpu")
ENTER_AND_COUNT = """
import sys
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text("0")
from ricorda.cores import cpu_quota
from ricorda.cores import usable_cores
print(cpu_quota(), usable_cores())
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A group of version 1 below the top; needs root."""
    place = REAL / f"ricorda-test-{os.getpid()}"
    try:
        place.mkdir()
        (place / "inner").mkdir()
        (place / "cpu.cfs_quota_us").write_text("60000")
    except OSError:
        with contextlib.suppress(OSError):
            (place / "inner").rmdir()
            place.rmdir()
        pytest.skip("no control group can be made here")
    yield place
    (place / "inner").rmdir()
    place.rmdir()


def test_a_real_group_limits_the_cores(group: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENTER_AND_COUNT, str(group / "inner")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0.6", "1"]
