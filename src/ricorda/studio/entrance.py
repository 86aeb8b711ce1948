"""The studio's door: the token in the address that is printed, changed for a cookie.

The token is in the address once. The answer sets a cookie that scripts cannot read and that no
other site's page can send, and leads on to an address without the token.
"""

import hmac
import secrets
from collections.abc import Iterator

from ricorda.serving.guard import Application, Receive, Scope, Send, header_values

COOKIE = "ricorda_studio"
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


class Token:
    """A secret of this sitting; the guard's authenticator."""

    def __init__(self, port: int, secret: str | None = None) -> None:
        """Draw a secret; cookies do not tell ports apart, so their name does."""
        self._secret = secret or secrets.token_urlsafe(24)
        self._name = f"{COOKIE}_{port}"

    @property
    def query(self) -> str:
        """What the printed address ends with."""
        return f"?token={self._secret}"

    @property
    def cookie(self) -> str:
        """The Set-Cookie header's value."""
        return f"{self._name}={self._secret}; Path=/; HttpOnly; SameSite=Strict"

    def fits(self, given: str) -> bool:
        """Whether it is the secret; takes as long either way."""
        return hmac.compare_digest(given.encode(), self._secret.encode())

    def identify(self, scope: Scope) -> str | None:
        """Name the client `here` if its cookie is right; None for a request from another site."""
        if any(
            site not in (b"same-origin", b"none")
            for site in header_values(scope, b"sec-fetch-site")
        ):
            return None
        if any(self.fits(value) for value in _cookies(scope, self._name)):
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
