"""Access to the studio: a one-time ticket in the address, exchanged for a cookie.

Other users of the machine can read a browser's command line, and an address stays in histories.
The ticket in it lets one browser in, once. The answer sets a cookie that scripts cannot read and
that no other site's page can send, and leads to an address without a ticket.
"""

import hmac
import secrets
import time
from collections.abc import Callable, Iterator

from ricorda.serving.guard import Application, Receive, Scope, Send, header_values

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Only this server's own files; no script or style within a document, no text turned into HTML."""

HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""For a page made of a run's rows, should a browser show it: no script runs in it."""

BROWSER_SECONDS = 300.0
"""Seconds that the ticket of a browser that is opened is valid: `ps` shows it to others."""


class Entrance:
    """The tickets of this studio and the cookie they are exchanged for; the guard's authenticator.

    Not thread-safe: tickets are issued and taken in the event loop.
    """

    def __init__(self, port: int, on_entry: Callable[[], None] = lambda: None) -> None:
        """Draw the cookie's secret; `on_entry` is called after each ticket that was exchanged.

        Cookies are shared by all ports, so the cookie's name contains the port.
        """
        self._secret = secrets.token_urlsafe(24)
        self._name = f"ricorda_studio_{port}"
        self._tickets: dict[str, float] = {}
        self.on_entry = on_entry

    def ticket(self, seconds: float = float("inf")) -> str:
        """Issue a ticket that is valid once and for a limited time."""
        made = secrets.token_urlsafe(24)
        self._tickets[made] = time.monotonic() + seconds
        return made

    def exchange(self, ticket: str) -> bool:
        """Take a ticket; return whether it was valid."""
        given = ticket.encode("utf-8", "surrogatepass")
        for each in list(self._tickets):
            if hmac.compare_digest(given, each.encode()):
                if time.monotonic() > self._tickets.pop(each):
                    return False
                self.on_entry()
                return True
        return False

    @property
    def cookie(self) -> str:
        """The Set-Cookie header's value.

        Without a Domain it is this host's alone; without a Path it is sent to the page's own path
        and what is below, also where a proxy puts the page under a prefix.
        """
        return f"{self._name}={self._secret}; HttpOnly; SameSite=Strict"

    def identify(self, scope: Scope) -> str | None:
        """Name the client `here` if its cookie is right; None for a request from another site."""
        if any(
            site not in (b"same-origin", b"none")
            for site in header_values(scope, b"sec-fetch-site")
        ):
            return None
        secret = self._secret.encode()
        cookies = _cookies(scope, self._name)
        if any(hmac.compare_digest(each.encode(), secret) for each in cookies):
            return "here"
        return None


def _cookies(scope: Scope, name: str) -> Iterator[str]:
    """All values of a cookie.

    Other programs of this machine set cookies too, of any form, and they come along whatever their
    port is: one that is none must not hide ours.
    """
    for header in header_values(scope, b"cookie"):
        for pair in header.decode("latin-1").split(";"):
            key, separator, value = pair.partition("=")
            if separator and key.strip() == name:
                yield value.strip()


class SafeHeaders:
    """Adds the page's policy to every answer of an application."""

    def __init__(self, application: Application) -> None:
        """Stand before an application."""
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""

        async def send_with(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers")
                headers = list(given) if isinstance(given, list) else []
                names = {name for name, _ in headers}
                headers += [
                    (name.encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.encode() not in names
                ]
                message = {**message, "headers": headers}
            await send(message)

        await self._application(scope, receive, send_with)
