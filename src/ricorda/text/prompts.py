"""Read later texts as training read its text: prompts in memory, and files without encoding them.

The byte order mark at the beginning is dropped, line ends are those of training, and a character
that the model never saw is spelled in its other canonical Unicode form (composed or decomposed)
where the model knows that form.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ricorda.arguments import checked
from ricorda.text.reading import Newlines, read_bytes, read_text
from ricorda.text.reading_settings import DEFAULTS, ReadingSettings
from ricorda.text.sources import Sources
from ricorda.text.vocabulary import Vocabulary

BYTE_ORDER_MARK = "\ufeff"
LONGEST_CLUSTER = 256
"""Combining characters that are kept together with the character before them."""


@checked
def read_prompt(
    text: str, vocabulary: Vocabulary, settings: ReadingSettings, *, drop_mark: bool = True
) -> str:
    """Return a text as training would have read it; characters may stay unknown."""
    return PromptReader(vocabulary, settings, drop_mark=drop_mark).read(text, final=True)


class PromptReader:
    """Reads a text piece by piece as `read_prompt` reads a whole one."""

    def __init__(
        self, vocabulary: Vocabulary, settings: ReadingSettings, *, drop_mark: bool = True
    ) -> None:
        """Begin a text for a model with this vocabulary, trained with these settings."""
        self._vocabulary = vocabulary
        self._normalises = settings.line_ends(vocabulary.kind) == "normalise"
        self._mark_may_come = drop_mark and not settings.takes_raw_bytes(vocabulary.kind)
        self._held = ""
        self._ready = ""  # the beginning of a word, of which more may come

    def read(self, piece: str, *, final: bool = False) -> str:
        """Return what is ready so far.

        The last character waits for combining characters, and a word for its end where symbols may
        be several characters long.
        """
        text = self._held + piece
        cut = len(text) if final else _last_cluster(text)
        text, self._held = text[:cut], text[cut:]
        if self._mark_may_come and text:
            self._mark_may_come = False
            text = text.removeprefix(BYTE_ORDER_MARK)
        if self._normalises and "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = self._ready + respelled(text, self._vocabulary)
        cut = len(text) if final else self._vocabulary.settled(text)
        self._ready = text[cut:]
        return text[:cut]

    def read_bytes(self, piece: bytes, *, final: bool = False) -> bytes:
        """Do the same with the bytes of a vocabulary of bytes."""
        self._mark_may_come = False
        return self.read(piece.decode("latin-1"), final=final).encode("latin-1")


def respelled(text: str, vocabulary: Vocabulary) -> str:
    """Spell unknown characters in the canonical Unicode form that a vocabulary knows, if any.

    Those that are rare to it count as unknown. Only unknown characters change, with the combining
    characters around them: a vocabulary may hold both forms of a letter.
    """
    if text.isascii():
        return text
    clusters: list[tuple[int, int]] = []
    done = 0
    for place in vocabulary.unwritable_places(text).tolist():
        if place >= done:
            begin, done = _cluster_begin(text, place, done), _cluster_end(text, place + 1)
            clusters.append((begin, done))
    spellings = _best_spellings({text[begin:end] for begin, end in clusters}, vocabulary)
    parts: list[str] = []
    done = 0
    for begin, end in clusters:
        parts += [text[done:begin], spellings.get(text[begin:end], text[begin:end])]
        done = end
    return "".join([*parts, text[done:]])


def _best_spellings(clusters: Iterable[str], vocabulary: Vocabulary) -> dict[str, str]:
    """Return the spelling with fewer unknown characters of each cluster that has one.

    The vocabulary looks all of them up at once, since a text may have a million clusters.
    """
    others = [
        (cluster, spelling)
        for cluster in clusters
        for spelling in (unicodedata.normalize(form, cluster) for form in ("NFC", "NFD"))
        if spelling != cluster
    ]
    given = [cluster for cluster, _ in others]
    fewest = dict(zip(given, _unknown_counts(given, vocabulary), strict=True))
    best: dict[str, str] = {}
    counts = _unknown_counts([spelling for _, spelling in others], vocabulary)
    for (cluster, spelling), count in zip(others, counts, strict=True):
        if count < fewest[cluster]:
            best[cluster], fewest[cluster] = spelling, count
    return best


def _unknown_counts(texts: Sequence[str], vocabulary: Vocabulary) -> list[int]:
    """Return how many unknown characters each text has."""
    ends = np.cumsum([0, *map(len, texts)])
    found = np.searchsorted(vocabulary.unwritable_places("".join(texts)), ends)
    counts: list[int] = np.diff(found).tolist()
    return counts


def _cluster_begin(text: str, place: int, lowest: int) -> int:
    """Return where the character begins that the one at `place` may combine with."""
    lowest = max(lowest, place - LONGEST_CLUSTER)
    while place > lowest and _combines(text[place]):
        place -= 1
    return place


def _cluster_end(text: str, place: int) -> int:
    """Return the place after the combining characters that follow."""
    highest = min(len(text), place + LONGEST_CLUSTER)
    while place < highest and _combines(text[place]):
        place += 1
    return place


def _last_cluster(text: str) -> int:
    """Return where the last character begins that later pieces may change."""
    if not text:
        return 0
    begin = _cluster_begin(text, len(text) - 1, 0)
    return begin - 1 if text[max(0, begin - 1) : begin + 1] == "\r\n" else begin


def _combines(character: str) -> bool:
    """Return whether a character may combine with the one before: a mark, a vowel of Hangul."""
    return unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff"


@dataclass(frozen=True)
class TextReader:
    """Reads the files that arguments name."""

    settings: ReadingSettings = DEFAULTS

    def text(self, names: Sequence[str]) -> Iterator[str]:
        """Read files, folders and patterns as one text, in pieces of bounded size.

        Raises TextError where a text cannot be read or decoded.
        """
        settings = self.settings
        return read_text(
            self._found(names),
            settings.encoding or "utf-8",
            settings.line_ends("characters"),
            decompression=settings.decompression,
        )

    def data(self, names: Sequence[str]) -> Iterator[bytes]:
        """Read them as bytes: as they are, or what is decoded in UTF-8. Raises TextError."""
        if self.settings.encoding is not None:
            return (text.encode() for text in self.text(names))
        ends: Newlines = self.settings.line_ends("bytes")
        return read_bytes(self._found(names), ends, decompression=self.settings.decompression)

    def symbols(self, names: Sequence[str], vocabulary: Vocabulary) -> Iterator[str | bytes]:
        """Read them as a vocabulary takes them. Raises TextError."""
        if vocabulary.kind == "bytes":
            return self.data(names)
        return self._known(names, vocabulary)

    def _known(self, names: Sequence[str], vocabulary: Vocabulary) -> Iterator[str]:
        """Spell characters in the form that the vocabulary has, if any."""
        reader = PromptReader(vocabulary, self.settings, drop_mark=False)
        for piece in self.text(names):
            yield reader.read(piece)
        yield reader.read("", final=True)

    def _found(self, names: Sequence[str]) -> Sources:
        return self.settings.find(names)
