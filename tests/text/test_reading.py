"""Reading and decoding files as one text."""

import io
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import TextError
from ricorda.text import Newlines, Source, find_sources, read_bytes, read_text, reading


def sources_of(folder: Path, *contents: bytes) -> Sequence[Source]:
    paths = [folder / f"{number}.txt" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return find_sources(paths)


def text_of(
    sources: Sequence[Source], encoding: str = "utf-8", newlines: Newlines = "normalise"
) -> str:
    return "".join(read_text(sources, encoding, newlines))


@pytest.fixture
def three_bytes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 3)


def test_pieces_are_bounded_and_never_empty(tmp_path: Path) -> None:
    text = "più parole\n" * 300_000
    pieces = list(read_text(sources_of(tmp_path, b"", text.encode(), b"")))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= reading.PIECE_BYTES + 1 for piece in pieces)
    assert len(pieces) > 2


@given(st.lists(st.text(st.sampled_from("aè€😀\r\n"), max_size=12), min_size=1), st.integers(1, 7))
def test_line_ends_and_characters_across_pieces(texts: list[str], piece_bytes: int) -> None:
    files = [io.BytesIO(text.encode()) for text in texts]
    sources = [Source("standard input", None)] * len(texts)
    lines = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts if text]
    expected = "".join(line if line.endswith("\n") else line + "\n" for line in lines[:-1])
    expected += "".join(lines[-1:])
    with (
        patch.object(reading, "PIECE_BYTES", piece_bytes),
        patch.object(reading, "_opened", lambda _: files.pop(0)),
    ):
        if expected:
            assert text_of(sources) == expected
        else:
            with pytest.raises(TextError, match="empty"):
                text_of(sources)


@pytest.mark.usefixtures("three_bytes_at_a_time")
def test_line_ends_may_be_kept(tmp_path: Path) -> None:
    text = "ab\r\ncd\r\re\n\r\n"
    assert text_of(sources_of(tmp_path, text.encode()), newlines="keep") == text
    assert text_of(sources_of(tmp_path, text.encode())) == "ab\ncd\n\ne\n\n"


@pytest.mark.parametrize(
    "contents, expected",
    [
        ([b"a", b"b"], "a\nb"),
        ([b"a\n", b"b\n"], "a\nb\n"),
        ([b"a\r\n", b"b\r"], "a\nb\n"),
        ([b"", b"a", b"", b"b", b""], "a\nb"),
        ([b"a", b"\nb"], "a\n\nb"),
        ([b"\xef\xbb\xbfa", b"\xef\xbb\xbfb", b"\xef\xbb\xbf"], "a\nb"),
    ],
)
def test_files_are_joined_by_line_ends(
    tmp_path: Path, contents: list[bytes], expected: str
) -> None:
    assert text_of(sources_of(tmp_path, *contents)) == expected


@pytest.mark.usefixtures("three_bytes_at_a_time")
@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "UTF8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf_16_be", "gb18030"],
)
def test_byte_order_marks_are_dropped(tmp_path: Path, encoding: str) -> None:
    # The codecs "utf-16", "utf-32" and "utf-8-sig" write the mark themselves.
    mark = "" if encoding in {"utf-16", "utf-32", "utf-8-sig"} else "\ufeff"
    for text in ["più\ufeff 😀\n", "a"]:
        assert text_of(sources_of(tmp_path, (mark + text).encode(encoding)), encoding) == text


@pytest.mark.usefixtures("three_bytes_at_a_time")
@pytest.mark.parametrize("encoding", ["shift_jis", "euc_jp", "gb18030", "latin-1", "cp1252"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    text = "perché no?\r\n" if encoding in {"latin-1", "cp1252"} else "吾輩は猫である。\r\n"
    expected = text.replace("\r", "")
    assert text_of(sources_of(tmp_path, text.encode(encoding)), encoding) == expected


def error_of(folder: Path, content: bytes, encoding: str = "utf-8", *, piece_bytes: int = 5) -> str:
    with (
        patch.object(reading, "PIECE_BYTES", piece_bytes),
        pytest.raises(TextError) as caught,
    ):
        text_of(sources_of(folder, content), encoding)
    message = str(caught.value)
    assert message.startswith(f"{folder}/0.txt: ")
    assert message.isprintable(), "one line, nothing odd in it"
    return message


@pytest.mark.parametrize(
    "content, encoding, offset, wrong",
    [
        (b"perch\xe8 no", "utf-8", 5, "0xe8"),
        (b"\xef\xbb\xbfok \xff", "utf-8", 6, "0xff"),
        (b"12345678\xe2\x82", "utf-8", 8, "0xe2 0x82"),
        (b"12345678\xe2\x82z", "utf-8", 8, "0xe2 0x82"),
        (b"surrogate \xed\xa0\x80", "utf-8", 10, "0xed"),
        (b"overlong \xc0\xaf", "utf-8", 9, "0xc0"),
        ("ab".encode("utf-16-le") + b"\x00\xdc", "utf-16-le", 4, "0x00 0xdc"),
        ("ab".encode("utf-16-le") + b"x", "utf-16-le", 4, "0x78"),
        ("ab".encode("utf-32-be") + b"\xff\0\0\0", "utf-32-be", 8, "0xff 0x00 0x00 0x00"),
        ("猫a".encode("shift_jis") + b"\x82", "shift_jis", 3, "0x82"),
        ("猫a".encode("euc_jp") + b"\xff\x20", "euc_jp", 3, "0xff"),
        (b"abcde\x81", "cp1252", 5, "0x81"),
    ],
)
def test_the_first_wrong_byte_is_named(
    tmp_path: Path, content: bytes, encoding: str, offset: int, wrong: str
) -> None:
    for piece_bytes in [1, 2, 3, 4, 5, 100]:
        message = error_of(tmp_path, content, encoding, piece_bytes=piece_bytes)
        assert f"byte {offset} ({wrong}) is not valid" in message


@pytest.mark.parametrize(
    "content, remedy",
    [
        ("perché".encode("latin-1"), "--encoding latin-1"),
        ("“perché”".encode("cp1252"), "--encoding cp1252"),
        ("Мой дядя самых честных правил".encode("cp1251"), "such as cp1251, shift_jis or gb18030"),
        ("吾輩は猫である。".encode("shift_jis"), "such as cp1251, shift_jis or gb18030"),
        (b"odd \x81 byte", "such as cp1251, shift_jis or gb18030"),
        ("perché ".encode() + b"\xff", "the text before it is UTF-8, so repair the file"),
        ("perché".encode("utf-16"), "it looks like UTF-16, give --encoding utf-16"),
        ("perché".encode("utf-32"), "it looks like UTF-32, give --encoding utf-32"),
        ("perché no".encode("utf-16-le"), "it looks like UTF-16-LE, give --encoding utf-16-le"),
        ("perché no".encode("utf-16-be"), "it looks like UTF-16-BE, give --encoding utf-16-be"),
        (b"\x89QQQ\r\n\x1a\n\0\0\0\rIHDR\0\0", "it looks like binary data"),
        (b"\1\2\3\4\5abc" * 999, "it looks like binary data"),
        ("perché".encode("latin-1"), "--vocabulary bytes"),
    ],
)
def test_the_error_says_what_to_try(tmp_path: Path, content: bytes, remedy: str) -> None:
    assert remedy in error_of(tmp_path, content, piece_bytes=100)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["a", "plain words\n", "Мой дядя самых честных правил\n" * 500])
def test_utf_16_that_is_valid_utf_8_stops(tmp_path: Path, encoding: str, text: str) -> None:
    content = text.encode(encoding)
    content.decode("utf-8")
    message = error_of(tmp_path, content, piece_bytes=1 << 20)
    assert f"give --encoding {encoding}" in message
    assert text_of(sources_of(tmp_path, content), encoding) == text


@pytest.mark.parametrize("text", ["a\0", "one\0two\0three\0", "\0" * 9, "name\0\0\0\0other\0\0\0"])
def test_a_zero_character_here_and_there_is_text(tmp_path: Path, text: str) -> None:
    if text == "a\0":
        assert "utf-16-le" in error_of(tmp_path, text.encode())
    else:
        assert text_of(sources_of(tmp_path, text.encode())) == text


def test_a_wrong_encoding_is_not_guessed_again(tmp_path: Path) -> None:
    message = error_of(tmp_path, b"\xff\xfea\0b", "utf-16")
    assert "it looks like" not in message
    assert "--vocabulary bytes (without --encoding)" in message


def test_lone_surrogates_are_not_text(tmp_path: Path) -> None:
    assert "U+D800, half of a surrogate pair" in error_of(tmp_path, b"ab\\ud800", "unicode_escape")


@pytest.mark.parametrize(
    "encoding", ["klingon", "", "base64", "rot13", "zlib", "a\0b", "undefined"]
)
def test_unknown_encodings(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(TextError, match="not a text encoding"):
        text_of(sources_of(tmp_path, b"text"), encoding)


def test_a_text_that_is_all_empty(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"0\.txt: empty; a text of at least 2 characters"):
        text_of(sources_of(tmp_path, b"\xef\xbb\xbf"))
    with pytest.raises(TextError, match="all 2 texts: empty"):
        text_of(sources_of(tmp_path, b"", b""))
    with pytest.raises(TextError, match="all 2 texts: empty"):
        list(read_bytes(sources_of(tmp_path, b"", b"")))


def test_bytes_are_left_as_they_are(tmp_path: Path) -> None:
    content = bytes(range(256)) + b"\r\n\r" + "più".encode()
    (source,) = sources_of(tmp_path, b"\xef\xbb\xbf" + content)
    assert b"".join(read_bytes([source])) == b"\xef\xbb\xbf" + content
    assert b"".join(read_bytes(sources_of(tmp_path, b"a\r", b"\xff", b"b"))) == b"a\r\n\xff\nb"


@pytest.mark.usefixtures("three_bytes_at_a_time")
def test_bytes_with_line_ends_normalised(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, b"\xffa\r\nb\r\rc\r", b"d")
    assert b"".join(read_bytes(sources, "normalise")) == b"\xffa\nb\n\nc\nd"


def test_bytes_and_characters_of_plain_text_are_the_same_text(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, "più\n".encode(), b"senza fine riga", b"ultimo")
    assert b"".join(read_bytes(sources)) == text_of(sources).encode()


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = Stdin("più\r\n".encode())
    monkeypatch.setattr(sys, "stdin", stdin)
    assert text_of(find_sources(["-"])) == "più\n"
    assert not stdin.buffer.closed
    monkeypatch.setattr(sys, "stdin", Stdin(b"\xff"))
    with pytest.raises(TextError, match=r"^standard input: expected UTF-8 text, but byte 0"):
        text_of(find_sources(["-"]))


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(TextError, match="standard input is closed"):
        text_of(find_sources(["-"]))


def test_a_named_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"through a pipe",))
    writer.start()
    assert text_of(find_sources([pipe])) == "through a pipe"
    writer.join()


@pytest.mark.parametrize("read", [read_text, read_bytes])
def test_progress_counts_the_bytes_read(
    tmp_path: Path, read: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 4)
    seen: list[int] = []
    list(read(sources_of(tmp_path, "più\n".encode(), b"abcdef"), progress=seen.append))  # type: ignore[call-overload]
    assert seen == [4, 5, 9, 11]


def test_a_file_that_vanished(tmp_path: Path) -> None:
    (source,) = sources_of(tmp_path, b"text")
    assert source.path is not None
    source.path.unlink()
    with pytest.raises(TextError, match=r"0\.txt: no such file or folder"):
        text_of([source])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to read")
def test_a_file_that_fails_while_it_is_read() -> None:
    with pytest.raises(TextError, match=r"/proc/self/mem: cannot be read: Input/output error"):
        list(read_bytes(find_sources(["/proc/self/mem"])))


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = sources_of(tmp_path, b"text")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TextError, match=r"0\.txt: no permission to read it"):
        text_of([source])


# The real texts.


def read_real(data: Path, name: str) -> str:
    return text_of(find_sources([data / name]))


def test_italian_with_a_mark_and_carriage_returns(data: Path) -> None:
    name = "italian/divina_commedia_pg1012.txt"
    raw = (data / name).read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in raw
    text = read_real(data, name)
    assert "\r" not in text
    assert "\ufeff" not in text
    assert text == raw.decode("utf-8-sig").replace("\r\n", "\n")


@pytest.mark.parametrize("name", ["greek/byz_nt.txt", "japanese/neko.txt", "chinese/wujue-all.txt"])
def test_other_scripts_are_read_as_they_are(data: Path, name: str) -> None:
    assert read_real(data, name) == (data / name).read_bytes().decode().replace("\r\n", "\n")


def test_a_folder_of_names(data: Path) -> None:
    folder = data / "names" / "by_language"
    text = text_of(find_sources([folder]))
    paths = sorted(folder.iterdir())
    assert text.split() == [word for path in paths for word in path.read_text("utf-8").split()]


def test_malformed_utf_8_stops_at_its_first_wrong_byte(data: Path) -> None:
    path = data / "malformed" / "kuhn-baddata.txt"
    with pytest.raises(UnicodeDecodeError) as expected:
        path.read_bytes().decode()
    with pytest.raises(TextError) as caught:
        text_of(find_sources([path]))
    assert f"{path}: expected UTF-8 text, but byte {expected.value.start} (0x" in str(caught.value)
    assert "repair the file there, or learn any bytes with --vocabulary bytes" in str(caught.value)


def test_malformed_utf_8_at_each_piece_size(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = find_sources([data / "malformed" / "kuhn-baddata.txt"])
    messages = set()
    for piece_bytes in [1000, 4096, 4461, 4462, 1 << 20]:
        monkeypatch.setattr(reading, "PIECE_BYTES", piece_bytes)
        with pytest.raises(TextError) as caught:
            text_of(sources)
        messages.add(str(caught.value))
    assert len(messages) == 1
