"""A text as HTML, each character in the colour of its surprisal.

The styles are in ricorda/pages/document.css.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.display.clusters import Cluster
from ricorda.engine.sampling import Probabilities
from ricorda.pages import escape
from ricorda.text.unseen import Gap
from ricorda.text.vocabulary import readable

LEVELS = "abcdefghij"  # the classes of 1, 2 ... 10 bits and more; less than 1 has none
UNDERLINED_FROM = 8  # bits; the second sign beside the colour

Attributes = Callable[[int], str]
"""Gives the attributes of the character with a number, as HTML: `" id=at7"`, or nothing."""


def bits_of(found: Sequence[Cluster], nats: Probabilities) -> Probabilities:
    """Return the surprisal of each character in bits; NaN where one of its symbols has none."""
    bits: Probabilities = np.add.reduceat(nats, _begins(found)) / np.log(2)
    return bits


def gaps_by_cluster(found: Sequence[Cluster], gaps: Iterable[Gap]) -> dict[int, str]:
    """Return unseen characters by the number of the character before which they stand."""
    begins = _begins(found)
    placed: dict[int, str] = {}
    for gap in gaps:
        place = int(np.searchsorted(begins, gap.before))
        placed[place] = placed.get(place, "") + gap.characters
    return placed


def _begins(found: Sequence[Cluster]) -> NDArray[np.int64]:
    return np.fromiter((cluster.begin for cluster in found), np.int64, len(found))


def scale(name: str) -> str:
    """Make what the colours mean, in bits."""
    steps = "".join(
        f'<li class="{level}">{bits}{"+" if bits == len(LEVELS) else ""}</li>'
        for bits, level in enumerate(LEVELS, start=1)
    )
    return (
        f'<div class="scale"><span>{name}, at least</span>'
        f'<ol aria-label="{name}, at least"><li>0</li>{steps}</ol></div>'
    )


def coloured(
    found: Sequence[Cluster], bits: Probabilities, gaps: dict[int, str], attributes: Attributes
) -> Iterator[tuple[Cluster | None, str]]:
    """Yield each character and its element, and where unseen ones stand, None and theirs."""
    levels = np.minimum(np.nan_to_num(bits), len(LEVELS)).astype(np.int64).tolist()
    for place, (cluster, level) in enumerate(zip(found, levels, strict=True)):
        if place in gaps:
            yield None, _unseen(gaps[place])
        yield cluster, _element(cluster, level, attributes(place))
    if len(found) in gaps:
        yield None, _unseen(gaps[len(found)])


def _unseen(characters: str) -> str:
    """Unseen characters where they stood, each by itself."""
    return "".join(
        f'<u class=gap title="never seen in training">{escape(spelled(character))}</u>'
        + ("\n" if character == "\n" else "")
        for character in characters
    )


def _element(cluster: Cluster, level: int, attributes: str) -> str:
    """One character: `<i class=c>e</i>`."""
    classes = [LEVELS[level - 1]] if level else []
    if cluster.text == "\n":
        classes.append("end")
    elif cluster.spelled_out:
        classes.append("spelled")
    elif unicodedata.category(cluster.text[0]).startswith("M"):
        classes.append("alone")
    name = (
        f' class="{" ".join(classes)}"'
        if len(classes) > 1
        else f" class={classes[0]}"
        if classes
        else ""
    )
    symbols = cluster.end - cluster.begin
    size = f" data-n={symbols}" if symbols > 1 else ""
    return f"<i{name}{size}{attributes}>{escape(cluster.text)}</i>"


def spelled(character: str) -> str:
    """A character as its name where it could not be seen, on a base where it is a mark."""
    return shown_label(readable(character))


def shown_label(label: str) -> str:
    """A symbol's label where it stands alone."""
    if unicodedata.category(label[0]).startswith("M"):
        return "◌" + label
    return {" ": "␣", "\\n": "↵", "\\t": "⇥"}.get(label, label)
