"""Cards of models, scores and other results, as HTML for a notebook.

Texts, labels and file names may be anybody's: they enter a card escaped.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from ricorda.engine.display.clusters import Cluster, clusters
from ricorda.engine.display.coloured_text import (
    bits_of,
    coloured,
    gaps_by_cluster,
    scale,
    shown_label,
)
from ricorda.errors import TextError
from ricorda.pages import escape, figures, fixed, fragment, head, percent, plural, short

if TYPE_CHECKING:
    from ricorda.engine.model import Model
    from ricorda.engine.scoring import Figures, Scores

LONGEST = 2_000
"""Characters of a text that are shown in colours."""

MOST = 10
"""Symbols or labels whose probabilities are shown."""

LEAST = 0.001
"""Probability from which on more than three are shown."""

Tile = tuple[str, str]


def model_words(model: "Model") -> str:
    """Describe a network: "LSTM, 2 x 256 units, 65 characters, 1,234,567 parameters"."""
    configuration = model.configuration
    return (
        f"{configuration.cell.upper()}, {configuration.num_layers} x {configuration.hidden_size} "
        f"units, {_symbols(model)}, {configuration.parameters:,} parameters"
    )


def _symbols(model: "Model") -> str:
    vocabulary = model.vocabulary
    return f"{vocabulary.size - (vocabulary.boundary is not None):,} {vocabulary.kind}"


def model_card(model: "Model") -> str:
    """Show a model: its network, the text that it learned, its figures."""
    configuration, training = model.configuration, model.training
    layers = plural(configuration.num_layers, "layer")
    units = plural(configuration.hidden_size, "unit")
    embedding = configuration.embedding_size
    read = "one-hot input" if embedding == "onehot" else f"embedding of {embedding}"
    tiles = [
        *_validation(training.get("validation")),
        ("parameters", short(configuration.parameters)),
        (f"different {model.vocabulary.kind}", _symbols(model).split()[0]),
    ]
    notes = [_origin(training.get("texts")), _labels(model.vocabulary.labels)]
    return fragment(
        head(f"{configuration.cell.upper()}, {layers} of {units}", f"a model of ricorda, {read}")
        + figures(tiles)
        + _notes(notes)
    )


def _validation(found: object) -> list[Tile]:
    """The validation figure that a model file has, if it has one."""
    value = found.get("bits_per_character") if isinstance(found, dict) else None
    if not isinstance(value, int | float):
        return []
    return [("bits per character, validation", fixed(value, 3))]


def _origin(texts: object) -> str:
    """Name the texts that a model learned, as recorded in its file."""
    if not isinstance(texts, list) or not texts:
        return ""
    names = ", ".join(map(str, texts[:3])) + (", …" if len(texts) > 3 else "")
    return f"It learned {escape(names)}."


def _labels(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    names = ", ".join(labels[:MOST]) + (", …" if len(labels) > MOST else "")
    return f"{plural(len(labels), 'label')}: {escape(names)}"


def _notes(notes: Iterable[str]) -> str:
    return "".join(f'<div class="muted">{note}</div>' for note in notes if note)


def figures_words(found: "Figures") -> str:
    """Say in a line how well a text was predicted."""
    return (
        f"{fixed(found.bits_per_character, 3)} bits per character, "
        f"{plural(found.characters, 'character')}, {found.protocol}"
    )


def figures_card(found: "Figures") -> str:
    """Show how well a text was predicted."""
    documents = "" if found.documents is None else f"{plural(found.documents, 'document')}, "
    facts = f"{documents}{plural(found.characters, 'character')}, {escape(found.protocol)}"
    tiles = [
        ("bits per character", fixed(found.bits_per_character, 3)),
        ("nats per character", fixed(found.nats_per_character, 3)),
        ("bits per byte", fixed(found.bits_per_byte, 3)),
        ("perplexity", fixed(found.perplexity, 2)),
    ]
    unseen = (
        f"Not counted: {plural(found.unseen, 'character')} that the model never saw, and "
        f"{found.left_out:,} that follow them."
        if found.unseen
        else ""
    )
    accuracy = (
        f"Predicted label right for {percent(found.accuracy.overall)} of "
        f"{plural(found.accuracy.documents, 'document')}."
        if found.accuracy
        else ""
    )
    return fragment(head("Figures", facts) + figures(tiles) + _notes([unseen, accuracy]))


def scores_words(scores: "Scores") -> str:
    """Say in a line how surprising a text was."""
    try:
        bits = f"{fixed(scores.figures.bits_per_character, 3)} bits per character"
    except TextError:
        bits = "nothing was predicted"
    return f"{plural(len(scores.ids), 'symbol')}, {bits}"


def scores_card(scores: "Scores") -> str:
    """Show a text in the colours of its surprisal; of a long one its beginning."""
    found = list(islice(clusters(scores.ids, scores.vocabulary), LONGEST + 1))
    is_long = len(found) > LONGEST
    found = found[:LONGEST]
    end = found[-1].end if found else 0
    gaps = [gap for gap in scores.gaps if gap.before < end or not is_long]
    bits = bits_of(found, scores.nats[:end])
    text = "".join(
        element
        for _, element in coloured(
            found,
            bits,
            gaps_by_cluster(found, gaps),
            lambda place: f' title="{_reading(scores, found[place], float(bits[place]))}"',
        )
    )
    rest = (
        f"The first {LONGEST:,} characters; ricorda.insight.surprisal_page makes a page of the "
        "whole text."
        if is_long
        else ""
    )
    return fragment(
        f"{_scores_head(scores)}{scale('bits of surprise')}"
        f'<div class="symbols" dir="auto">{text}</div>{_notes([rest])}'
    )


def _scores_head(scores: "Scores") -> str:
    """The figures of a scored text, if anything was predicted."""
    title = "Surprisal, adaptive" if scores.adaptive else "Surprisal"
    try:
        found = scores.figures
    except TextError:
        return head(title, "nothing was predicted")
    tiles = [
        ("bits per character", fixed(found.bits_per_character, 3)),
        ("perplexity", fixed(found.perplexity, 2)),
        ("characters", f"{found.characters:,}"),
    ]
    unseen = f"{plural(found.unseen, 'character')} never seen in training" if found.unseen else ""
    return head(title, unseen) + figures(tiles)


def _reading(scores: "Scores", cluster: Cluster, bits: float) -> str:
    """What the pointer reads out over a character."""
    if math.isnan(bits):
        return "not predicted"
    expected = scores.alternatives(cluster.begin)[:1]
    words = "".join(
        f"; expected {shown_label(label)} {percent(chance)}" for label, chance in expected
    )
    return escape(f"{bits:.2f} bits{words}")


def chances_words(chances: Iterable[tuple[str, float]]) -> str:
    """Say in a line what is most likely: "'e' 23 %, 'a' 12 %"."""
    return ", ".join(f"{label!r} {percent(chance)}" for label, chance in islice(chances, 3))


def chances_card(title: str, facts: str, chances: Sequence[tuple[str, float]]) -> str:
    """Show the most likely symbols or labels as bars, at least three."""
    shown = [each for place, each in enumerate(chances[:MOST]) if place < 3 or each[1] >= LEAST]
    rows = "".join(
        f'<bdi>{escape(shown_label(label))}</bdi><span class="bar-track"><span class="bar-fill" '
        f'style="width: {100 * chance:.1f}%"></span></span><span class="chance">{percent(chance)}'
        "</span>"
        for label, chance in shown
    )
    return fragment(f'{head(title, escape(facts))}<div class="bars">{rows}</div>')
