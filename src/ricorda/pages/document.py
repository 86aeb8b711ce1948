"""One HTML document: its shell, what may be written into it, and a policy that loads nothing."""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import ricorda

# What HTML cannot hold or a reader cannot see as itself: control characters but tab and line end,
# lone surrogates, noncharacters, and marks that would turn the direction of the text around them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
    + "]"
)
SHARED = ("dom.js", "numbers.js", "scales.js", "chart_view.js", "chart.js", "symbols.js")
"""The modules of a document's script, each after those that it imports from."""

_UNSAFE_IN_JSON = re.compile("[<\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def is_invisible(character: str) -> bool:
    r"""Say whether `escape` spells a character out, as `\x1b`, since no page can show it."""
    return _INVISIBLE.fullmatch(character) is not None


def escape(text: str) -> str:
    r"""Make text safe between tags and in quoted attributes; `\x1b` and the like spelled out."""
    return html.escape(_INVISIBLE.sub(_spelled_out, text))


def data_block(name: str, value: Any) -> str:
    """Make a block of data that a page's script reads by its id; NaN and infinities become null."""
    return f'<script type="application/json" id="{name}">{json_text(value)}</script>'


def json_text(value: Any) -> str:
    """Write JSON that also a page and UTF-8 can hold; NaN and infinities become null."""
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def figures(tiles: Iterable[tuple[str, str]]) -> str:
    """Make a row of large figures, each (name, figure)."""
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles)
    return f'<dl class="figures">{items}</dl>'


def resource(package: str, name: str) -> str:
    """Read a style or a script that lies beside a package's modules."""
    return files(package).joinpath(name).read_text("utf-8")


def chart_script(package: str, name: str) -> str:
    """Join the shared modules and one that uses them into a script for a document."""
    return joined_script(*(("ricorda.pages", each) for each in SHARED), (package, name))


def joined_script(*modules: tuple[str, str]) -> str:
    """Join modules, each (package, name) after those that it imports from, into one script.

    A script in a document cannot import modules: imports and the word `export` are taken out.
    """
    joined = "".join(resource(*module) for module in modules)
    return re.sub(r"^(import .*\n|export )", "", joined, flags=re.MULTILINE)


def document(
    title: str, body: str, *, style: str = "", script: str = "", footer: str | None = None
) -> str:
    """Make a whole page; body and footer are HTML, title is text.

    The page's own policy lets nothing be loaded and no script run but the one given here.
    """
    if footer is None:
        footer = (
            f"Made by ricorda {ricorda.__version__}. This page is self-contained and loads nothing."
        )
    style = resource("ricorda.pages", "document.css") + style
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta name="generator" content="ricorda {ricorda.__version__}">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"{body}\n<footer>{footer}</footer>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _hash(content: str) -> str:
    """A style's or a script's hash, as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _spelled_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def finite(value: Any) -> Any:
    """Return the same value with None for NaN and infinities, which JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value
