r"""Escapes for characters that are hard to type in a shell: `\n` for a line end."""

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    ParameterType = click.ParamType[Any]
else:
    ParameterType = click.ParamType  # older versions of click have no `[]`

ESCAPED_OPTIONS = ("stop", "allowed", "banned", "banned_word")
"""The options in which escapes are understood."""

_CHARACTERS = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:([ntr\\])|u([0-9a-fA-F]{4})|(.?))", re.DOTALL)


class EscapedText(ParameterType):
    r"""Text in which `\n`, `\t`, `\r`, `\\` and `\uXXXX` stand for characters."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Replace the escapes; any other backslash and an empty text are refused."""
        if value == "":
            self.fail("expected at least one character, got an empty text", param, ctx)

        def replaced(found: re.Match[str]) -> str:
            letter, code, other = found.groups()
            if other is not None:
                self.fail(
                    f"expected \\n, \\t, \\r, \\\\ or \\u and four hexadecimal digits, got "
                    f"{found[0]!s}; write \\\\ for a backslash",
                    param,
                    ctx,
                )
            return _CHARACTERS[letter] if letter else chr(int(code, 16))

        text = _ESCAPE.sub(replaced, str(value))
        # A character beyond U+FFFF may be written as its two surrogates, as in JSON.
        return re.sub(
            "[\ud800-\udbff][\udc00-\udfff]",
            lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"),
            text,
        )
