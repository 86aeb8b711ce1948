"""What tests read from a card."""

import re
from html.parser import HTMLParser


class Card(HTMLParser):
    """The elements of a card, which must be nested properly, and its text without the styles."""

    def __init__(self, card: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(card)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}


LOADS = r"https?://|@import|url\(|<link|<base|<iframe|<script"
"""What a card must not contain: it loads and runs nothing."""


def checked_card(card: str) -> Card:
    """Read a card and check what holds for each: well nested, harmless, themed."""
    found = Card(card)
    assert found.tags[0] == ("div", {"class": "ricorda"})
    assert not re.search(LOADS, card)
    assert not any(name.startswith("on") for _, each in found.tags for name in each)
    assert "light-dark(" in card
    card.encode()
    return found
