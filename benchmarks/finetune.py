"""A start from a model of another text, against a cold start of the same network and time."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import ricorda
from benchmarks.figures import Result, nats_more_than, report, spread
from benchmarks.runs import train
from ricorda.text import TextReader

HELD_BACK = 100_000  # characters at the old text's end
MOST_RISE = 1e-4  # nats per character


def measure(
    old: Path, new: Path, *, minutes: float, before: float, hidden_size: int, seed: int
) -> Iterator[Result]:
    """Learn `old` for `before` minutes, then `new` for `minutes`, from that model and from nothing.

    Yields the bits per character that the start saves on the held-back part of `new`, and how much
    worse the model predicts the end of `old` once the new text's symbols were added.
    """
    with tempfile.TemporaryDirectory(prefix="ricorda-") as place:
        model, tuned, cold = (Path(place, name) for name in ("model", "tuned", "cold"))
        network = ("--hidden-size", str(hidden_size), "--seed", str(seed))
        budget = ("--minutes", f"{minutes:g}", "--seed", str(seed))
        report(f"{old.name}: {before:g} minutes")
        train(old, model, *network, "--minutes", f"{before:g}")
        report(f"{new.name}: {minutes:g} minutes from that model, then {minutes:g} without")
        ours = train(new, tuned, *budget, "--from", str(model)).result
        peers = train(new, cold, *network, "--minutes", f"{minutes:g}").result
        figures = [each["validation"]["bits_per_character"] for each in (ours, peers)]
        yield Result(
            f"{new.name}, {minutes:g} minutes: bits per character saved by a start from {old.name}",
            "a cold start",
            spread([figures[1] - figures[0]]),
            0.0,
            unit="bits",
            details={
                "bits_from_the_model": figures[0],
                "bits_from_a_cold_start": figures[1],
                "steps_from_the_model": ours["steps"],
                "steps_from_a_cold_start": peers["steps"],
            },
        )
        rise = _rise(old, model, tuned / "start.safetensors")
        yield nats_more_than("the model", f"{old.name} at step 0", [rise], MOST_RISE)


def _rise(old: Path, model: Path, start: Path) -> float:
    """Nats per character by which the end of the old text costs more with the new symbols."""
    before, after = ricorda.load(model), ricorda.load(start)
    text = "".join(TextReader(before.reading).text((str(old),)))[-HELD_BACK:]
    return after.evaluate(text).nats_per_character - before.evaluate(text).nats_per_character
