"""The activations of units over a text as a heat map, as HTML for a notebook."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.backend import Array
from ricorda.engine.display.coloured_text import shown_label
from ricorda.pages import escape, fragment, head, plural
from ricorda.pages.picture import picture_address

ROWS = 24
"""Units that are shown."""

COLUMNS = 200
"""Symbols that are shown."""

CELL = (12, 14)
"""Width and height of a cell in pixels, as fragment.css has them."""

POSITIVE, NEGATIVE = (232, 126, 34), (38, 132, 214)
"""Red, green and blue, of values of 1 and -1; smaller ones let more of the ground through."""


def heat_map(symbols: Sequence[str], name: str, values: Array) -> str:
    """Show values (T, L, H) of the units that vary most over the text, by name such as `hidden`."""
    length, layers, units = values.shape
    shown = values[:COLUMNS].reshape(min(length, COLUMNS), layers * units)  # (T, L H)
    chosen = np.sort(np.argsort(-shown.std(axis=0), kind="stable")[:ROWS])
    cells = shown[:, chosen].T  # (rows, T)
    largest = float(np.abs(cells).max())
    width, height = CELL[0] * cells.shape[1], CELL[1] * len(chosen)
    names = "".join(f"<div>{unit // units}:{unit % units}</div>" for unit in chosen.tolist())
    columns = "".join(f"<span>{escape(_column(symbol))}</span>" for symbol in symbols[:COLUMNS])
    words = f"{name} of {plural(len(chosen), 'unit')}, from {cells.min():.2f} to {cells.max():.2f}"
    return fragment(
        head("Trace", f"{plural(length, 'symbol')}, {plural(layers, 'layer')} of {units:,} units")
        + f'<div class="muted">{_explained(name, len(chosen), length)}</div>'
        f'<div class="heat"><div class="names">{names}</div><div class="field">'
        f'<img src="{picture_address(_pixels(cells, largest))}" width="{width}" height="{height}" '
        f'style="width: {width}px; height: {height}px" alt="{escape(words)}">'
        f'<div class="columns">{columns}</div></div></div>'
    )


def _explained(name: str, rows: int, length: int) -> str:
    beginning = f"The first {COLUMNS} symbols. " if length > COLUMNS else ""
    return (
        f"{beginning}<code>trace[{escape(repr(name))}]</code> of the {plural(rows, 'unit')} that "
        "vary most, by layer:unit. Orange is positive, blue negative."
    )


def _pixels(cells: Array, largest: float) -> NDArray[np.uint8]:
    """Colour values (rows, T) by their sign; the opacity is their size."""
    pixels = np.empty((*cells.shape, 4), np.uint8)
    pixels[..., :3] = np.where((cells > 0)[..., np.newaxis], POSITIVE, NEGATIVE)
    pixels[..., 3] = np.round(255 * np.abs(cells) / largest) if largest else 0
    return pixels


def _column(symbol: str) -> str:
    """A symbol in the width of one character."""
    label = symbol if symbol == " " else shown_label(symbol)
    return label if len(label) == 1 else "▪"
