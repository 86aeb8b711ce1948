"""How the cost of encoding a text grows: time and memory, from 1 MB to 1 GB; many files; a bomb.

Each text is generated, encoded into an empty cache in a process of its own, and then encoded again,
which the cache answers.
"""

import json
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Result, report, spread
from benchmarks.generated_text import Script, write_text
from benchmarks.runs import MEGABYTE, measured
from ricorda.errors import RicordaError
from ricorda.text import Cache, ReadingSettings, encode_sources, find_sources
from ricorda.text.sizes import readable_size

SIZES = (MEGABYTE, 10 * MEGABYTE, 100 * MEGABYTE, 1000 * MEGABYTE)
LEAST_SPEED = 60  # MB of text a second
MOST_MEMORY = 400  # MB
FILES = 1_000_000
FILES_IN_A_FOLDER = 1000
BOMB_BYTES = 3 * 10**9


def measure_encoding(
    *, rounds: int, folder: Path | None, largest: int, **_: Any
) -> Iterator[Result]:
    """Encode texts of growing size, up to `largest` bytes, in a temporary folder of `folder`."""
    sizes = [size for size in SIZES if size < largest] + [largest]
    with tempfile.TemporaryDirectory(prefix="ricorda-", dir=folder) as name:
        for size in sizes:
            yield from _encoding(Path(name), size, "latin", min(rounds, 3))
        yield from _encoding(Path(name), min(largest, SIZES[2]), "many", min(rounds, 3))


def _encoding(place: Path, size: int, script: Script, rounds: int) -> Iterator[Result]:
    text = place / "text.txt"
    report(f"generating {readable_size(size)} of text in {script} script")
    write_text(text, size, script)
    turns = []
    for _ in range(rounds):
        shutil.rmtree(place / "cache", ignore_errors=True)
        turns.append((encoded(text, place), encoded(text, place)))
    size = text.stat().st_size
    text.unlink()
    what = f"encoding {readable_size(size)}, {script} script"
    first, second = (
        spread([size / MEGABYTE / figures["seconds"] for figures in side])
        for side in zip(*turns, strict=True)
    )
    wanted = LEAST_SPEED if size >= SIZES[2] else None
    details = {"vocabulary": turns[0][0]["vocabulary"]}
    yield Result(
        f"{what}: MB per second", "a limit", first, wanted, unit="mb_a_second", details=details
    )
    yield _memory(what, max(figures["megabytes"] for pair in turns for figures in pair))
    yield Result(f"{what}: MB per second, cached", "a limit", second, unit="mb_a_second")


def measure_files(*, folder: Path | None, **_: Any) -> Iterator[Result]:
    """Encode a tree of small files, twice, and refuse 3 GB that are compressed into 3 MB."""
    files = FILES
    with tempfile.TemporaryDirectory(prefix="ricorda-", dir=folder) as name:
        report(f"writing {files:,} files")
        _write_files(Path(name, "texts"), files)
        for times in ("the first time", "the second time"):
            figures = encoded(Path(name, "texts"), Path(name))
            what = f"{files:,} small files, {times}"
            speed = spread([files / figures["seconds"]])
            yield Result(f"{what}: files per second", "a limit", speed, unit="files_a_second")
            yield _memory(what, figures["megabytes"])
    with tempfile.TemporaryDirectory(prefix="ricorda-", dir=folder) as name:
        path = Path(name, "bomb.gz")
        write_bomb(path, BOMB_BYTES)
        began = time.perf_counter()
        try:
            encoded(path, Path(name))
        except RicordaError as error:
            report(str(error))
        else:
            raise RicordaError("a decompression bomb was not refused")
        seconds = spread([time.perf_counter() - began])
        yield Result("a bomb of 3 GB: seconds to refuse it", "a limit", seconds, unit="seconds")


def write_bomb(path: Path, size: int) -> None:
    """Write a gzip file that holds so many letters "a"."""
    compress = zlib.compressobj(9, wbits=31)
    block = b"a" * MEGABYTE
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(compress.compress(block))
        file.write(compress.flush())


def _write_files(folder: Path, count: int) -> None:
    for number in range(count):
        place = folder / f"{number // FILES_IN_A_FOLDER:04}"
        if number % FILES_IN_A_FOLDER == 0:
            place.mkdir(parents=True)
        (place / f"{number:07}.txt").write_text(f"Questo è il testo numero {number}.\n", "utf-8")


def _memory(what: str, megabytes: float) -> Result:
    return Result(
        f"{what}: peak memory, MB",
        "a limit",
        spread([megabytes]),
        MOST_MEMORY,
        at_most=True,
        unit="megabytes",
    )


def encoded(text: Path, place: Path, documents: str = "auto") -> dict[str, float]:
    """Encode in a process of its own. Raises RicordaError with its last line."""
    words = ["-m", "benchmarks.encoding", str(text), str(place / "cache"), documents]
    printed, megabytes = measured([sys.executable, *words])
    figures: dict[str, float] = json.loads(printed)
    return figures | {"megabytes": megabytes}


def main() -> None:
    """Encode one text through a cache; print the seconds and the vocabulary's size as JSON."""
    path, cache = map(Path, sys.argv[1:3])
    began = time.perf_counter()
    text = encode_sources(
        find_sources([path]),
        vocabulary="characters",
        folder=path.parent,
        reading=ReadingSettings(documents=sys.argv[3]),
        cache=Cache(cache),
        say=lambda line: print(line, file=sys.stderr),
    )
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "vocabulary": text.vocabulary.size}))


if __name__ == "__main__":
    main()
