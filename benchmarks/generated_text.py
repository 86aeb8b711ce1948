"""Text of any length, made from a seed: the same bytes everywhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

Script = Literal["latin", "many"]

PAGES = 48
PAGE_WORDS = 40_000
_SYLLABLES = (
    *("ba", "be", "bo", "ca", "che", "chi", "co", "da", "de", "di", "do", "è", "fa", "fe", "fi"),
    *("già", "la", "le", "li", "lo", "lu", "ma", "me", "mi", "mo", "na", "ne", "ni", "no", "pa"),
    *("per", "pi", "po", "più", "qua", "que", "ra", "re", "ri", "ro", "sa", "se", "si", "so"),
    *("sta", "ta", "te", "ti", "to", "tra", "tu", "un", "va", "ve", "vi", "vo", "zio"),
)
_ENDS = [" "] * 16 + [", "] * 2 + [". ", "\n", "? ", ": «", "» ", "’"]
_RANGES: dict[Script, list[tuple[int, int]]] = {
    "latin": [],
    "many": [(0x3B1, 0x3C9), (0x430, 0x44F), (0x4E00, 0x55FF), (0x1F600, 0x1F640)],
}


def generated_pages(size: int, script: Script = "latin", seed: int = 1) -> Iterator[bytes]:
    """Yield UTF-8 of `size` bytes in all (a few less, so as to end with a character).

    "latin" has words like Italian ones, with accents; in "many" every tenth is of another script,
    two thousand Chinese characters among them.
    """
    random = np.random.Generator(np.random.Philox(seed))
    pages = [_page(random, script) for _ in range(min(PAGES, 1 + size // 100_000))]
    while size > 0:
        page = pages[int(random.integers(len(pages)))]
        if len(page) > size:
            page = page[:size].decode("utf-8", "ignore").encode("utf-8")
            size = len(page)
        size -= len(page)
        yield page


def write_text(path: Path, size: int, script: Script = "latin", seed: int = 1) -> None:
    """Write a generated text. Raises OSError."""
    with path.open("wb") as file:
        for page in generated_pages(size, script, seed):
            file.write(page)


def _page(random: np.random.Generator, script: Script) -> bytes:
    words = []
    lengths = random.integers(1, 5, PAGE_WORDS)
    syllables = random.integers(0, len(_SYLLABLES), lengths.sum()).tolist()
    ends = random.integers(0, len(_ENDS), PAGE_WORDS).tolist()
    foreign = random.random(PAGE_WORDS) < 0.1
    ranges = _RANGES[script]
    for length, end, is_foreign in zip(lengths.tolist(), ends, foreign.tolist(), strict=True):
        word = "".join(_SYLLABLES[syllables.pop()] for _ in range(length))
        if is_foreign and ranges:
            first, last = ranges[int(random.integers(len(ranges)))]
            word = "".join(map(chr, random.integers(first, last, length).tolist()))
        words.append(word + _ENDS[end])
    return "".join(words).encode("utf-8")
