"""What a lower precision loses on a text, and what it gains: `python -m benchmarks precision`."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ricorda.engine import GenerationSettings, Model, Precision, load
from ricorda.text import TextReader

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
TIMED = 5_000  # symbols


def losses(
    model: Path, texts: Sequence[str], reader_for: Callable[[Model], TextReader]
) -> dict[str, dict[str, float]]:
    """Nats per character, their loss against float32, and the time of a symbol, by precision.

    `reader_for` makes the reader of the texts. The state is carried through the whole text.
    Characters that the model lacks are left out.
    """
    found: dict[str, dict[str, float]] = {}
    for precision in PRECISIONS:
        trained = load(model, precision=precision, backend="native")
        pieces = reader_for(trained).symbols(texts, trained.vocabulary)
        nats = trained.evaluate(pieces, on_unknown="skip").nats_per_character
        session = trained.backend.session(trained.vocabulary)
        start = np.array([trained.vocabulary.start])
        session.add(start, GenerationSettings(length=TIMED, seed=1))
        began = time.perf_counter()
        session.advance(TIMED)
        found[precision] = {
            "nats_per_character": nats,
            "loss": nats - found["float32"]["nats_per_character"] if found else 0.0,
            "microseconds_per_symbol": (time.perf_counter() - began) / TIMED * 1e6,
        }
    return found
