"""Round trips of many files, and refusals of many damaged ones: `make compress-check`.

    python -m tests.compression.check --files 2000 --damaged 500 --large 50000000 [FOLDER]

Files of all kinds are compressed with one instruction set and number of threads and restored with
another, chosen at random from a seed; so is every file of FOLDER.
"""

import argparse
import lzma
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ricorda import _kernels
from ricorda.compression import compress_file, decompress_file
from ricorda.errors import ArchiveError

LARGEST = 4000  # bytes of most files
WORDS = b"the of and to in a is that it was for on are with as his they at be this".split()


def exact_sets() -> list[str]:
    """Return the instruction sets of this processor that compute the same bits everywhere."""
    found = {_kernels.choose_exact_set(name) for name, _ in _kernels.instruction_sets()}
    return sorted(found | {_kernels.choose_exact_set("portable")})


def contents(count: int, random: np.random.Generator) -> Iterator[bytes]:
    """Make files: random bytes of few or many kinds, words, repetitions, numbers, UTF-8."""
    for number in range(count):
        size = int(LARGEST * random.random() ** 3)
        match number % 6:
            case 0:
                yield random.bytes(size)
            case 1:
                yield random.integers(0, 1 + number % 5, size, dtype=np.uint8).tobytes()
            case 2:
                yield b" ".join(WORDS[k] for k in random.integers(0, len(WORDS), size // 4))
            case 3:
                yield (random.bytes(1 + size // 50) * 60)[:size]
            case 4:
                yield np.cumsum(random.integers(-9, 9, size // 4), dtype="<i4").tobytes()
            case _:
                points = random.integers(32, 0x3000, size // 3)
                yield "".join(map(chr, points.tolist())).encode()


def large(size: int, random: np.random.Generator) -> bytes:
    """Make a large file: text that repeats itself with changes."""
    block = b" ".join(WORDS[k] for k in random.integers(0, len(WORDS), 50_000))
    data = np.frombuffer((block * (size // len(block) + 1))[:size], np.uint8).copy()
    data[random.integers(0, size, size // 1000)] = 33
    return data.tobytes()


class Check:
    """Compresses and restores in a folder of its own, and counts."""

    def __init__(self, folder: Path, random: np.random.Generator) -> None:
        self._source, self._archive = folder / "content", folder / "archive"
        self._again = folder / "again"
        self._folder, self._random, self._sets = folder, random, exact_sets()
        self.files = self.damaged = 0

    def round_trip(self, content: bytes) -> None:
        """Compress with one set, restore with another. Raises AssertionError."""
        self._source.write_bytes(content)
        sets = self._sets if len(content) <= LARGEST else self._sets[:1]  # in software: slow
        compress_file(self._source, self._archive, force=True, **self._options(sets))
        decompress_file(self._archive, self._again, force=True, **self._options(sets))
        assert self._again.read_bytes() == content
        most = len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)) + 64
        assert self._archive.stat().st_size <= most
        self.files += 1

    def refuse(self) -> None:
        """Damage the last archive and see it refused. Raises AssertionError."""
        data = bytearray(self._archive.read_bytes())
        place = int(self._random.integers(len(data)))
        match self.damaged % 3:
            case 0:
                data[place] ^= 1 << int(self._random.integers(8))
            case 1:
                del data[place:]
            case _:
                data += self._random.bytes(1 + place % 100)
        bad = self._folder / "bad"
        bad.write_bytes(data)
        self._again.unlink(missing_ok=True)
        before = sorted(self._folder.iterdir())
        try:
            decompress_file(bad, self._again)
        except ArchiveError:
            assert sorted(self._folder.iterdir()) == before
            self.damaged += 1
            return
        raise AssertionError("a damaged archive was restored")

    def _options(self, sets: list[str]) -> dict[str, Any]:
        return {
            "kernels": str(self._random.choice(sets)),
            "threads": int(self._random.integers(1, 3)),
        }


def main() -> None:
    """Run the whole check and print what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--damaged", type=int, default=500)
    parser.add_argument("--large", type=int, default=50_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        check = Check(Path(folder), random)
        for number, content in enumerate(contents(given.files, random)):
            check.round_trip(content)
            if check.damaged < given.damaged * (number + 1) / given.files:
                check.refuse()
        for path in sorted(given.folder.rglob("*")) if given.folder else []:
            if path.is_file():
                check.round_trip(path.read_bytes())
        if given.large:
            check.round_trip(large(given.large, random))
    seconds = time.monotonic() - begin
    print(f"{check.files} files restored, {check.damaged} damaged ones refused, {seconds:.0f} s")


if __name__ == "__main__":
    main()
