"""What the pages of experiments share: the document, tables, the command that repeats one."""

from collections.abc import Iterable, Sequence

from ricorda.pages import chart_script, document, escape, resource
from ricorda.pages.svg import STYLE


def experiment_page(title: str, sections: Iterable[str]) -> str:
    """Make a self-contained page of sections of HTML."""
    return document(
        title,
        f"<main>\n{chr(10).join(sections)}\n</main>",
        style=resource(__package__, "page.css") + STYLE,
        script=chart_script(__package__, "page.js"),
    )


def heading(kind: str, title: str, summary: str) -> str:
    """Make the head of a page; all three are text."""
    return (
        f'<header><p class="eyebrow">{escape(kind)}</p><h1>{escape(title)}</h1>'
        f'<p class="summary">{escape(summary)}</p></header>'
    )


def card(title: str, content: str, note: str = "") -> str:
    """Make a section; title and note are text, content is HTML."""
    muted = f'<p class="muted">{escape(note)}</p>' if note else ""
    return f'<section class="card"><h2>{escape(title)}</h2>{muted}{content}</section>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], best: int | None = None) -> str:
    """Make a table of text; a heading that begins with > stands over numbers.

    best: the number of a row that is emphasized.
    """
    kinds = [' class="number"' if name.startswith(">") else "" for name in columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name.removeprefix(">"))}</th>'
        for name, kind in zip(columns, kinds, strict=True)
    )
    marked = ' class="best-row"'
    body = "".join(
        f"<tr{marked if number == best else ''}>{_cells(row, kinds)}</tr>"
        for number, row in enumerate(rows)
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Figures">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(row: Sequence[str], kinds: Sequence[str]) -> str:
    first = f'<th scope="row"{kinds[0]}>{escape(row[0])}</th>'
    rest = zip(row[1:], kinds[1:], strict=True)
    return first + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in rest)


def command_block(command: str) -> str:
    """Show a command to be copied."""
    return f'<pre class="command"><code>{escape(command)}</code></pre>'
