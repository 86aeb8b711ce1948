"""Two texts for those who have none at hand: the tutorial's pattern, and Python's own library."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from ricorda.errors import TextError

PATTERN = "aaaaabbbbbccccacddddd"  # the tutorial's, which ends as it begins
PATTERN_LENGTH = 20_000  # characters
LIBRARY_BYTES = 2_000_000

SAMPLES = {"pattern": "pattern.txt", "library": "python-library.txt"}
"""Each sample's name and the text's."""


def sample_text(name: str) -> Iterator[bytes]:
    """Yield a sample's bytes, UTF-8. Raises TextError for an unknown name or a missing library."""
    if name == "pattern":
        yield (PATTERN * (PATTERN_LENGTH // len(PATTERN) + 1))[:PATTERN_LENGTH].encode()
    elif name == "library":
        yield from _library()
    else:
        raise TextError(f"expected one of {', '.join(SAMPLES)}, got another sample's name")


def _library() -> Iterator[bytes]:
    """Modules at the top of the standard library, in order of their names, up to a size."""
    left = LIBRARY_BYTES
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py")):
        try:
            content = path.read_bytes()
            content.decode("utf-8")
        except (OSError, ValueError):
            continue
        if len(content) > left:
            break
        left -= len(content)
        yield content
    if left == LIBRARY_BYTES:
        raise TextError("this Python came without its library's source: bring a text of your own")
