"""The curves of docs/scale.md, as SVG files: python -m benchmarks.scale_plot FIGURES FOLDER.

FIGURES is what `ricorda bench scale --json` printed. Both axes are logarithmic.
"""

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 36, 52
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#333}line{stroke:#bbb}"
    "path{fill:none;stroke:#1a56a8;stroke-width:2}circle{fill:#1a56a8}rect{fill:#fff}"
)

Point = tuple[float, float]


def write_plots(results: Iterable[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw each unit over each size that was varied; hands back the files written."""
    curves: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for result in results:
        details = result.get("details", {})
        unit = next((name for name, value in result.items() if _is_figure(name, value)), None)
        if unit is not None and details:
            name, value = next(iter(details.items()))
            curves[unit, name].append((float(value), float(result[unit]["median"])))
    written = []
    for (unit, name), points in curves.items():
        if len(points) > 1:
            path = folder / f"scale-{unit}-{name}.svg"
            path.write_text(plot(sorted(points), words(name), words(unit)), encoding="utf-8")
            written.append(path)
    return written


def plot(points: list[Point], across: str, upwards: str) -> str:
    """One curve with a dot and its value at each point."""
    xs, ys = zip(*points, strict=True)
    low, high = min(ys) / 1.3, max(ys) * 1.3
    places = [
        (
            LEFT + (WIDTH - LEFT - RIGHT) * _share(x, min(xs), max(xs)),
            HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(y, low, high),
        )
        for x, y in points
    ]
    shapes = [
        f'<text x="{LEFT}" y="20">{upwards}</text>',
        f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{across}</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>',
        f'<path d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>',
    ]
    below = HEIGHT - BOTTOM + 20
    for (x, y), (value, figure) in zip(places, points, strict=True):
        shapes += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
            f'<text x="{x:.1f}" y="{y - 10:.1f}" text-anchor="middle">{_short(figure)}</text>',
            f'<text x="{x:.1f}" y="{below}" text-anchor="middle">{value:,.0f}</text>',
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{upwards} over {across}"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%"/>{"".join(shapes)}</svg>\n'
    )


def words(name: str) -> str:
    """A figure's name as people write it."""
    return name.replace("_", " ")


def _is_figure(name: str, value: Any) -> bool:
    return name not in ("details", "seconds") and isinstance(value, dict) and "median" in value


def _share(value: float, low: float, high: float) -> float:
    """Where a value lies between two, on a logarithmic scale."""
    return math.log(value / low) / math.log(high / low) if high > low else 0.5


def _short(figure: float) -> str:
    """Three digits, with k or M."""
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if figure >= factor:
            return f"{figure / factor:.3g}{unit}"
    return f"{figure:.3g}"


def main() -> None:
    """Read figures, write plots, print their names."""
    figures, folder = map(Path, sys.argv[1:])
    for path in write_plots(json.loads(figures.read_text())["scale"], folder):
        print(path)


if __name__ == "__main__":
    main()
