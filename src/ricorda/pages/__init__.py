"""What ricorda's self-contained HTML pages share: the document, figures as text, line charts.

A page is one file that loads nothing, in light and dark, wide and narrow, and is readable without
scripts. The modules and styles here serve the studio too. Without torch.
"""

from ricorda.pages.chart import Axis, Chart, Series, compared, line_chart
from ricorda.pages.document import (
    chart_script,
    data_block,
    document,
    escape,
    figures,
    is_invisible,
    joined_script,
    json_text,
    resource,
)
from ricorda.pages.drawing import drawing
from ricorda.pages.fragment import fragment, head
from ricorda.pages.numbers import fixed, in_bits, percent, plural, short

__all__ = [
    "Axis",
    "Chart",
    "Series",
    "chart_script",
    "compared",
    "data_block",
    "document",
    "drawing",
    "escape",
    "figures",
    "fixed",
    "fragment",
    "head",
    "in_bits",
    "is_invisible",
    "joined_script",
    "json_text",
    "line_chart",
    "percent",
    "plural",
    "resource",
    "short",
]
