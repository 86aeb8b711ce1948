"""Texts with invalid bytes: exit code 2 and one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]

LINE = b"5 bottles of beer on the wall\n" * 20

BYTES: dict[str, tuple[bytes, str, str]] = {
    "a lone continuation byte": (LINE + b"\x80", "", "byte 600 (0x80) is not valid"),
    "a truncated two-byte character": (LINE + b"\xc3", "", "byte 600 (0xc3)"),
    "a truncated three-byte character": (LINE + b"\xe2\x82", "", "byte 600 (0xe2 0x82)"),
    "a truncated four-byte character": (LINE + b"\xf0\x9f\x98", "", "byte 600 (0xf0 0x9f 0x98)"),
    "a character cut by a line end": (LINE + b"\xe2\x82\n", "", "byte 600 (0xe2 0x82)"),
    "an overlong slash": (LINE + b"\xc0\xaf", "", "byte 600 (0xc0)"),
    "an overlong zero": (LINE + b"\xc0\x80", "", "byte 600 (0xc0)"),
    "an overlong of three bytes": (LINE + b"\xe0\x80\xaf", "", "byte 600 (0xe0)"),
    "an overlong of four bytes": (LINE + b"\xf0\x80\x80\xaf", "", "byte 600 (0xf0)"),
    "a high surrogate": (LINE + b"\xed\xa0\x80", "", "byte 600 (0xed)"),
    "a low surrogate": (LINE + b"\xed\xbf\xbf", "", "byte 600 (0xed)"),
    "a pair of surrogates": (LINE + b"\xed\xa0\xbd\xed\xb8\x80", "", "byte 600 (0xed)"),
    "beyond the last code point": (LINE + b"\xf4\x90\x80\x80", "", "byte 600 (0xf4)"),
    "a five-byte character": (LINE + b"\xf8\x88\x80\x80\x80", "", "byte 600 (0xf8)"),
    "a byte that is never valid": (LINE + b"\xfe", "", "byte 600 (0xfe)"),
    "Latin-1": ("perché no\n".encode("latin-1") * 9, "", "byte 5 (0xe9)"),
    "UTF-32": ("some text\n".encode("utf-32") * 3, "", "utf-32"),
    "UTF-16 with an odd byte": ("text\n".encode("utf-16") + b"x", "utf-16", "byte 12 (0x78)"),
    "UTF-16 with a lone surrogate": (
        b"\xff\xfe\x00\xd8a\x00",
        "utf-16",
        "illegal utf-16 surrogate",
    ),
    "UTF-32 out of range": (
        b"\xff\xfe\0\0\0\0\x11\0",
        "utf-32",
        "expected utf-32 text, but byte 4",
    ),
    "ASCII that is not": ("perché".encode(), "ascii", "expected ascii text, but byte 5"),
    "cp1252 with a hole": (b"abc\x81def", "cp1252", "cp1252"),
    "Shift JIS cut off": ("日本".encode("shift_jis")[:-1], "shift_jis", "shift_jis"),
    "GB 18030 broken": (b"ab\xff\xff", "gb18030", "gb18030"),
    "Big5 broken": (b"ab\xff\xff", "big5", "big5"),
    "EUC-JP broken": (b"ab\xff\xff", "euc_jp", "euc_jp"),
}


@pytest.mark.parametrize("kind", BYTES)
def test_bytes_that_are_no_text(here: Path, call: Call, kind: str) -> None:
    content, encoding, message = BYTES[kind]
    Path("bad.txt").write_bytes(content)
    words = ["--encoding", encoding] if encoding else []
    before = sorted(str(path) for path in here.rglob("*"))
    code, out, err = call("train", "bad.txt", *words)
    assert (code, out) == (2, "")
    assert err.startswith("ricorda: ")
    assert message.lower() in err.lower()
    assert err.count("\n") == 1
    assert sorted(str(path) for path in here.rglob("*")) == before
