"""Commands as a person copies them into a terminal."""

import shlex
from collections.abc import Iterable

LEGIBLE = frozenset("\n\t")
"""Not printable, and harmless within quotes."""


def command_line(words: Iterable[str]) -> str:
    r"""Write words as a shell takes them.

    What a terminal would obey as it is pasted (an escape sequence, Ctrl-C), or what would make the
    line look like another, is spelled out in the form $'\x1b' of bash, zsh and ksh.
    """
    return " ".join(map(_quoted, words))


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
