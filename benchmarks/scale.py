"""How the cost of encoding a text grows with it: time and memory, from 1 MB to 1 GB.

Each text is generated, encoded into an empty cache in a process of its own, and then asked for
again, which is answered from the cache.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.generated_text import Script, write_text
from benchmarks.result import Result
from benchmarks.timing import Ratio
from ricorda.errors import RicordaError
from ricorda.text import (
    Cache,
    encode_sources,
    find_sources,
)
from ricorda.text.sizes import readable_size

MEGABYTE = 10**6
SIZES = (MEGABYTE, 10 * MEGABYTE, 100 * MEGABYTE, 1000 * MEGABYTE)
WANTED = 60  # MB of text a second
MOST_MEMORY = 400  # MB


def measure_encoding(
    say: Callable[[str], None],
    *,
    rounds: int,
    folder: Path | None,
    largest: int = SIZES[-1],
) -> Iterator[Result]:
    """Encode texts of growing size, up to `largest` bytes, in a temporary folder of `folder`.

    The figures are megabytes of text a second, the median of at most three turns.
    """
    sizes = [size for size in SIZES if size < largest] + [largest]
    with tempfile.TemporaryDirectory(prefix="ricorda-", dir=folder) as place:
        for size in sizes:
            yield from _measure(say, Path(place), size, "latin", min(rounds, 3))
        yield from _measure(say, Path(place), min(largest, SIZES[2]), "many", min(rounds, 3))


def _measure(
    say: Callable[[str], None], place: Path, size: int, script: Script, rounds: int
) -> Iterator[Result]:
    text = place / "text.txt"
    say(f"generating {readable_size(size)} of text in {script} script")
    write_text(text, size, script)
    turns = []
    for _ in range(rounds):
        shutil.rmtree(place / "cache", ignore_errors=True)
        turns.append((encoded_by_itself(text, place), encoded_by_itself(text, place)))
    size = text.stat().st_size
    text.unlink()
    shutil.rmtree(place / "cache", ignore_errors=True)
    memory = max(turn["peak_megabytes"] for pair in turns for turn in pair)
    what = f"encoding {readable_size(size)}, {script} script"
    details = {
        "seconds": min(first["seconds"] for first, _ in turns),
        "seconds_the_second_time": min(second["seconds"] for _, second in turns),
        "peak_megabytes": memory,
        "vocabulary": turns[0][0]["vocabulary"],
        "bytes_a_symbol": turns[0][0]["itemsize"],
    }
    speeds = sorted(size / MEGABYTE / first["seconds"] for first, _ in turns)
    yield Result(
        f"{what}: MB a second",
        "a limit",
        _ratio(speeds),
        WANTED if size >= SIZES[2] else None,
        unit="megabytes_a_second",
        details=details,
    )
    yield Result(
        f"{what}: peak memory, MB",
        "a limit",
        _ratio([memory]),
        MOST_MEMORY,
        at_most=True,
        unit="megabytes",
    )
    again = sorted(size / MEGABYTE / second["seconds"] for _, second in turns)
    yield Result(
        f"{what}: MB a second, the second time",
        "a limit",
        _ratio(again),
        unit="megabytes_a_second",
    )


def _ratio(values: list[float]) -> Ratio:
    return Ratio(values[len(values) // 2], values[0], values[-1])


def encoded_by_itself(text: Path, place: Path) -> dict[str, float]:
    """Encode in a process of its own. Raises RicordaError with its last line."""
    command = [sys.executable, "-m", "benchmarks.scale", str(text), str(place / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RicordaError(f"the encoding to be measured failed: {last}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Encode one text through a cache; print the seconds and the peak memory as JSON."""
    path, cache = map(Path, sys.argv[1:])
    began = time.perf_counter()
    text = encode_sources(
        find_sources([path]),
        vocabulary="characters",
        folder=path.parent,
        cache=Cache(cache),
        say=lambda line: print(line, file=sys.stderr),
    )
    figures = {
        "seconds": time.perf_counter() - began,
        "peak_megabytes": _peak_megabytes(),
        "vocabulary": text.vocabulary.size,
        "itemsize": text.ids.itemsize,
    }
    print(json.dumps(figures))


def _peak_megabytes() -> float:
    """The most memory that this process had resident, mapped files included."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024 / MEGABYTE
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024  # bytes of what the system counts in
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE


if __name__ == "__main__":
    main()
