"""Gradients of several processes, added up in memory that they share or by a message."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from ricorda.training import exchange, meeting
from ricorda.training.exchange import AllReduce, SharedRows, make_exchange
from ricorda.training.process_group import WORD_NUMBERS, Exchange, ProcessGroup
from tests.torch.test_processes import ENVIRONMENT, LONGEST
from tests.training.threads import in_threads

NUMBERS = [float(number) for number in range(WORD_NUMBERS + 1)]

in_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is shared on Linux")


def steps(ranks: ProcessGroup, way: Exchange, rows: torch.Tensor) -> list[torch.Tensor]:
    """Two exchanges, the second of numbers twice as large; what came of each."""
    found = []
    for factor in (1, 2):
        way.gradient[:] = factor * rows[ranks.rank]
        assert way.add_up([factor * number for number in NUMBERS]) == [
            factor * ranks.size * number for number in NUMBERS
        ]
        found.append(way.gradient.clone())
    return found


@pytest.mark.parametrize("size, count", [(2, 1), (2, 5000), (3, 2), (5, 1025)])
@pytest.mark.parametrize(
    "on_one_machine", [pytest.param(True, marks=in_linux), False], ids=["memory", "message"]
)
def test_all_have_the_sum_and_the_same_bits(
    size: int, count: int, on_one_machine: bool, random: np.random.Generator
) -> None:
    rows = torch.from_numpy(random.standard_normal((size, count), dtype=np.float32))

    def work(ranks: ProcessGroup) -> list[torch.Tensor]:
        way = make_exchange(ranks, count, on_one_machine=on_one_machine, timeout=20)
        assert isinstance(way, SharedRows if on_one_machine else AllReduce)
        return steps(ranks, way, rows)

    first, *others = in_threads(size, work)
    for factor, found in zip((1, 2), first, strict=True):
        torch.testing.assert_close(found, factor * rows.double().sum(0).float(), rtol=0, atol=1e-5)
    for other in others:
        assert all(map(torch.equal, first, other))


@in_linux
@pytest.mark.parametrize(
    "where", [(exchange, "_anonymous_file"), (exchange, "_mapped"), (meeting, "_opened")]
)
def test_without_memory_to_share_all_send_messages(
    where: tuple[ModuleType, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process that cannot have it is enough."""
    real = getattr(*where)
    asked: list[int] = []

    def once(*arguments: object) -> object:
        asked.append(1)
        return None if len(asked) == 1 else real(*arguments)

    monkeypatch.setattr(*where, once)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))

    def kind(ranks: ProcessGroup) -> type[Exchange]:
        return type(make_exchange(ranks, 9, on_one_machine=True, timeout=20))

    assert in_threads(2, kind) == [AllReduce, AllReduce]
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


@in_linux
def test_processes_share_memory_on_one_machine_alone(tmp_path: Path) -> None:
    """Real ones: told that they are of two machines, they exchange messages, to the same sums."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", "3")
    found = subprocess.run(
        [sys.executable, "-m", *launcher, str(program)],
        env=ENVIRONMENT | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert sorted(found.stdout.split()) == ["AllReduce"] * 3 + ["SharedRows"] * 3


PROGRAM = """
import os
import sys

import torch

from ricorda.training.started import ranks

with ranks(60.0, "cpu") as group:
    sums = []
    for size in (3, 1):
        os.environ["LOCAL_WORLD_SIZE"] = str(size)
        way = group.exchange(10_000)
        for step in range(20):
            way.gradient[:] = torch.arange(10_000.0) * (1 + group.rank) + step
            mean = group.average(way, 1.0 + group.rank)
            assert mean == 6.0
            assert torch.equal(way.gradient, 6 * torch.arange(10_000.0) + 3 * step)
        sys.stdout.write(type(way).__name__ + "\\n")
"""
