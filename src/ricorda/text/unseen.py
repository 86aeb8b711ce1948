"""Characters that a model never saw: where they stood in a text, and how they are reported.

A model has no probability for a character that it never saw, and the network cannot read it: its
state goes from the character before to the character after. What the model predicts for the
character after is therefore an artefact, and is left out of figures together with the unseen ones.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import TextError, UnseenCharactersWarning

if TYPE_CHECKING:
    from ricorda.text.vocabulary import Ids, OnUnknown, Vocabulary

AnyIds: TypeAlias = NDArray[np.integer[Any]]
"""Ids in any type of integers."""

MOST_QUOTED = 10

MOST_PLACES = 1000
"""Runs of unseen characters of a long text whose places are kept."""


def quoted(characters: Iterable[str], most: int = MOST_QUOTED) -> str:
    """List distinct characters for a message: `'a', 'b' and '\\n'`."""
    found = [repr(each) for each in dict.fromkeys(characters)]
    if len(found) > most:
        return f"{', '.join(found[:most])} and {len(found) - most} more"
    return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]])) if found else "nothing"


def no_symbols_error() -> TextError:
    """Return the error of a text of which nothing is left to read."""
    return TextError("expected a text of at least one symbol that the model knows, got none")


@dataclass(frozen=True, slots=True)
class Gap:
    """Unseen characters in a row."""

    before: int
    """The number of the known symbol that follows them; the text's length at its end."""

    characters: str

    document: int | None = None
    """The number of the document, from 1, where there are several."""

    def as_json(self) -> dict[str, int | str]:
        """Give what the commands print with --json."""
        document = {} if self.document is None else {"document": self.document}
        return {**document, "before": self.before, "characters": self.characters}


@dataclass
class Unseen:
    """The unseen characters of a text, collected while the text is encoded piece by piece."""

    count: int = 0
    """How many there are."""

    symbols: int = 0
    """How many known symbols were encoded so far."""

    gaps: list[Gap] = field(default_factory=list)
    """Where they stand, in order; `forget` shortens it."""

    first: list[Gap] = field(default_factory=list)
    """The first of the gaps, MOST_PLACES at most, whatever is forgotten."""

    _distinct: dict[str, None] = field(default_factory=dict)

    @property
    def characters(self) -> str:
        """Each of them once, in order of appearance."""
        return "".join(self._distinct)

    def encode(self, vocabulary: "Vocabulary", text: str, on_unknown: "OnUnknown") -> "Ids":
        """Encode a piece of the text and note what is left out of it.

        Raises VocabularyError for an unseen character if `on_unknown` is "error".
        """
        ids = vocabulary.encode(text, on_unknown)
        is_whole = vocabulary.kind == "characters" and len(ids) == len(text)
        if not is_whole and on_unknown == "skip":
            for gap in _gaps(vocabulary, text):
                self._add(Gap(self.symbols + gap.before, gap.characters))
        self.symbols += len(ids)
        return ids

    def add(self, other: "Unseen", document: int) -> None:
        """Count what was left out of a document too, and note its first places."""
        self.count += other.count
        self._distinct.update(other._distinct)
        self.first += (replace(gap, document=document) for gap in other.first)
        del self.first[MOST_PLACES:]

    def forget(self, end: int) -> None:
        """Forget the positions of the characters before the symbol `end`, but not their count."""
        self.gaps = [gap for gap in self.gaps if gap.before >= end]

    def describe(self, what: str) -> str:
        """Return one line that says what was left out; `what` names the text."""
        characters = f"{self.count:,} character{'' if self.count == 1 else 's'}"
        found = quoted(self._distinct)
        return f"left out {characters} of {what} that the model never saw: {found}"

    def warn(self, what: str, *, stacklevel: int) -> None:
        """Warn of what was left out, if anything was."""
        if self.count:
            warnings.warn(self.describe(what), UnseenCharactersWarning, stacklevel=stacklevel + 1)

    def _add(self, gap: Gap) -> None:
        self.count += len(gap.characters)
        self._distinct.update(dict.fromkeys(gap.characters))
        for gaps in (self.gaps, self.first):
            if gaps and gaps[-1].before == gap.before:  # pieces may cut a run
                gaps[-1] = Gap(gap.before, gaps[-1].characters + gap.characters)
            elif gaps is self.gaps or len(gaps) < MOST_PLACES:
                gaps.append(gap)


@dataclass(frozen=True, eq=False)
class KnownText:
    """What a model reads of a text, and what is left out."""

    ids: AnyIds
    """The symbols, (n,)."""

    gaps: tuple[Gap, ...] = ()
    """The characters that were left out."""

    def first(self, count: int | None) -> "KnownText":
        """Return the first symbols, and what was left out before them."""
        ids = self.ids[:count]
        return KnownText(ids, tuple(gap for gap in self.gaps if gap.before < len(ids)))

    def counted(self, vocabulary: "Vocabulary") -> NDArray[np.bool_]:
        """Say which symbols count in figures, (n,): all but the characters after unseen ones."""
        return ~after_gaps(self.ids, self.gaps, vocabulary)


def after_gaps(
    ids: AnyIds, gaps: Iterable[Gap], vocabulary: "Vocabulary", begin: int = 0
) -> NDArray[np.bool_]:
    """Say which of some symbols, (n,), the first of them number `begin`, come after a gap.

    In a vocabulary of bytes they are all bytes of the character after it.
    """
    found = np.zeros(len(ids), np.bool_)
    places = np.array([gap.before - begin for gap in gaps], np.int64)
    found[places[(places >= 0) & (places < len(ids))]] = True
    if vocabulary.kind == "bytes" and found.any():
        continues = (ids & 0xC0) == 0x80
        for _ in range(3):  # a character has up to four bytes
            found[1:] |= found[:-1] & continues[1:]
    return found


def _gaps(vocabulary: "Vocabulary", text: str) -> Iterator[Gap]:
    """Find the runs of unseen characters in a text."""
    places = vocabulary.unknown_places(text)
    if not len(places):
        return
    breaks = np.flatnonzero(np.diff(places) > 1) + 1
    begins, ends = places[np.r_[0, breaks]], places[np.r_[breaks - 1, len(places) - 1]] + 1
    place = done = 0
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        known = text[done:begin]
        place += len(vocabulary.encode(known))
        yield Gap(place, text[begin:end])
        done = end
