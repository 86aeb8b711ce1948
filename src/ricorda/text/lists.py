"""Notice a text that is a list or a table, whose lines or rows are better learned as documents.

A text looks like a list if its lines are short and do not continue each other: few are blank or
indented, few end with punctuation as sentences, verses and code do, and half of them have at most
four words and 40 characters.
"""

from collections.abc import Iterable

import numpy as np

from ricorda.arguments import checked
from ricorda.text.encoding import EncodedText
from ricorda.text.tables import format_of

FEWEST_LINES = 50
"""Lines below which a text shows too little."""

LONGEST_USUAL = 40  # characters of half the lines
LONGEST = 70  # characters of 19 in 20 lines
MOST_WORDS = 4  # of half the lines

_RARELY = 0.02
_SELDOM = 0.1
_SAMPLE = 1 << 16  # symbols of each of three parts of a text
_ENDINGS = tuple(".,;:!?…。、！？，；：」』”»{}([=\\-—")
_MARKUP = ("- ", "* ", "#", "> ", "|", "```", "//", "/*", "<")


def looks_like_list(text: str) -> bool:
    """Return whether the whole lines of a text, or of a sample of one, look like a list's."""
    lines = text.split("\n")
    filled = [line for line in lines if line.strip()]
    if len(filled) < FEWEST_LINES:
        return False
    lengths = np.array([len(line) for line in filled])
    words = np.array([len(line.split()) for line in filled])
    return bool(
        len(lines) - len(filled) <= max(1, _RARELY * len(lines))
        and _share(line[0].isspace() for line in filled) <= _RARELY
        and _share(line.rstrip().endswith(_ENDINGS) for line in filled) <= _SELDOM
        and _share(line.startswith(_MARKUP) for line in filled) <= _SELDOM
        and np.median(lengths) <= LONGEST_USUAL
        and np.quantile(lengths, 0.95) <= LONGEST
        and np.median(words) <= MOST_WORDS
    )


@checked
def document_hint(text: EncodedText) -> str | None:
    """Return a line that proposes to divide a text into documents; None where it looks like one.

    Only a text from one source that nobody divided can be a list or a table.
    """
    if text.reading.documents != "text" or len(text.sources) != 1:
        return None
    name = text.sources[0]
    if format_of(name) is not None:
        return f"{name} is a table by its name: --field NAME makes each row a document"
    if not looks_like_list(_sample(text)):
        return None
    return f"{name} looks like a list: --documents lines makes each line a document"


def _sample(text: EncodedText) -> str:
    """Return whole lines from the beginning, the middle and the end of a text."""
    size = len(text.ids)
    if size <= 3 * _SAMPLE:
        return text.vocabulary.decode(text.ids)
    begins = (0, (size - _SAMPLE) // 2, size - _SAMPLE)
    parts = [text.vocabulary.decode(text.ids[begin : begin + _SAMPLE]) for begin in begins]
    return "\n".join(part.partition("\n")[2].rpartition("\n")[0] for part in parts)


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found)
