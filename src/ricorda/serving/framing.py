"""Find where a request begins and ends: h11's rules, without what other servers read differently.

If a proxy before this server finds a different end of a request, a second request can be smuggled
inside the first. Every form that servers are known to read differently is refused with 400.
"""

import re

import h11
from h11._receivebuffer import ReceiveBuffer

BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
CONTROL_CHARACTER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
BLANK_LINE = b"\r\n\r\n"


class StrictBuffer(ReceiveBuffer):
    """h11's buffer of received bytes, which checks lines before h11 reads them.

    Heads and chunk trailers pass through `maybe_extract_lines`, the size lines of chunks through
    `maybe_extract_next_line`. Both raise RemoteProtocolError for a line that is refused.
    """

    _checked = 0  # bytes at the beginning of the buffer that hold no bare line feed

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Extract a head or the trailers of chunks, without their blank line."""
        if self._data.startswith(b"\r\n"):  # no trailers; what follows is another request
            return super().maybe_extract_lines()
        blank = self._data.find(BLANK_LINE, max(0, self._checked - len(BLANK_LINE)))
        end = len(self._data) if blank < 0 else blank + len(BLANK_LINE)
        if self._data.startswith(b"\n") or BARE_LINE_FEED.search(self._data, self._checked, end):
            raise _refused("expected lines that end in CR LF, got a line feed alone")
        self._checked = end
        lines: list[bytearray] | None = super().maybe_extract_lines()
        if lines is not None:
            self._checked = 0
            _check_lines(lines)
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """Extract the line that gives the size of a chunk."""
        line: bytearray | None = super().maybe_extract_next_line()
        if line is not None and CONTROL_CHARACTER.search(line[:-2]):
            raise _refused("expected a chunk's size without control characters")
        return line


def strict_connection(head_bytes: int) -> h11.Connection:
    """Make h11's server side with a StrictBuffer; a head has at most `head_bytes` bytes."""
    connection = h11.Connection(h11.SERVER, head_bytes)
    connection._receive_buffer = StrictBuffer()
    return connection


def _check_lines(lines: list[bytearray]) -> None:
    """Refuse folded lines and repeated Content-Lengths, equal or not."""
    lengths = [line for line in lines if line[:14].lower() == b"content-length"]
    if len(lengths) > 1 or any(b"," in line for line in lengths):
        raise _refused("expected one Content-Length")
    if any(line.startswith((b" ", b"\t")) for line in lines):
        raise _refused("expected each header on one line, got a folded line")


def _refused(message: str) -> h11.RemoteProtocolError:
    return h11.RemoteProtocolError(message)
