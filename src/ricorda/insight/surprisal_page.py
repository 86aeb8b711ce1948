"""How surprising each symbol of a text is, and a page that colours its characters by it.

One element per character, as light as can be; the figures behind it lie in one block of data that
surprisal_page.js reads where the pointer or the keyboard asks.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.engine import Model, score
from ricorda.engine.display.clusters import Cluster, clusters
from ricorda.engine.display.coloured_text import (
    UNDERLINED_FROM,
    bits_of,
    coloured,
    gaps_by_cluster,
    scale,
    shown_label,
    spelled,
)
from ricorda.engine.labels import label_number
from ricorda.engine.sampling import Probabilities
from ricorda.engine.scoring import Scores
from ricorda.errors import TextError
from ricorda.insight.units import Text, known_text
from ricorda.pages import (
    Axis,
    Chart,
    Series,
    chart_script,
    data_block,
    document,
    escape,
    figures,
    fixed,
    line_chart,
    percent,
    plural,
    resource,
)
from ricorda.text.unseen import Gap
from ricorda.text.vocabulary import BOUNDARY_LABEL

PLACES = 12  # most surprising ones that are listed
APART = 10  # characters between two of them: a strange word is listed once
ALTERNATIVES = 5
SECTION = 2_000  # characters, or more until the line ends
LONG = 10_000  # characters, from which on a browser lays out only the sections that it shows
STRETCHES = 150  # points of the curve along the text
SHORTEST_CURVE = 400  # characters

_BEFORE, _AFTER = 24, 12  # characters shown around a surprising place
_UNKNOWN = 65_535  # hundredths of a bit: no surprisal, as of the first symbol


@dataclass(frozen=True, slots=True)
class Surprise:
    """One symbol of a text and what the model expected in its place."""

    symbol: str
    """As a person may read it, line ends and odd bytes spelled out."""

    nats: float | None
    """Its surprisal; None for the first symbol, which nothing comes before, and for the character
    after one that the model never saw."""

    alternatives: tuple[tuple[str, float], ...]
    """The most likely symbols and their probabilities, the most likely first."""

    @property
    def bits(self) -> float | None:
        """Its surprisal by logarithms of base 2."""
        return None if self.nats is None else self.nats / math.log(2)


@checked
def alternatives(
    model: Model, text: Text, top: int = 5, *, label: str | None = None
) -> list[Surprise]:
    """List every symbol of a text with its surprisal and the `top` most likely ones.

    `ricorda score` prints the same. For a model of documents the text is one document, `label` is
    its label, and its end, the boundary, is the last symbol. Characters that the model never saw
    are left out, with a warning. Raises TextError if none is left, ConfigurationError if `top` is
    below 0 or the model has no such label.
    """
    known = known_text(model, text)
    ids, gaps = known.ids, known.gaps
    if model.vocabulary.boundary is not None:  # `score` adds the boundaries around a document
        ids = ids[1:]
        gaps = tuple(Gap(gap.before - 1, gap.characters) for gap in gaps)
    number = label_number(model.vocabulary, label)
    scores = score(model.backend, model.vocabulary, ids, top, gaps, label=number)
    return [
        Surprise(symbol, None if math.isnan(nats) else nats, tuple(scores.alternatives(place)))
        for place, (symbol, nats) in enumerate(
            zip(scores.symbols, scores.nats.tolist(), strict=True)
        )
    ]


@checked
def surprisal_page(scores: Scores, title: str) -> str:
    """Make the page of a scored text; `title` says which text it is.

    What the model would have written instead is shown as far as scores have alternatives. The
    scores of an adaptive reader are named so.
    """
    found = list(clusters(scores.ids, scores.vocabulary))
    bits = bits_of(found, scores.nats)
    gaps = gaps_by_cluster(found, scores.gaps)
    places = _most_surprising(bits)
    body = (
        f"<main>{_heading(scores, title)}{_curve(scores, bits)}"
        f'<div class="columns"><section class="text-part"><h2>The text</h2>{_legend(scores)}'
        f'<div class="symbols"><div id="text" class="card{" long" if len(found) > LONG else ""}">'
        f"{''.join(_text(found, bits, set(places), gaps))}</div></div></section>"
        f'<div class="side">{_inspector()}{_places(scores, found, bits, places, gaps)}</div>'
        "</div></main>"
        f"{data_block('figures', _data(scores))}"
    )
    return document(
        f"{'Adaptive surprisal' if scores.adaptive else 'Surprisal'} of {title}",
        body,
        style=resource(__package__, "surprisal_page.css"),
        script=chart_script(__package__, "surprisal_page.js"),
    )


def _heading(scores: Scores, title: str) -> str:
    """The figures of the whole text."""
    symbol = scores.vocabulary.kind.removesuffix("s")
    eyebrow = "How surprising a text is" + (" to an adaptive reader" if scores.adaptive else "")
    learns = (
        " It learned from what it had read: compare these figures with adaptive figures only."
        if scores.adaptive
        else ""
    )
    header = (
        f'<header><p class="eyebrow">{eyebrow}</p><h1>{escape(title)}</h1>'
        '<p class="muted">A model read this text from the beginning and gave each '
        f"{symbol} a probability before reading it. The lower the probability, the more bits of "
        f"surprise.{learns}</p>"
    )
    try:
        found = scores.figures
    except TextError:
        return f'{header}<p class="muted">Nothing was predicted.</p></header>'
    tiles = (
        (_named(scores, "bits per character"), fixed(found.bits_per_character, 3)),
        (_named(scores, "bits per byte"), fixed(found.bits_per_byte, 3)),
        (_named(scores, "perplexity"), fixed(found.perplexity, 2)),
        ("characters", f"{found.characters:,}"),
    )
    return f"{header}{figures(tiles)}</header>"


def _named(scores: Scores, figure: str) -> str:
    """The name of a figure, with its protocol where that is not the usual one."""
    return f"{figure}, adaptive" if scores.adaptive else figure


def _curve(scores: Scores, bits: Probabilities) -> str:
    """The mean surprisal along a longer text."""
    if len(bits) < SHORTEST_CURVE:
        return ""
    edges = np.linspace(0, len(bits), min(STRETCHES, len(bits) // 20) + 1).astype(np.int64)
    means = [
        (float(begin + end) / 2, float(np.nanmean(bits[begin:end])))
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if not np.isnan(bits[begin:end]).all()
    ]
    chart = Chart(
        unit=_named(scores, "bits per character") + ", mean of short passages",
        series=[Series("surprisal", means)],
        axes=[Axis("place", "count")],
        readings=[
            (place, f"around character {place:,.0f}: {mean:.2f} bits") for place, mean in means
        ],
        from_zero=True,
        size="low",
    )
    return f'<section class="card"><h2>Along the text</h2>{line_chart(chart)}</section>'


def _legend(scores: Scores) -> str:
    """What the colours mean, in numbers, and how unseen characters are marked."""
    count = sum(len(gap.characters) for gap in scores.gaps)
    unseen = (
        f'<p class="muted small"><u class=gap>?</u> {plural(count, "character")} that the model '
        "never saw. It does not read them; they and the character after each, whose surprisal "
        "would be an artefact, are excluded from all figures.</p>"
        if count
        else ""
    )
    end = (
        f'<p class="muted small">{BOUNDARY_LABEL} is the end of the document. The model predicts '
        "it like a character. Its bits count, but it is not counted as a character.</p>"
        if scores.vocabulary.boundary is not None
        else ""
    )
    return (
        f"{scale(_named(scores, 'bits of surprise'))}"
        '<p class="muted small">1 bit: the model gave it a chance of 1 in 2; 5 bits: 1 in 32; '
        f"10 bits: 1 in 1,024. {UNDERLINED_FROM} bits or more are also underlined.</p>"
        f"{end}{unseen}"
    )


def _text(
    found: Sequence[Cluster], bits: Probabilities, listed: set[int], gaps: dict[int, str]
) -> Iterator[str]:
    """Every character in an element of its own, in sections that end with a line."""
    pieces: list[str] = []
    for cluster, element in coloured(
        found, bits, gaps, lambda place: f" id=at{place}" if place in listed else ""
    ):
        pieces.append(element)
        if cluster is not None and len(pieces) >= SECTION and cluster.text.endswith("\n"):
            yield f"<div>{''.join(pieces)}</div>"
            pieces = []
    if pieces:
        yield f"<div>{''.join(pieces)}</div>"


def _inspector() -> str:
    """Where surprisal_page.js shows one character's figures."""
    return (
        '<aside id="inspector" class="card" aria-label="One character" hidden>'
        '<div class="content"><p class="muted">Point at a character, tap it, or go through the '
        "text with the arrow keys.</p></div>"
        '<p id="notice" class="unseen" role="status"></p></aside>'
    )


def _most_surprising(bits: Probabilities) -> list[int]:
    """The places with the most bits, the most surprising first, no two of them close together."""
    found: list[int] = []
    for place in np.argsort(-np.nan_to_num(bits, nan=-1.0), kind="stable").tolist():
        if len(found) == PLACES or np.isnan(bits[place]):
            break
        if all(abs(place - other) >= APART for other in found):
            found.append(place)
    return found


def _places(
    scores: Scores,
    found: Sequence[Cluster],
    bits: Probabilities,
    places: Sequence[int],
    gaps: dict[int, str],
) -> str:
    """List the most surprising places, each with what stands around it and what was likelier."""
    items = []
    for place in places:
        before = _around(found, range(max(0, place - _BEFORE), place), gaps).lstrip()
        after = _around(found, range(place + 1, min(len(found), place + 1 + _AFTER)), gaps)
        items.append(
            f'<li><a href="#at{place}" dir="auto">{escape(before)}'
            f"<mark>{escape(_in_a_line(found[place]))}</mark>{escape(after)}</a>"
            f'<span class="muted">{float(bits[place]):.1f} bits{_expected(scores, found[place])}'
            "</span></li>"
        )
    if not items:
        return ""
    heading = _named(scores, "Most surprising")
    return f'<section class="places"><h2>{heading}</h2><ol>{"".join(items)}</ol></section>'


def _around(found: Sequence[Cluster], places: range, gaps: dict[int, str]) -> str:
    """Characters in a row, unseen ones where they stood."""
    return "".join(
        "".join(map(spelled, gaps.get(place, ""))) + _in_a_line(found[place]) for place in places
    )


def _expected(scores: Scores, cluster: Cluster) -> str:
    """What the model expected instead."""
    place = cluster.begin + int(np.argmax(scores.nats[cluster.begin : cluster.end]))
    alternatives = scores.alternatives(place)
    if not alternatives:
        return ""
    label, probability = alternatives[0]
    return f"; expected <bdi>{escape(shown_label(label))}</bdi> {percent(probability)}"


def _in_a_line(cluster: Cluster) -> str:
    """A character where a line must not break."""
    return cluster.text.replace("\n", "↵").replace("\t", "⇥")


def _data(scores: Scores) -> dict[str, Any]:
    """Give what the inspector shows, by symbol, in compact arrays.

    `symbols` (n, 1 + N): the symbol and its N alternatives, numbers into `labels`; `chances` (n, N)
    in 65,535ths; `bits` (n,) in hundredths. Little-endian, in base64.
    """
    count = min(ALTERNATIVES, scores.alternative_ids.shape[1])
    shown = np.column_stack([scores.ids, scores.alternative_ids[:, :count]])
    used, numbers = np.unique(shown, return_inverse=True)
    width = 1 if len(used) <= 2**8 else 2 if len(used) <= 2**16 else 4
    chances = np.nan_to_num(scores.alternative_probabilities[:, :count]) * 65_535
    hundredths = np.minimum(np.round(scores.nats / np.log(2) * 100), _UNKNOWN - 1)
    return {
        "labels": [shown_label(scores.vocabulary.label(symbol)) for symbol in used.tolist()],
        "alternatives": count,
        "width": width,
        "symbols": _base64(numbers.reshape(-1), f"<u{width}"),
        "chances": _base64(np.round(chances).reshape(-1), "<u2"),
        "bits": _base64(np.nan_to_num(hundredths, nan=_UNKNOWN), "<u2"),
    }


def _base64(numbers: NDArray[Any], kind: str) -> str:
    return base64.b64encode(numbers.astype(kind).tobytes()).decode()
