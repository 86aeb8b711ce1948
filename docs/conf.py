"""How Sphinx builds the documentation: `make docs`."""

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import command_reference  # noqa: E402

import ricorda  # noqa: E402
from ricorda.signatures import OptionParameter  # noqa: E402

project = "ricorda"
version = release = ricorda.__version__
copyright = "the authors of ricorda"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"ricorda {version}"
html_show_sphinx = False
smartquotes = False
pygments_style = "friendly"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4  # links such as training.md#what-repeats, as GitHub makes them

autodoc_typehints = "description"
autodoc_typehints_description_target = "all"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True

PROJECT_PAGES = {"SECURITY": "security", "CONTRIBUTING": "contributing", "CHANGELOG": "changes"}
"""Files beside docs/ that the site includes as pages: their names there."""


def link_to_pages(app: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to files beside docs/ to the pages that include these files."""
    to_docs = "../" * page.count("/")

    def page_of(link: re.Match[str]) -> str:
        return f"]({to_docs}{PROJECT_PAGES[link[1]]}.md"

    source[0] = re.sub(rf"\]\((?:\.\./)+({'|'.join(PROJECT_PAGES)})\.md", page_of, source[0])


def set_language(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Name the language of an Italian page, for browsers and screen readers."""
    if page.endswith(".it"):
        context["language"] = "it"


def leave_options_out(
    app: Sphinx, what: str, name: str, each: Any, options: Any, signature: str, result: str
) -> tuple[str, str] | None:
    """Print `**options` for options that the docstring lists with their types."""
    found = vars(each).get("__signature__") if inspect.isfunction(each) else None
    if found is None:
        return None
    listed = [key for key, one in found.parameters.items() if isinstance(one, OptionParameter)]
    for key in listed:
        app.env.current_document.autodoc_annotations.get(name, {}).pop(key, None)
    return str(found).rpartition(" -> ")[0], result


def keep_backslashes(
    app: Sphinx, what: str, name: str, each: Any, options: Any, lines: list[str]
) -> None:
    """Escape the backslashes of described options, such as those of line ends, for Sphinx."""
    if inspect.isfunction(each) and "__signature__" in vars(each):
        lines[:] = [line.replace("\\", "\\\\") for line in lines]


def setup(app: Sphinx) -> None:
    """Generate the reference of the commands and connect the functions above."""
    command_reference.write(DOCS / "reference" / "commands.md")
    app.connect("source-read", link_to_pages)
    app.connect("autodoc-process-signature", leave_options_out, priority=900)
    app.connect("autodoc-process-docstring", keep_backslashes)
    app.connect("html-page-context", set_language)
