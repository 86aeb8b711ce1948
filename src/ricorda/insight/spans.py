"""Find where a text is inside quotes and brackets, in any language.

A span counts from its opening sign until before its closing one: what is known once the symbol has
been read. Signs without a partner do not count, and neither do spans longer than any quotation of
that kind is likely to be, so that one missing sign does not turn the rest of a text inside out.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST = 2_000  # characters between a sign and its partner
LONGEST_SINGLE = 500  # the same for single quotes and angle brackets, whose signs mean more

_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n")


class Span(NamedTuple):
    """A stretch of a text, from `begin`, its opening sign, to `end`, its closing sign."""

    begin: int
    end: int


def straight_quotes(text: str) -> Iterator[Span]:
    """Find "..." : signs in pairs within a paragraph; one after a backslash is none."""
    for first, last in _paragraphs(text):
        begin: int | None = None
        for found in re.finditer(r'(?<!\\)(?:\\\\)*(")', text[first:last]):
            place = first + found.start(1)
            if begin is None or place - begin > LONGEST:
                begin = place
            else:
                yield Span(begin, place)
                begin = None


def curly_quotes(text: str) -> Iterator[Span]:
    """Find “...”, and „...“ as it is written in German."""
    begin: int | None = None
    low = False
    for found in re.finditer("[“”„]", text):
        sign, place = found[0], found.start()
        closes = begin is not None and (sign == "”" or (sign == "“" and low))
        if closes and begin is not None:
            if place - begin <= LONGEST:
                yield Span(begin, place)
            begin = None
        elif sign != "”":
            begin, low = place, sign == "„"


def guillemets(text: str) -> Iterator[Span]:
    """Find «...», or »...« where the text is written so."""
    opens, closes = ("«", "»") if _points_outwards(text) else ("»", "«")
    yield from _pairs(text, opens, closes)


def corner_quotes(text: str) -> Iterator[Span]:
    """Find 「...」 and 『...』."""
    yield from _pairs(text, "「", "」")
    yield from _pairs(text, "『", "』")


def single_quotes(text: str) -> Iterator[Span]:
    """Find '...' and ‘...’, not apostrophes.

    An opening sign follows no letter and precedes no space; a closing one follows no space and
    precedes no letter. Both stand in one paragraph.
    """
    opening = re.compile(r"(?<!\w)['‘](?=\S)")
    closing = re.compile(r"(?<=\S)['’](?!\w)")
    for first, last in _paragraphs(text):
        place = first
        while begin := opening.search(text, place, last):
            end = closing.search(text, begin.end() + 1, min(last, begin.end() + LONGEST_SINGLE))
            if end:
                yield Span(begin.start(), end.start())
            place = end.end() if end else begin.end()


def brackets(text: str, pair: str) -> Iterator[Span]:
    """Find what stands between two signs such as `()`, also inside each other."""
    open_places: list[int] = []
    for found in re.finditer(f"[{re.escape(pair)}]", text):
        if found[0] == pair[0]:
            open_places.append(found.start())
        elif open_places:
            begin = open_places.pop()
            if found.start() - begin <= LONGEST:
                yield Span(begin, found.start())


def tags(text: str) -> Iterator[Span]:
    """Find <...> as markup has it: a name, / or ! follows the first sign, all in one paragraph."""
    for found in re.finditer(rf"<[\w/!?][^<>]{{0,{LONGEST_SINGLE}}}>", text):
        yield Span(found.start(), found.end() - 1)


def _pairs(text: str, opens: str, closes: str) -> Iterator[Span]:
    """Find spans of which none lies in another; an opening sign takes an unfinished one's place."""
    begin: int | None = None
    for found in re.finditer(f"[{opens}{closes}]", text):
        if found[0] == opens:
            begin = found.start()
        elif begin is not None:
            if found.start() - begin <= LONGEST:
                yield Span(begin, found.start())
            begin = None


def _points_outwards(text: str) -> bool:
    """Whether « opens, as in French and Italian, by which side of each sign the letters are on."""
    outwards = len(re.findall(r"«\w|[\w.,!?…]»", text))
    inwards = len(re.findall(r"»\w|[\w.,!?…]«", text))
    return outwards >= inwards


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text at its empty lines: (begin, end) of each part."""
    begin = 0
    for found in _PARAGRAPH_END.finditer(text):
        yield begin, found.start()
        begin = found.end()
    yield begin, len(text)
