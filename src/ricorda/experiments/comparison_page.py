"""The page and the chart of a comparison."""

import math
from pathlib import Path

from ricorda.experiments.comparison import Comparison
from ricorda.experiments.page import card, experiment_page, heading, table
from ricorda.pages import plural
from ricorda.pages.svg import Interval, interval_chart, svg_file
from ricorda.runs import RunFolder
from ricorda.training.report.charts import compared_chart, read_history

BIT = math.log(2)  # nats

MATCHED = {
    "time": "each with the settings that the planner chose for it",
    "parameters": "each with as many parameters as the first",
    "operations": "each with as many operations per symbol as the first",
}

EXPLANATION = (
    "The lower, the better the text is predicted. Dot: mean over the seeds; bar: standard "
    "deviation; rings: the seeds."
)


def chart_file(comparison: Comparison) -> str:
    """Make the chart of the losses, an SVG file."""
    return svg_file(_chart(comparison))


def comparison_page(comparison: Comparison, texts: tuple[str, ...]) -> str:
    """Make the whole page. Raises RunError if a run's rows are damaged."""
    runs = {
        row.label: [read_history(RunFolder(path)) for path in row.runs] for row in comparison.rows
    }
    best = comparison.best
    number = None if best is None else comparison.rows.index(best)
    return experiment_page(
        f"{comparison.option}: a comparison of ricorda",
        [
            heading("A comparison of ricorda", _title(comparison), _summary(comparison, texts)),
            card("Validation loss", _chart(comparison), EXPLANATION),
            card("Figures", table(comparison.columns, comparison.table(), number)),
            '<div class="curves">'
            + card("Over time", compared_chart(runs, "seconds"), "The mean of the seeds.")
            + card("Over characters read", compared_chart(runs, "characters_seen"))
            + "</div>",
        ],
    )


def _chart(comparison: Comparison) -> str:
    rows = [
        Interval(
            row.label,
            [nats / BIT for nats in row.nats_per_character],
            row.mean / BIT,
            row.deviation / BIT,
        )
        for row in comparison.rows
    ]
    return interval_chart("validation loss, bits per character", rows)


def _title(comparison: Comparison) -> str:
    return f"{comparison.option}: {', '.join(row.label for row in comparison.rows)}"


def _summary(comparison: Comparison, texts: tuple[str, ...]) -> str:
    names = ", ".join(Path(text).name for text in texts)
    return (
        f"{comparison.budget} for each training on {names}, {plural(comparison.seeds, 'seed')}, "
        f"{MATCHED[comparison.match]}."
    )
