"""Serve an application below the path that a proxy gives it, such as /user/me/proxy/8000.

Some proxies remove that prefix from a request's path and some do not: both are served. So are
requests that are written as for a proxy, with the whole address for a path.
"""

import re
from urllib.parse import quote, unquote

from starlette.responses import RedirectResponse

from ricorda.errors import ConfigurationError
from ricorda.serving.guard import Application, Receive, Scope, Send

PREFIX = re.compile(r"(/[A-Za-z0-9._~@%+=,-]+)+/?")
ABSOLUTE = re.compile(rb"https?://([^/]+)(/.*)?", re.IGNORECASE)
"""The whole address as a request's target, without its query."""


def root_path(given: str) -> str:
    """Return a prefix without its last slash; empty for none. Raises ConfigurationError."""
    if given in ("", "/"):
        return ""
    if not PREFIX.fullmatch(given):
        raise ConfigurationError(
            f"--root-path: expected a path such as /user/me/proxy/8000, got {given!r}"
        )
    return given.rstrip("/")


class UnderPrefix:
    """Removes a prefix from the paths of requests that have it; other paths stay as they are."""

    def __init__(self, application: Application, prefix: str) -> None:
        """Stand before an application, with what `root_path` returned."""
        self._application = application
        self._name = prefix.rpartition("/")[2]
        self._prefix = unquote(prefix)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; the prefix without a slash leads to the one with it."""
        if scope["type"] == "http":
            _make_relative(scope)
        path = scope["path"] if scope["type"] == "http" else ""
        if not self._prefix or not path.startswith(self._prefix):
            await self._application(scope, receive, send)
        elif path == self._prefix:
            query = scope["query_string"].decode("latin-1")
            location = f"{self._name}/" + (f"?{query}" if query else "")
            await RedirectResponse(location, 307)(scope, receive, send)
        else:
            rest = path.removeprefix(self._prefix)
            if rest.startswith("/"):
                scope = {**scope, "path": rest, "raw_path": quote(rest).encode()}
            await self._application(scope, receive, send)


def _make_relative(scope: Scope) -> None:
    """Divide a target that is a whole address into Host and path (RFC 9112, section 3.2.2)."""
    target = ABSOLUTE.fullmatch(scope["raw_path"])
    if target is not None:
        scope["raw_path"] = target[2] or b"/"
        scope["path"] = unquote(scope["raw_path"].decode("ascii"))
        others = [each for each in scope["headers"] if each[0] != b"host"]
        scope["headers"] = [*others, (b"host", target[1])]
