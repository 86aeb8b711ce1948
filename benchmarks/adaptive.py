"""`python -m benchmarks adaptive`: what adaptive reading saves on the texts of a folder.

Of each text a network is trained on the first nine tenths; then the last tenth is read. Its peer is
`xz -9e`: the size of the whole text's archive, less that of the first nine tenths.
"""

import lzma
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.runs import train
from ricorda.engine import load
from ricorda.engine.adaptive import AdaptiveBackend
from ricorda.engine.backend import Backend, Ids
from ricorda.engine.model import Model
from ricorda.errors import RicordaError
from ricorda.text import find_sources, read_text

HELD_BACK = 10  # one part of so many is read
TRAINING = ("--documents", "text", "--split", "end", "--validation-fraction", "0.1", "--seed", "1")


class Measurement(NamedTuple):
    """Bits for each byte of the last tenth of a text."""

    text: str
    size: int
    """Of the last tenth, in bytes."""

    frozen: float
    networks: float
    """Of the networks that learn, without counts."""

    adaptive: float
    xz: float
    speeds: tuple[float, float, float]
    """Symbols a second: frozen, networks, adaptive."""


def texts_of(folder: Path, least: int) -> list[Path]:
    """Return the files of a folder and its subfolders that have at least `least` bytes."""
    found = (each for each in folder.rglob("*") if each.is_file() and not each.is_symlink())
    return sorted(each for each in found if each.stat().st_size >= least)


def measure(path: Path, budget: Sequence[str], threads: int) -> Measurement | str:
    """Train on a text and read its end; return why a text cannot be read instead of raising."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            text = "".join(read_text(find_sources([str(path)])))
            copy, run = Path(folder, "text.txt"), Path(folder, "run")
            copy.write_text(text, encoding="utf-8", newline="")
            train(copy, run, *TRAINING, *budget, "--threads", str(threads))
        except RicordaError as error:
            return str(error)
        return _measured(path.name, text, load(run, threads=threads))


def _measured(name: str, text: str, model: Model) -> Measurement:
    border = len(text) - max(1, len(text) // HELD_BACK)
    begin, end = text[:border], text[border:]
    assert model.gradient_sizes is not None, "training has just measured them"
    backends: list[Backend | AdaptiveBackend] = [
        model.backend,
        AdaptiveBackend(model.backend, model.gradient_sizes),
        AdaptiveBackend(model.backend, model.gradient_sizes, model.vocabulary),
    ]
    size = len(end.encode())
    figures, speeds = [], []
    for backend in backends:
        ids = model.vocabulary.encode(text[border - 1 :])
        started = time.perf_counter()
        figures.append(_nats(backend, ids) / math.log(2) / size)
        speeds.append((len(ids) - 1) / (time.perf_counter() - started))
    added = 8 * (_xz(text) - _xz(begin)) / size
    frozen, networks, adaptive = figures
    first, second, third = speeds
    return Measurement(name, size, frozen, networks, adaptive, added, (first, second, third))


def _nats(backend: Backend | AdaptiveBackend, ids: Ids) -> float:
    """The surprisal of all symbols but the first."""
    found, _ = backend.score(ids[None, :-1], ids[None, 1:], backend.zero_state(1))
    return float(np.sum(found.nats, dtype=np.float64))


def _xz(text: str) -> int:
    return len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def measurements(
    folder: Path, budget: Sequence[str], least: int, threads: int
) -> Iterator[tuple[Path, Measurement | str]]:
    """Measure each text of a folder."""
    for path in texts_of(folder, least):
        yield path, measure(path, budget, threads)
