"""Answers in JSON, whatever a stranger's run, a text or a file's name holds."""

import errno
import json
from typing import Any

from fastapi.responses import JSONResponse

from ricorda.serving.guard import Problem

FULL = 507  # the status that says that the disk is full
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JSON(JSONResponse):
    """ASCII, so that half a pair of UTF-16, which UTF-8 has no form for, is an escape."""

    def render(self, content: Any) -> bytes:
        """Write it. Raises ValueError for a number that is not finite."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def refusal(problem: Problem) -> JSON:
    """A problem as an answer."""
    return JSON(problem.as_json(), problem.status, problem.headers)


def system_problem(error: OSError) -> Problem:
    """What the system refused, without the path: a person can do something about a full disk."""
    reason = (error.strerror or "it gave no reason").lower()
    if error.errno in NO_ROOM:
        return Problem(FULL, f"the disk is full ({reason}): make room, then try again")
    return Problem(500, f"the system refused: {reason}", code="system_error")
