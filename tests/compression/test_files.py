"""Files are compressed and restored byte for byte, or refused with nothing left behind."""

import hashlib
import lzma
from pathlib import Path

import numpy as np
import pytest

from ricorda.compression import Method, compress_file, decompress_file
from ricorda.compression.archive import CHECK_SIZE, Header
from ricorda.errors import ArchiveError, InputError

pytest.importorskip("ricorda._kernels")

RANDOM = np.random.default_rng(7)
SENTENCES = (
    b"It was the best of times, it was the worst of times, it was the age of wisdom, "
    b"it was the age of foolishness, it was the epoch of belief, it was the epoch of doubt. "
)


def words(count: int) -> bytes:
    """Text of random words of a small dictionary."""
    known = [bytes(RANDOM.integers(97, 123, size=n, dtype=np.uint8)) for n in range(1, 12)]
    return b" ".join(known[k] for k in RANDOM.integers(0, len(known), size=count))


CONTENTS = {
    "empty": b"",
    "one byte": b"x",
    "a zero": b"\0",
    "two bytes": b"\r\n",
    "all bytes": bytes(range(256)),
    "random": RANDOM.bytes(5000),
    "zeros": bytes(20_000),
    "a period of 7": b"abcdefg" * 1500,
    "words": words(2000),
    "sentences": SENTENCES * 3,
    "16-bit numbers": np.arange(4000, dtype="<u2").tobytes(),
    "UTF-8": "Nel mezzo del cammin di nostra vita; così è, però: 日本語\n".encode() * 20,
    "a cut character": "però".encode()[:-1],
    "longer than a chunk": words(6_000) + RANDOM.bytes(30_000),
}


def round_trip(folder: Path, content: bytes) -> bytes:
    """Compress and restore; return the archive."""
    source, archive = folder / "content", folder / "content.ricorda"
    source.write_bytes(content)
    result = compress_file(source)
    assert result.path == archive
    assert result.size == len(content)
    assert result.compressed_size == archive.stat().st_size
    decompress_file(archive, folder / "again")
    assert (folder / "again").read_bytes() == content
    return archive.read_bytes()


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_file_comes_back_and_is_no_larger_than_by_xz(tmp_path: Path, content: bytes) -> None:
    archive = round_trip(tmp_path, content)
    assert len(archive) <= len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)) + 64
    assert {path.name for path in tmp_path.iterdir()} == {"content", "content.ricorda", "again"}


def test_text_is_smaller_than_by_xz(tmp_path: Path) -> None:
    content = words(2_000)
    archive = round_trip(tmp_path, content)
    assert archive[9] == Method.NETWORK
    assert len(archive) < 0.9 * len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def test_random_bytes_are_stored(tmp_path: Path) -> None:
    archive = round_trip(tmp_path, RANDOM.bytes(3000))
    assert archive[9] == Method.STORED
    assert len(archive) == 3000 + 52 + CHECK_SIZE


def damaged_copies(archive: bytes) -> dict[str, bytes]:
    """Archives with one flipped bit each, cut, or with something added."""
    copies = {}
    for place in [*range(60), *range(60, len(archive), 97), len(archive) - 1]:
        flipped = bytearray(archive)
        flipped[place] ^= 1 << (place % 8)
        copies[f"bit flipped in byte {place}"] = bytes(flipped)
    for length in [0, 1, 8, 51, 52, 59, 60, len(archive) // 2, len(archive) - 1]:
        if length < len(archive):
            copies[f"cut to {length}"] = archive[:length]
    copies["a byte more"] = archive + b"\0"
    copies["twice"] = archive * 2
    return copies


@pytest.mark.parametrize(
    "content", [words(500), RANDOM.bytes(300), b""], ids=["text", "noise", "empty"]
)
def test_a_damaged_archive_is_refused_with_nothing_left(tmp_path: Path, content: bytes) -> None:
    archive = round_trip(tmp_path, content)
    bad = tmp_path / "bad.ricorda"
    before = {path.name for path in tmp_path.iterdir()} | {bad.name}
    for name, data in damaged_copies(archive).items():
        bad.write_bytes(data)
        with pytest.raises(ArchiveError):
            decompress_file(bad)
        assert {path.name for path in tmp_path.iterdir()} == before, name


@pytest.mark.parametrize("method", [Method.STORED, Method.LZMA, Method.MIXED, Method.NETWORK])
@pytest.mark.parametrize("code", [b"", b"\0", b"\1\2\3", bytes(5000), RANDOM.bytes(5000)])
@pytest.mark.parametrize("size", [0, 1, 4999, 2**40])
def test_a_forged_archive_with_a_right_check_is_refused(
    tmp_path: Path, method: Method, code: bytes, size: int
) -> None:
    """What is said of the content is not believed: neither memory nor time follows from it."""
    data = Header(method, size, hashlib.sha256(b"other").digest(), 12).to_bytes() + code
    archive = tmp_path / "forged.ricorda"
    archive.write_bytes(data + hashlib.sha256(data).digest()[:CHECK_SIZE])
    with pytest.raises(ArchiveError):
        decompress_file(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["forged.ricorda"]


def test_existing_files_are_replaced_only_by_force(tmp_path: Path) -> None:
    source, archive = tmp_path / "a", tmp_path / "a.ricorda"
    source.write_bytes(b"first")
    archive.write_bytes(b"other")
    with pytest.raises(ArchiveError, match="exists"):
        compress_file(source)
    assert archive.read_bytes() == b"other"
    compress_file(source, force=True)
    source.write_bytes(b"second")
    with pytest.raises(ArchiveError, match="exists"):
        decompress_file(archive)
    assert source.read_bytes() == b"second"
    decompress_file(archive, force=True)
    assert source.read_bytes() == b"first"


def test_a_file_is_never_written_over_itself(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"first")
    with pytest.raises(InputError, match="input files"):
        compress_file(source, source, force=True)
    assert source.read_bytes() == b"first"


def test_a_name_without_the_suffix_needs_another(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ArchiveError, match="--out"):
        decompress_file(tmp_path / "a.zip")


def test_progress_goes_from_the_beginning_to_the_end(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(words(2_000))
    seen: list[tuple[int, int, int]] = []
    compress_file(source, progress=lambda *figures: seen.append(figures))
    assert all(size == source.stat().st_size for _, size, _ in seen)
    assert seen[-1][0] == source.stat().st_size
    assert 0 < seen[-1][2] < source.stat().st_size
