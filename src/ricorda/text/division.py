"""Divide the text of a source into documents, piece by piece.

No document is empty, and none includes its final line end: whether a file, a line, a paragraph or
what a separator ends, one line end at its end is left out. So a file that ends without a line end
is the same document as one that ends with it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal, NamedTuple, Self

import numpy as np

from ricorda.errors import ConfigurationError, TextError
from ricorda.text.boundaries import LINE_FEED, LONGEST_LABEL, MARK, Labels, mark
from ricorda.text.compression import without_suffixes
from ricorda.text.file_names import displayed
from ricorda.text.sources import Source

DivisionKind = Literal["files", "lines", "paragraphs", "separator", "rows"]
LabelFrom = Literal["folder", "file"]
_KINDS: dict[str, DivisionKind] = {
    "files": "files",
    "lines": "lines",
    "paragraphs": "paragraphs",
}

LONGEST_SEPARATOR = 1000
"""Characters of a separator."""

LONGEST_BLANK = 1 << 20
"""Characters of a line of spaces beyond which it is text."""

_BLANKS = " \t\r\f\v\u3000"
_BLANK_LINES = re.compile(rf"\n(?:[{_BLANKS}]*\n)+")
_FIRST_BLANK_LINES = re.compile(rf"(?:[{_BLANKS}]*\n)+")
_EITHER_LINE_END = re.compile(f"\r?\n{MARK}")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.?))", re.DOTALL)
_ROWS_GATHERED = 1 << 18  # characters


class Row(NamedTuple):
    """A document of a table."""

    text: str
    label: str | None


@dataclass(frozen=True)
class Division:
    """How texts are divided into documents."""

    kind: DivisionKind
    separator: str = ""
    field: str = ""
    """The column with the text, by name or position, if documents are rows."""
    label_field: str | None = None
    label_from: LabelFrom | None = None

    @classmethod
    def of(
        cls,
        documents: str,
        field: str | None = None,
        label_field: str | None = None,
        label_from: LabelFrom | None = None,
    ) -> Self | None:
        """Return the division that resolved settings mean; None for one text.

        Raises ConfigurationError for settings that are wrong or contradict each other.
        """
        _check_fields(documents, field, label_field, label_from)
        kind, colon, separator = documents.partition(":")
        if kind == "separator" and colon:
            return cls("separator", parse_separator(separator), label_from=label_from)
        if documents == "text":
            return None
        if documents == "rows":
            return cls("rows", "", field or "", label_field, label_from)
        found = _KINDS.get(documents)
        if found is not None:
            return cls(found, label_from=label_from)
        raise ConfigurationError(
            "--documents: expected auto, text, files, lines, paragraphs or separator:STRING, got "
            f"{documents!r}"
        )

    @property
    def has_labels(self) -> bool:
        """Whether documents have labels."""
        return self.label_field is not None or self.label_from is not None

    @property
    def marks_line_feeds(self) -> bool:
        """Whether a line feed marks each boundary."""
        return self.kind == "lines" and not self.has_labels


def _check_fields(
    documents: str, field: str | None, label_field: str | None, label_from: str | None
) -> None:
    if field is not None and documents not in {"auto", "rows"}:
        raise ConfigurationError(
            f"--field {field!r} makes each row of a table a document: leave out --documents "
            f"{documents}"
        )
    if field == "":
        raise ConfigurationError("--field: expected the name or the position of a column")
    if documents == "rows" and field is None:
        raise ConfigurationError("--documents rows: name the column with the text by --field NAME")
    if label_field is not None and field is None:
        raise ConfigurationError(
            f"--label-field {label_field!r}: name the column with the text too, by --field NAME"
        )
    if label_field is not None and label_from is not None:
        raise ConfigurationError("--label-field and --label-from: give one of them")
    if label_from is not None and documents == "text":
        raise ConfigurationError(
            f"--label-from {label_from}: labels belong to documents; leave out --documents text"
        )


def check_division(
    documents: str, field: str | None, label_field: str | None, label_from: LabelFrom | None
) -> None:
    """Check settings, resolved or not. Raises ConfigurationError."""
    if documents == "auto":
        _check_fields(documents, field, label_field, label_from)
    else:
        Division.of(documents, field, label_field, label_from)


def parse_separator(text: str) -> str:
    r"""Return a separator as it is typed, where `\n`, `\t`, `\\`, `\x1e` and `\u2028` are escapes.

    Raises ConfigurationError if it is empty, too long, or has an unknown escape.
    """

    def unescaped(found: re.Match[str]) -> str:
        code = found[1] or found[2]
        if code:
            return chr(int(code, 16))
        if found[3] not in _ESCAPES:
            raise ConfigurationError(
                f"--documents separator:{text}: {found[0]} is not an escape; write a backslash as "
                "\\\\"
            )
        return _ESCAPES[found[3]]

    separator = _ESCAPE.sub(unescaped, text)
    if not 1 <= len(separator) <= LONGEST_SEPARATOR:
        raise ConfigurationError(
            "--documents separator:STRING: expected 1 to "
            f"{LONGEST_SEPARATOR:,} characters, got {len(separator):,}"
        )
    if any("\ud800" <= each <= "\udfff" for each in separator):
        raise ConfigurationError(
            "--documents separator:STRING: it has half of a surrogate pair, which no text has"
        )
    return separator


class Divider:
    """Divides sources, one after another, and marks the beginning of each document."""

    def __init__(self, division: Division, labels: Labels, *, keeps_line_ends: bool) -> None:
        """Mark labels by their numbers; `keeps_line_ends`: CR LF and CR were not made LF."""
        self.division = division
        self.empty = 0
        """Empty documents, which were left out so far."""
        self._labels = labels
        self._keeps = keeps_line_ends

    def marked(self, source: Source, pieces: Iterable[str]) -> Iterator[str]:
        """Yield the text of a source's pieces with a mark before each document, never empty."""
        division = self.division
        inner = LINE_FEED if division.kind == "lines" else MARK
        outer = ""
        for piece in self._tidied(self._split(pieces), inner):
            if not outer:
                label = label_of(source, division.label_from)
                number = self._labels.number(label, source.name)
                outer = inner if division.marks_line_feeds else mark(number)
            yield piece if outer == inner else piece.replace(inner, outer)
        if not outer and division.kind == "files":
            self.empty += 1

    def marked_rows(self, source: Source, rows: Iterable[Row]) -> Iterator[str]:
        """Do the same with the rows of a table; those without text are left out."""
        ready: list[str] = []
        size = 0
        for row in rows:
            if not row.text:
                self.empty += 1
                continue
            ready += [mark(self._labels.number(row.label, source.name)), row.text]
            size += len(row.text) + 1
            if size >= _ROWS_GATHERED:
                yield "".join(ready)
                ready, size = [], 0
        if ready:
            yield "".join(ready)

    def _split(self, pieces: Iterable[str]) -> Iterator[str]:
        """Put a mark between documents; some may still be empty."""
        kind = self.division.kind
        if kind == "lines":
            return _with_line_feeds_alone(pieces) if self._keeps else iter(pieces)
        if kind == "paragraphs":
            pieces = _paragraphs(pieces)
        elif kind == "separator":
            pieces = _separated(pieces, self.division.separator)
        return _without_final_line_ends(pieces, self._keeps)

    def _tidied(self, pieces: Iterable[str], inner: str) -> Iterator[str]:
        """Leave out empty documents, and put the mark before each document."""
        is_due = True  # before further text
        for piece in pieces:
            text = _collapsed(piece, inner)
            removed = len(piece) - len(text)
            if is_due and text.startswith(inner):
                text, removed = text[1:], removed + 1
            if self.division.kind != "paragraphs":
                self.empty += removed
            if not text:
                continue
            ends = text.endswith(inner)
            new = inner * is_due + (text[:-1] if ends else text)
            if new:
                yield new
            is_due = ends


def _collapsed(text: str, inner: str) -> str:
    if inner == LINE_FEED and text.isascii():  # searching would stop at each short line
        line_feeds = np.frombuffer(text.encode(), np.uint8) == ord(LINE_FEED)
        if not (line_feeds[1:] & line_feeds[:-1]).any():
            return text
    while inner + inner in text:
        text = text.replace(inner + inner, inner)
    return text


def _with_line_feeds_alone(pieces: Iterable[str]) -> Iterator[str]:
    """Turn CR LF into LF; a CR alone is a character."""
    waiting = ""
    for piece in pieces:
        text = waiting + piece
        waiting = "\r" if text.endswith("\r") else ""
        yield text.removesuffix("\r").replace("\r\n", "\n")
    if waiting:
        yield waiting


def _paragraphs(pieces: Iterable[str]) -> Iterator[str]:
    """Replace blank lines between paragraphs, with the line end before them, by a mark."""
    held = ""
    at_start = True
    for piece in pieces:
        text = held + piece
        if at_start:
            leading = _FIRST_BLANK_LINES.match(text)
            text = text[leading.end() :] if leading else text
            if not text.strip(_BLANKS) and len(text) <= LONGEST_BLANK:
                held = text
                continue
            at_start = False
        place = _begin_of_blank_end(text)
        yield _BLANK_LINES.sub(MARK, text[:place])
        held = _shortened(text[place:])
        if len(held) > LONGEST_BLANK:
            yield _BLANK_LINES.sub(MARK, held)
            held = ""


def _begin_of_blank_end(text: str) -> int:
    """Return where the line ends begin that only blank characters follow."""
    end = len(text.rstrip(_BLANKS + "\n"))
    place = text.find("\n", end)
    return len(text) if place < 0 else place


def _shortened(blank: str) -> str:
    """Return blank lines, two at most, with the beginning of the last."""
    first, last = blank.find("\n"), blank.rfind("\n")
    return blank if first == last else "\n\n" + blank[last + 1 :]


def _separated(pieces: Iterable[str], separator: str) -> Iterator[str]:
    """Replace each separator by a mark, from left to right."""
    held = ""
    for piece in pieces:
        text = (held + piece).replace(separator, MARK)
        rest = len(text) - text.rfind(MARK) - 1
        ready = len(text) - min(len(separator) - 1, rest)
        held = text[ready:]
        yield text[:ready]
    if held:
        yield held


def _without_final_line_ends(pieces: Iterable[str], keeps_line_ends: bool) -> Iterator[str]:
    """Leave out one line end before each mark and at the end."""
    held = ""
    for piece in pieces:
        text = held + piece
        kept = without_final_line_end(text)
        if keeps_line_ends and kept == text:
            kept = text.removesuffix("\r")
        held = text[len(kept) :]
        if MARK in kept:
            either = _EITHER_LINE_END.sub if keeps_line_ends else None
            kept = either(MARK, kept) if either else kept.replace("\n" + MARK, MARK)
        yield kept
    if held == "\r":
        yield held


def without_final_line_end(text: str) -> str:
    """Return a text without one line end, LF or CR LF, at its end."""
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


def label_of(source: Source, label_from: LabelFrom | None) -> str | None:
    """Return the label that a source's folder or file name gives its documents; None without."""
    if label_from is None or source.path is None:
        return None
    path: PurePath = Path(source.path).absolute()
    if source.member is not None:
        path = path.with_name(without_suffixes(path.name)) / PurePosixPath(source.member.name)
    if label_from == "folder":
        return clean_label(path.parent.name, source.name)
    return clean_label(PurePath(without_suffixes(path.name)).stem, source.name)


def clean_label(label: str, place: str) -> str | None:
    """Return a label on one line without control characters; None if nothing is left.

    Raises TextError, naming the place, for one that is too long.
    """
    spaced = " ".join(displayed_label(label).split())
    if len(spaced) > LONGEST_LABEL:
        raise TextError(
            f"{place}: expected labels of at most {LONGEST_LABEL} characters, got one of "
            f"{len(spaced):,}, {spaced[:30]!r}...: choose the column with the labels"
        )
    return spaced or None


def displayed_label(label: str) -> str:
    """Return a label without control characters; bytes of a name that are not UTF-8 are spelled."""
    shown = (
        each if not unicodedata.category(each).startswith("C") else _spelled(each) for each in label
    )
    return unicodedata.normalize("NFC", "".join(shown))


def _spelled(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return displayed(character)
    return " " if character.isspace() else ""
