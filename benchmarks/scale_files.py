"""A million small files, and a bomb: that both are met in bounded memory."""

import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.result import Result
from benchmarks.scale import encoded_by_itself
from benchmarks.timing import Ratio
from ricorda.errors import RicordaError

FILES = 1_000_000
BOMB_BYTES = 3 * 10**9
MOST_MEMORY = 400  # MB
_A_FOLDER = 1000  # files


def measure_files(
    say: Callable[[str], None], *, rounds: int, folder: Path | None, files: int = FILES
) -> Iterator[Result]:
    """Encode a tree of small files, twice, and meet 3 GB that are compressed into 3 MB."""
    del rounds  # once is long enough
    with tempfile.TemporaryDirectory(prefix="ricorda-", dir=folder) as place:
        say(f"writing {files:,} files")
        size = _write_files(Path(place, "texts"), files)
        for times in ("the first time", "the second time"):
            figures = encoded_by_itself(Path(place, "texts"), Path(place))
            what = f"{files:,} files of {size / files:.0f} bytes, {times}"
            yield _result(f"{what}: files a second", files / figures["seconds"], "files_a_second")
            yield _memory(f"{what}: peak memory, MB", figures["peak_megabytes"])
    with tempfile.TemporaryDirectory(prefix="ricorda-", dir=folder) as place:
        path = Path(place, "bomb.gz")
        write_bomb(path, BOMB_BYTES)
        began = time.perf_counter()
        try:
            encoded_by_itself(path, Path(place))
        except RicordaError as error:
            say(str(error))
        else:
            raise RicordaError("a decompression bomb was not refused")
        what = f"a bomb, 3 GB in {path.stat().st_size / 1e6:.1f} MB"
        yield _result(f"{what}: seconds to refuse it", time.perf_counter() - began, "seconds")


def write_bomb(path: Path, size: int) -> None:
    """Write a gzip file that holds so many letters "a"."""
    compress = zlib.compressobj(9, wbits=31)
    block = b"a" * 10**6
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(compress.compress(block))
        file.write(compress.flush())


def _write_files(folder: Path, count: int) -> int:
    """Write small texts, a thousand in each folder; return their bytes."""
    total = 0
    for number in range(count):
        place = folder / f"{number // _A_FOLDER:04}"
        if number % _A_FOLDER == 0:
            place.mkdir(parents=True)
        content = f"Questo è il testo numero {number}.\n".encode()
        (place / f"{number:07}.txt").write_bytes(content)
        total += len(content)
    return total


def _result(what: str, value: float, unit: str) -> Result:
    return Result(what, "a limit", Ratio(value, value, value), unit=unit)


def _memory(what: str, megabytes: float) -> Result:
    ratio = Ratio(megabytes, megabytes, megabytes)
    return Result(what, "a limit", ratio, MOST_MEMORY, at_most=True, unit="megabytes")
