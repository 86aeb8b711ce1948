"""Processes of one machine that wait for each other: nobody leaves early, nobody waits for ever."""

import sys
import threading
import time

import pytest

from ricorda.training.meeting import Meeting, arrange_meeting
from ricorda.training.process_group import ProcessGroup
from tests.training.threads import in_threads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes are shared on Linux")


def arranged(ranks: ProcessGroup, timeout: float = 20.0) -> Meeting:
    meeting = arrange_meeting(ranks, timeout)
    assert meeting is not None
    return meeting


@pytest.mark.parametrize("size", [2, 3, 5])
def test_nobody_leaves_before_all_have_come(size: int) -> None:
    came = [0] * size
    lock = threading.Lock()

    def work(ranks: ProcessGroup) -> None:
        meeting = arranged(ranks)
        for round_number in range(1, 50):
            with lock:
                came[ranks.rank] = round_number
            meeting.wait()
            assert min(came) == round_number
            meeting.wait()

    in_threads(size, work)


def test_who_has_ended_is_told_of_at_once() -> None:
    ended = threading.Event()

    def work(ranks: ProcessGroup) -> None:
        meeting = arranged(ranks)
        if ranks.rank == 1:
            del meeting
            ended.set()
            return
        ended.wait(20)
        with pytest.raises(ConnectionError):
            meeting.wait()

    in_threads(3, lambda ranks: work(ranks) if ranks.rank < 2 else _stay(ranks, ended))


def _stay(ranks: ProcessGroup, ended: threading.Event) -> None:
    """Have pipes, and leave them open."""
    meeting = arranged(ranks)
    ended.wait(20)
    del meeting


def test_who_keeps_silent_is_waited_for_so_long() -> None:
    over = threading.Event()

    def work(ranks: ProcessGroup) -> None:
        meeting = arranged(ranks, timeout=0.1)
        if ranks.rank == 1:
            over.wait(20)
            return
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="process 1 keeps silent"):
            meeting.wait()
        assert time.monotonic() - began >= 0.1
        over.set()

    in_threads(2, work)
