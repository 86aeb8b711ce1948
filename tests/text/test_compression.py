"""Compressed files: what is read, what is refused, and how much memory it takes."""

import bz2
import gzip
import io
import lzma
import tracemalloc
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import ConfigurationError, TextError
from ricorda.text import Decompression, Source, find_sources, read_bytes, read_text, reading
from ricorda.text.compression import Kind, decompressed, kind_of
from ricorda.text.sizes import parse_size, readable_size

Compress = Callable[[bytes], bytes]


def pieces_of(data: bytes, size: int = 4096) -> Iterator[bytes]:
    return (data[begin : begin + size] for begin in range(0, len(data), size))


COMPRESS: dict[Kind, Compress] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstandard.ZstdCompressor().compress,
    "xz": lambda data: lzma.compress(data, format=lzma.FORMAT_XZ),
    "bzip2": bz2.compress,
}
KINDS = list(COMPRESS)
TEXT = "".join(f"{number} perché €😀\n" for number in range(3000)).encode()

each_kind = pytest.mark.parametrize("kind", KINDS)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read(*paths: Path, **options: object) -> str:
    return "".join(read_text(find_sources(paths), **options))  # type: ignore[arg-type]


def error_of(path: Path, **options: object) -> str:
    with pytest.raises(TextError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable(), "one line, nothing odd in it"
    return message


@each_kind
@pytest.mark.parametrize("name", ["text.gz", "text.txt"])
def test_compressed_files_are_known_by_their_content(tmp_path: Path, kind: Kind, name: str) -> None:
    path = written(tmp_path / name, COMPRESS[kind](TEXT))
    assert read(path) == TEXT.decode()
    assert b"".join(read_bytes(find_sources([path]))) == TEXT


@given(
    st.lists(st.text(st.sampled_from("aè€😀\r\n"), max_size=40), min_size=1, max_size=4),
    st.sampled_from(KINDS),
    st.integers(1, 40),
)
def test_compressed_parts_in_any_pieces_are_the_whole(
    texts: list[str], kind: Kind, piece_bytes: int
) -> None:
    whole = "".join(texts)
    data = b"".join(COMPRESS[kind](text.encode()) for text in texts)
    sources = [Source("standard input", None)]
    with (
        patch.object(reading, "PIECE_BYTES", piece_bytes),
        patch.object(reading, "_opened", lambda _: io.BytesIO(data)),
    ):
        if whole:
            assert "".join(read_text(sources, newlines="keep")) == whole
        else:
            with pytest.raises(TextError, match="empty"):
                list(read_text(sources))


@each_kind
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_however_little_is_read_at_a_time(kind: Kind, step: int) -> None:
    data = COMPRESS[kind](TEXT) + COMPRESS[kind](b"end")
    assert b"".join(decompressed("a", kind, pieces_of(data, step))) == TEXT + b"end"


@each_kind
def test_zeros_may_pad_what_is_compressed(tmp_path: Path, kind: Kind) -> None:
    if kind == "zstd":
        pytest.skip("zstd files are not padded")
    data = COMPRESS[kind](b"one ") + bytes(512) + COMPRESS[kind](b"two") + bytes(8)
    assert read(written(tmp_path / "a", data)) == "one two"


def test_zstd_frames_to_be_skipped(tmp_path: Path) -> None:
    skipped = b"\x51\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    data = skipped + COMPRESS["zstd"](b"one ") + skipped + COMPRESS["zstd"](b"two")
    assert read(written(tmp_path / "a", data)) == "one two"


@each_kind
def test_a_file_that_ends_in_the_middle(tmp_path: Path, kind: Kind) -> None:
    whole = COMPRESS[kind](TEXT)
    for size in (len(whole) - 1, len(whole) // 2, 12):
        message = error_of(written(tmp_path / "a.log", whole[:size]))
        assert f"expected a whole {kind} file, but it ends in the middle" in message
        assert "download it again" in message


@each_kind
def test_a_damaged_file(tmp_path: Path, kind: Kind, random: np.random.Generator) -> None:
    data = bytearray(COMPRESS[kind](random.bytes(400_000).hex().encode()))
    data[len(data) // 2] ^= 0x55
    data[len(data) // 2 + 1] ^= 0xFF
    if kind == "zstd":  # without a checksum only what breaks its form is seen
        data[6:40] = bytes(34)
    message = error_of(written(tmp_path / "a", bytes(data)))
    assert f"expected {kind} data, but it is damaged" in message or "not valid" in message


def test_what_follows_the_compressed_text_is_not_dropped(tmp_path: Path) -> None:
    message = error_of(written(tmp_path / "a", COMPRESS["gzip"](b"one") + b"and the rest"))
    assert "damaged in its part 2" in message


def test_a_name_that_promises_more(tmp_path: Path) -> None:
    assert read(written(tmp_path / "plain.gz", b"only text\n")) == "only text\n"
    damaged = b"\0" * 9 + COMPRESS["gzip"](TEXT)
    message = error_of(written(tmp_path / "a.gz", damaged))
    assert "expected gzip data because of its name, but it does not begin like gzip" in message
    assert "--decompress off" in message


@each_kind
def test_a_bomb_is_refused_quickly_in_little_memory(tmp_path: Path, kind: Kind) -> None:
    data = COMPRESS[kind](b"x" * (8 << 20)) * 40  # 320 MB
    path = written(tmp_path / "bomb", data)
    tracemalloc.start()
    with pytest.raises(TextError) as caught:
        deque(read_text(find_sources([path])), maxlen=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(caught.value)
    assert "like a decompression bomb" in message
    assert "--max-decompressed 20GB" in message
    assert peak < 32e6


@each_kind
def test_the_limit_may_be_set(tmp_path: Path, kind: Kind) -> None:
    path = written(tmp_path / "a", COMPRESS[kind](TEXT))
    assert read(path, decompression=Decompression(limit=len(TEXT))) == TEXT.decode()
    message = error_of(path, decompression=Decompression(limit=len(TEXT) - 1))
    assert "more than --max-decompressed" in message


def test_a_larger_limit_admits_what_compresses_well() -> None:
    data = COMPRESS["zstd"](bytes(80 << 20))
    with pytest.raises(TextError, match="bomb"):
        sum(map(len, decompressed("a", "zstd", pieces_of(data))))
    assert sum(map(len, decompressed("a", "zstd", pieces_of(data), 10**9))) == 80 << 20


def test_a_window_too_large_for_bounded_memory(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path = written(tmp_path / "a", frame.compress(TEXT) + frame.flush())
    assert "needs at most 134 MB of memory" in error_of(path)


def test_a_dictionary_that_is_not_there_is_named(tmp_path: Path) -> None:
    lines: list[bytes | bytearray | memoryview[int]] = [
        f"{number} bottles of beer on the wall\n".encode() * 4 for number in range(400)
    ]
    dictionary = zstandard.train_dictionary(1024, lines)
    data = zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT)
    message = error_of(written(tmp_path / "a", data))
    assert "compressed with a dictionary" in message
    assert "damaged" not in message


def test_compressed_files_as_they_are(tmp_path: Path) -> None:
    data = COMPRESS["gzip"](TEXT)
    path = written(tmp_path / "a.gz", data)
    as_they_are = Decompression(enabled=False)
    sources = find_sources([path], decompress=False)
    assert b"".join(read_bytes(sources, decompression=as_they_are)) == data


def test_folders_hold_compressed_texts(tmp_path: Path) -> None:
    for kind in KINDS:
        written(tmp_path / f"a.{kind}", COMPRESS[kind](f"{kind}\n".encode()))
        written(tmp_path / f"b.{kind}", COMPRESS[kind](b"binary \0 data"))
    assert read(tmp_path) == "bzip2\ngzip\nxz\nzstd\n"
    assert len(find_sources([tmp_path], encoding="utf-16")) == 8
    with pytest.raises(TextError, match="8 files look binary"):
        find_sources([tmp_path], decompress=False)


def test_kinds_are_recognized_by_their_first_bytes() -> None:
    assert [kind_of(COMPRESS[kind](b"")) for kind in KINDS] == KINDS
    others = [b"", b"\x1f\x8b", b"P", b"BZh9 text", zlib.compress(b""), b"(text"]
    assert [kind_of(data) for data in others] == [None] * len(others)


@pytest.mark.parametrize(
    "text, size",
    [("1", 1), ("20GB", 20 * 10**9), ("1.5 TB", 15 * 10**11), ("64MiB", 64 << 20), ("3k", 3000)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size("--max-decompressed", text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "5 parsecs", "0.1", "1e9", "٣GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--option: expected a size"):
        parse_size("--option", text)


def test_sizes_as_people_read_them() -> None:
    sizes = [1, 999, 1000, 999_600, 1_234_567, 10**9, 2 * 10**12]
    assert [readable_size(size) for size in sizes] == [
        *("1 bytes", "999 bytes", "1 kB", "1 MB", "1.23 MB", "1 GB", "2 TB")
    ]


@each_kind
def test_parts_with_nothing_in_them_are_bounded(kind: Kind) -> None:
    part = COMPRESS[kind](b"")
    pieces = pieces_of(part * 30_000)
    with pytest.raises(TextError, match="like a decompression bomb") as caught:
        deque(decompressed("a", kind, pieces), maxlen=0)
    assert "parts that are nearly empty" in str(caught.value)
    assert next(pieces), "refused before all of it was read"


def test_frames_to_be_skipped_are_bounded() -> None:
    data = b"\x50\x2a\x4d\x18\0\0\0\0" * 30_000
    with pytest.raises(TextError, match="parts that are nearly empty"):
        deque(decompressed("a", "zstd", pieces_of(data)), maxlen=0)


@each_kind
def test_many_parts_with_text_in_them_are_read(kind: Kind) -> None:
    part = COMPRESS[kind](b"x" * 100)
    pieces = pieces_of(part * 25_000)
    assert sum(map(len, decompressed("a", kind, pieces))) == 2_500_000


def test_a_text_compressed_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.bz2.gz", COMPRESS["gzip"](COMPRESS["bzip2"](TEXT)))
    message = error_of(path)
    assert "it is compressed twice (bzip2 inside gzip)" in message
    assert "gzip -dc FILE > INNER" in message
