"""How many processor cores there are to use."""

import math
import os

from ricorda.cgroup import cpu_quota


def usable_cores() -> int:
    """Return how many cores this process may use, at least one.

    That is the smaller of the cores that it may run on and the processor time that its control
    groups allow, rounded up. The C++ kernels take this number when they are loaded.
    """
    quota = cpu_quota()
    allowed = _allowed_cores()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _allowed_cores() -> int:
    """The cores that the system may schedule this process on; all if it cannot tell."""
    if hasattr(os, "sched_getaffinity"):
        try:
            return len(os.sched_getaffinity(0))
        except OSError:  # a system call filter
            pass
    return os.cpu_count() or 1
