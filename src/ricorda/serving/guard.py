"""An ASGI middleware that checks every request before the application does.

It refuses what is too large, what a page of another site sends through a person's browser (a wrong
Host after DNS rebinding, a foreign Origin), and clients without a key. Both the API and the studio
use it.
"""

import hashlib
import hmac
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.responses import Response

from ricorda.errors import ConfigurationError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
ALLOWED_HOST = re.compile(r"[^/:\s]+(:[0-9]{1,5})?")
UNIDENTIFIED = "no key"
"""The name of all clients that have no key, on a path that needs none."""

LOCAL_NAMES = frozenset({"localhost"})

PREFLIGHT = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
}
"""What a site that is allowed may send."""

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

    def response(self) -> Response:
        """Give the whole answer."""
        return Response(self.body(), self.status, self.headers, "application/json")


class Authenticator(Protocol):
    """Identifies who sends a request."""

    def identify(self, scope: Scope) -> str | None:
        """Name the client for limits and logs; None if it may not come in."""


class Anyone:
    """Accepts everybody; a client is named by its address."""

    def identify(self, scope: Scope) -> str | None:
        """Name the client by its address."""
        client = scope.get("client")
        return str(client[0]) if client else "local"


class BearerKeys:
    """Accepts clients that send `Authorization: Bearer KEY` with one of some keys.

    Only digests are kept, and each is compared in constant time, so that neither a log nor the
    response time reveals a key.
    """

    def __init__(self, keys: Collection[str]) -> None:
        """Take the keys, in an order that numbers them."""
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def identify(self, scope: Scope) -> str | None:
        """Name the client `key N`; None if the key is missing, doubled or wrong."""
        given = header_values(scope, b"authorization")
        scheme, _, key = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        digest = hashlib.sha256(key.strip()).digest()
        found = None
        for number, expected in enumerate(self._digests, start=1):
            if hmac.compare_digest(digest, expected) and scheme.lower() == b"bearer":
                found = f"key {number}"
        return found


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """What the guard lets pass."""

    loopback_only: bool = True
    """Of Hosts that are IP addresses, only this machine's own; else any, which names no site."""

    hosts: frozenset[str] = frozenset()
    """Further names, from `allowed_hosts`, under which the server may be addressed and its own
    pages be shown."""

    origins: frozenset[str] = frozenset()
    """Other sites, as `https://example.org`, whose pages may call: they get CORS headers."""

    open_paths: frozenset[str] = frozenset({"/health"})
    """Paths that need no key."""

    largest_body: int = 1 << 20
    """Bytes of a request's body at most."""

    largest_bodies: dict[str, int] = field(default_factory=dict)
    """Other limits for single paths."""

    largest_headers: int = 16 << 10
    """Bytes of all header names and values together at most."""

    most_headers: int = 64
    """How many headers at most."""

    longest_target: int = 2048
    """Bytes of the path and the query together at most."""

    wrong_host: str = (
        "the Host header is not an address of this server: use localhost or its IP address, or "
        "start it with --allow-host"
    )
    """The message where the Host is refused."""

    wrong_origin: str = (
        "pages of other sites may not call this server: start it with --allow-origin to allow one"
    )
    """The message for another site's page."""

    no_key: str = "expected an API key of this server: send `Authorization: Bearer KEY`"
    """The message for a client without a key."""


class Guard:
    """Passes on to an application what may come in, with its `scope["state"]["client"]` named.

    A body found too large while it is read raises Problem (413) out of the application's
    `receive`; the application answers it, as any Problem, by an exception handler.
    """

    def __init__(
        self,
        application: Application,
        settings: GuardSettings | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        """Stand before an application; without an authenticator anyone may come in."""
        self.application = application
        self.settings = settings or GuardSettings()
        self.authenticator: Authenticator = authenticator or Anyone()
        self._names = {host.partition(":")[0] for host in self.settings.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; websockets are refused."""
        if scope["type"] == "lifespan":
            await self.application(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = self._with_safe_headers(scope, send)
        try:
            self._check_form(scope)
            self._check_host(scope)
            if self._is_preflight(scope):
                await Response(None, 204, PREFLIGHT)(scope, receive, send)
                return
            self._check_origin(scope)
            self._check_client(scope)
            limit = self._check_length(scope)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        await self.application(scope, _bounded(receive, limit), send)

    def _check_form(self, scope: Scope) -> None:
        """Sizes, and what two servers might read differently."""
        settings, headers = self.settings, scope["headers"]
        if len(scope["raw_path"]) + len(scope["query_string"]) > settings.longest_target:
            raise Problem(
                414, f"expected a path and query of at most {settings.longest_target} bytes"
            )
        size = sum(len(name) + len(value) for name, value in headers)
        if size > settings.largest_headers or len(headers) > settings.most_headers:
            raise Problem(
                431,
                f"expected at most {settings.most_headers} headers of {settings.largest_headers} "
                f"bytes together, got {len(headers)} of {size}",
            )
        if scope["http_version"] not in ("1.0", "1.1"):
            raise _closing(400, "expected HTTP/1.1")
        names = {name for name, _ in headers}
        doubtful = b"content-length" in names or scope["http_version"] != "1.1"
        if b"transfer-encoding" in names and doubtful:
            raise _closing(400, "expected either a Content-Length or a Transfer-Encoding")

    def _check_host(self, scope: Scope) -> None:
        given = header_values(scope, b"host")
        match = HOST.fullmatch(given[0].decode("latin-1")) if len(given) == 1 else None
        if match is None:
            raise _closing(400, "expected one Host header with a name or an address")
        name = match[1].lower().rstrip(".")
        if not self._is_ours(name):
            raise Problem(403, self.settings.wrong_host, code="host_not_allowed")

    def _is_ours(self, name: str) -> bool:
        if name in LOCAL_NAMES or name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or not self.settings.loopback_only

    def _check_origin(self, scope: Scope) -> None:
        """A browser names the site of a page: it must be this server or a site that is allowed."""
        for origin in header_values(scope, b"origin"):
            if not self._is_own_origin(scope, origin) and not self._is_allowed(origin):
                raise Problem(403, self.settings.wrong_origin, code="origin_not_allowed")

    def _is_own_origin(self, scope: Scope, origin: bytes) -> bool:
        """Return whether a page is this server's; a proxy may have replaced the Host."""
        host = header_values(scope, b"host")[0].decode("latin-1").lower()
        scheme, _, name = origin.decode("latin-1").lower().partition("://")
        return scheme in ("http", "https") and name in {host, *self.settings.hosts}

    def _is_allowed(self, origin: bytes) -> bool:
        return origin.decode("latin-1").lower() in self.settings.origins

    def _is_preflight(self, scope: Scope) -> bool:
        origins = header_values(scope, b"origin")
        asks = bool(header_values(scope, b"access-control-request-method"))
        allowed = len(origins) == 1 and self._is_allowed(origins[0])
        return scope["method"] == "OPTIONS" and asks and allowed

    def _check_client(self, scope: Scope) -> None:
        client = self.authenticator.identify(scope)
        if client is None:
            if scope["path"] not in self.settings.open_paths:
                raise Problem(
                    401,
                    self.settings.no_key,
                    code="invalid_api_key",
                    headers={"www-authenticate": "Bearer", "connection": "close"},
                )
            client = UNIDENTIFIED
        scope.setdefault("state", {})["client"] = client

    def _check_length(self, scope: Scope) -> int:
        """The most bytes that the body may have; what declares more is refused unread."""
        limit = self.settings.largest_bodies.get(scope["path"], self.settings.largest_body)
        declared = header_values(scope, b"content-length")
        if declared and int(declared[0]) > limit:
            raise _too_large(limit)
        return limit

    def _with_safe_headers(self, scope: Scope, send: Send) -> Send:
        """Add to each answer that its type is meant, and CORS for a site that is allowed."""
        more = [(b"x-content-type-options", b"nosniff")]
        allowed = [each for each in header_values(scope, b"origin") if self._is_allowed(each)]
        if allowed:
            more += [(b"access-control-allow-origin", allowed[0]), (b"vary", b"Origin")]

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *more, *_ignored(scope)]
            await send(message)

        return send_with


def allowed_hosts(names: Iterable[str]) -> frozenset[str]:
    """Return the names of --allow-host for `GuardSettings.hosts`. Raises ConfigurationError."""
    for name in names:
        if not ALLOWED_HOST.fullmatch(name):
            raise ConfigurationError(
                "--allow-host: expected a name such as models.example.org, or with its port "
                f"models.example.org:8443, got {name!r}"
            )
    return frozenset(name.lower().rstrip(".") for name in names)


def _ignored(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Name the fields of the request that the application ignored."""
    ignored = scope.get("state", {}).get("ignored")
    return [(b"x-ricorda-ignored", ", ".join(ignored).encode("ascii"))] if ignored else []


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """All values of a header, its name in lower case."""
    return [value for key, value in scope["headers"] if key == name]


def _bounded(receive: Receive, limit: int) -> Receive:
    """Count the body as it is read."""
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
        return message

    return receive_bounded


def _too_large(limit: int) -> Problem:
    return Problem(413, f"expected a body of at most {limit} bytes", code="body_too_large")


def _closing(status: int, message: str) -> Problem:
    return Problem(status, message, headers={"connection": "close"})
