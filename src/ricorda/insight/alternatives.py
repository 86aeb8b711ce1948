"""How surprising each symbol was, and what the model would have written instead."""

import math
from dataclasses import dataclass

from ricorda.arguments import checked
from ricorda.engine import Model, score
from ricorda.insight.units import Text, known_text


@dataclass(frozen=True, slots=True)
class Surprise:
    """One symbol of a text and what the model expected in its place."""

    symbol: str
    """As a person may read it, line ends and odd bytes spelled out."""

    nats: float | None
    """Its surprisal; None for the first symbol, which nothing comes before, and for the character
    after one that the model never saw."""

    alternatives: tuple[tuple[str, float], ...]
    """The likeliest symbols and their probabilities, the likeliest first."""

    @property
    def bits(self) -> float | None:
        """Its surprisal by logarithms of base 2."""
        return None if self.nats is None else self.nats / math.log(2)


@checked
def alternatives(model: Model, text: Text, top: int = 5) -> list[Surprise]:
    """List every symbol of a text with its surprisal and the `top` likeliest ones.

    `ricorda score` prints the same. Characters that the model never saw are left out, with a
    warning. Raises TextError if none is left, ConfigurationError if `top` is below 0.
    """
    known = known_text(model, text)
    scores = score(model.backend, model.vocabulary, known.ids, top, known.gaps)
    return [
        Surprise(symbol, None if math.isnan(nats) else nats, tuple(scores.alternatives(place)))
        for place, (symbol, nats) in enumerate(
            zip(scores.symbols, scores.nats.tolist(), strict=True)
        )
    ]
