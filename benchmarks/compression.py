"""`python -m benchmarks compress`: sizes and speeds of `ricorda compress` beside its peers.

xz and zstd come with Python and ricorda; 7z's PPMd is measured where `pyppmd` is installed, with
the model of `7z a -m0=PPMd:mem=256m:o=16`.
"""

import lzma
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard

from ricorda.compression import compress_file
from ricorda.errors import MissingExtra

PPMD_ORDER, PPMD_MEMORY = 16, 256 << 20
CONTAINER_7Z = 137
"""Bytes that 7z's container adds to the code of one file."""


class Measurement(NamedTuple):
    """One file by one program."""

    file: str
    program: str
    size: int
    compressed_size: int
    seconds: float

    @property
    def bits_per_byte(self) -> float:
        """Bits of the result for each byte of the file."""
        return 8 * self.compressed_size / max(self.size, 1)


def measure(paths: list[Path], threads: int = 2) -> Iterator[Measurement]:
    """Compress each file with each program, one after the other."""
    for path in paths:
        data = path.read_bytes()
        for name, compressed_size in _programs(path, data, threads).items():
            begin = time.perf_counter()
            try:
                size = compressed_size()
            except MissingExtra:
                continue
            yield Measurement(path.name, name, len(data), size, time.perf_counter() - begin)


def _programs(path: Path, data: bytes, threads: int) -> dict[str, Callable[[], int]]:
    def ours() -> int:
        with tempfile.TemporaryDirectory() as folder:
            return compress_file(path, Path(folder) / "archive", threads=threads).compressed_size

    return {
        "ricorda": ours,
        "7z PPMd": lambda: len(_ppmd(data)) + CONTAINER_7Z,
        "xz -9e": lambda: len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)),
        "zstd -19": lambda: len(zstandard.ZstdCompressor(level=19).compress(data)),
    }


def _ppmd(data: bytes) -> bytes:
    try:
        import pyppmd
    except ImportError:
        raise MissingExtra("pyppmd is not installed: 7z's PPMd is left out") from None
    encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, PPMD_MEMORY)
    code: bytes = encoder.encode(data) + encoder.flush()
    return code
