"""Every cell at the same time: the chart and the table of the documentation."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ricorda.experiments import Comparison, compare
from ricorda.studio.texts import SAMPLES, sample_text

FOLDER = Path("build/cells")
"""Where the runs are kept, so that the command, repeated, continues."""

PICTURE = Path("docs/pictures/cells.svg")


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


def markdown(comparison: Comparison) -> str:
    """Return the table as Markdown, as the documentation has it."""
    head = [name.removeprefix(">") for name in comparison.columns]
    rules = ["---:" if name.startswith(">") else "---" for name in comparison.columns]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rules, *comparison.table()])
