"""A small reverse proxy that shows a server below a prefix, in the ways that real ones do."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OF_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}
"""Headers that are not passed on."""


class Proxy(ThreadingHTTPServer):
    """Forwards what is below the prefix to `target`, and notes all other requests."""

    daemon_threads = True

    def __init__(self, prefix: str, *, strips: bool, keeps_host: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.prefix = prefix
        self.strips = strips
        """Whether the prefix is removed from the paths."""
        self.keeps_host = keeps_host
        """Whether the target gets the browser's Host, not the address that is connected to."""
        self.target = 0
        """The port of the server."""
        self.astray: list[str] = []
        """Paths that were asked for outside the prefix."""


class Handler(BaseHTTPRequestHandler):
    """Forwards one request."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self) -> None:
        """Forward it, or note that it went astray."""
        proxy = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.path.startswith(proxy.prefix + "/"):
            if self.path != "/favicon.ico":
                proxy.astray.append(self.path)
            self.send_error(404)
            return
        path = self.path.removeprefix(proxy.prefix) if proxy.strips else self.path
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in OF_A_CONNECTION and (name.lower() != "host" or proxy.keeps_host)
        }
        upstream = http.client.HTTPConnection("127.0.0.1", proxy.target, timeout=60)
        with contextlib.closing(upstream), contextlib.suppress(ConnectionError):
            upstream.request(self.command, path, body or None, headers)
            self._answer(upstream.getresponse())  # the browser may have left

    do_POST = do_GET  # noqa: N815  # the name that the base class looks for

    def _answer(self, response: http.client.HTTPResponse) -> None:
        body = response.read()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in OF_A_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def proxied(prefix: str, *, strips: bool, keeps_host: bool) -> Iterator[Proxy]:
    """Run a proxy until the block ends."""
    proxy = Proxy(prefix, strips=strips, keeps_host=keeps_host)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
