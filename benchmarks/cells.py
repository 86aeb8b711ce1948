"""Every cell at the same time: the chart and the table of the documentation."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ricorda.cores import usable_cores
from ricorda.experiments import Comparison, compare
from ricorda.studio.texts import SAMPLES, sample_text
from ricorda.training.checkpoint.record import processor_name

FOLDER = Path("build/cells")
"""Where the runs are kept, so that the command, repeated, continues."""

PICTURE = Path("docs/pictures/cells.svg")

PAGES = {
    Path("docs/guides/comparing.md"): (
        "{text}, {minutes} min of training, {seeds} seeds, on {cores} cores of an {processor}:"
    ),
    Path("docs/guides/comparing.it.md"): (
        "{text}, {minutes} min per addestramento, {seeds} seed, su {cores} core di un {processor}:"
    ),
}
"""The pages that have the table, and the line above it."""

BEGIN, END = "<!-- made by: make cells -->", "<!-- end -->"


def library_text(folder: Path) -> Path:
    """Write the source of Python's standard library, about 2 MB, and return the file.

    Raises TextError where Python has no source files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SAMPLES["library"]
    path.write_bytes(b"".join(sample_text("library")))
    return path


def measure(
    text: Path | None,
    cells: Sequence[str],
    *,
    minutes: float,
    seeds: int,
    folder: Path = FOLDER,
    picture: Path = PICTURE,
) -> Comparison:
    """Compare cells on a text, by default Python's library, and copy the chart."""
    comparison = compare(
        text or library_text(folder),
        cells=cells,
        minutes=minutes,
        seeds=seeds,
        out=folder / "comparison",
    )
    shutil.copyfile(comparison.folder / "chart.svg", picture)
    return comparison


def write_pages(
    comparison: Comparison, text: Path | None, minutes: float, pages: dict[Path, str]
) -> None:
    """Put the table into pages between their marks."""
    facts = {
        "text": "Python's standard library" if text is None else text.name,
        "minutes": f"{minutes:g}",
        "seeds": comparison.seeds,
        "cores": usable_cores(),
        "processor": processor_name(),
    }
    for page, line in pages.items():
        table = f"{BEGIN}\n{line.format(**facts)}\n\n{markdown(comparison)}\n{END}"
        before = page.read_text("utf-8")
        begin, end = before.index(BEGIN), before.index(END) + len(END)
        page.write_text(before[:begin] + table + before[end:], "utf-8")


def markdown(comparison: Comparison) -> str:
    """Return the table as Markdown, as the documentation has it."""
    head = [name.removeprefix(">") for name in comparison.columns]
    rules = ["---:" if name.startswith(">") else "---" for name in comparison.columns]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rules, *comparison.table()])
