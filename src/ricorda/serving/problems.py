"""The answer to a request that is refused or fails: OpenAI's error object and a status."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "overloaded_error",
}
"""The error's type for a status; `invalid_request_error` for the others."""


class Problem(Exception):
    """A request that gets an answer other than what it asked for."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep a message (what was expected, what came, what to do) and the wrong field."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, dict[str, str | None]]:
        """Give the error object, `{"error": {message, type, param, code}}`."""
        kind = TYPES.get(self.status, "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}

    def body(self) -> bytes:
        """Give the error object as UTF-8."""
        return json.dumps(self.as_json(), ensure_ascii=False).encode("utf-8", "replace")


async def send_problem(send: Callable[[dict[str, Any]], Awaitable[None]], problem: Problem) -> None:
    """Answer an ASGI request with a problem."""
    body = problem.body()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **problem.headers,
    }
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
