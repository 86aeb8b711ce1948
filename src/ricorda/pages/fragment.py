"""HTML for a notebook's output: a card with its own styles, in light and dark, without scripts.

The colours are those of document.css. They follow the theme that the notebook names on its page:
JupyterLab, VS Code, Colab and others each in its own way. Where a page strips styles, the card's
text is still readable.
"""

import re
from functools import cache

from ricorda.pages.document import resource

SHARED = r":root|\.(?:[a-j]|curve|dot|grid|base|marked|plot text|symbols|gap|bar-track|bar-fill)\b"
"""The selectors of the rules of document.css that a card needs."""

LIGHT = '[data-jp-theme-light="true"],.vscode-light,[theme="light"],[data-theme="light"]'
DARK = (
    '[data-jp-theme-light="false"],.vscode-dark,.vscode-high-contrast:not(.vscode-light),'
    '[theme="dark"],[data-theme="dark"]'
)
"""How the pages of notebooks name their theme. Without a name the page's own scheme holds."""


def fragment(body: str) -> str:
    """Make a card from HTML."""
    return f'<div class="ricorda"><style>{_style()}</style>{body}</div>'


def head(title: str, facts: str) -> str:
    """Make the first line of a card, from HTML: what it shows, and a few words about it."""
    return f'<div class="head"><b>{title}</b><span class="muted">{facts}</span></div>'


@cache
def _style() -> str:
    """The rules of a card, nested in its class, so that they touch nothing else of the page."""
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", _compact(resource("ricorda.pages", "document.css")))
    shared = "".join(
        f"{selectors}{{{declarations}}}"
        for selectors, declarations in rules
        if re.search(SHARED, selectors) and "@" not in selectors
    )
    shared = shared.replace(":root{color-scheme:light dark;", "&{")
    own = _compact(resource("ricorda.pages", "fragment.css"))
    return (
        f".ricorda{{{shared}{own}}}"
        f":is({LIGHT}) .ricorda{{color-scheme:light}}:is({DARK}) .ricorda{{color-scheme:dark}}"
    )


def _compact(style: str) -> str:
    """Leave out comments and the spaces that mean nothing."""
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    return re.sub(r"(?<=[{};,:])\s+|\s+(?=[{};])|^\s+|\s+$", "", re.sub(r"\s+", " ", style))
