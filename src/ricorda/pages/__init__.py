"""What ricorda's self-contained HTML pages share: the document, figures as text, line charts.

A page is one file that loads nothing, in light and dark, wide and narrow, and reads well without
its scripts. Without torch.
"""

from ricorda.pages.document import data_block, document, escape, is_invisible, resource
from ricorda.pages.line_chart import Axis, Chart, Reading, Series, line_chart, round_ticks
from ricorda.pages.numbers import fixed, in_bits, percent, plural, short

__all__ = [
    "Axis",
    "Chart",
    "Reading",
    "Series",
    "data_block",
    "document",
    "escape",
    "fixed",
    "in_bits",
    "is_invisible",
    "line_chart",
    "percent",
    "plural",
    "resource",
    "round_ticks",
    "short",
]
