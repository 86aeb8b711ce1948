"""Commands as a person copies them into a terminal."""

import shlex
from collections.abc import Iterable
from pathlib import Path

LEGIBLE = frozenset("\n\t")
"""Not printable, and harmless within quotes."""


def command_line(words: Iterable[str | Path]) -> str:
    r"""Quote words for a shell; a path that begins with a dash becomes `./-path`.

    Control characters, and characters that would make the line look different, are escaped in the
    form $'\x1b' of bash, zsh and ksh.
    """
    return " ".join(_quoted(_not_an_option(word)) for word in words)


def _not_an_option(word: str | Path) -> str:
    text = str(word)
    return f"./{text}" if isinstance(word, Path) and text.startswith("-") else text


def _quoted(word: str) -> str:
    if all(each.isprintable() or each in LEGIBLE for each in word):
        return shlex.quote(word)
    return f"$'{''.join(map(_spelled, word))}'"


def _spelled(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
