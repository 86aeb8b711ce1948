"""The rows of a run, and the charts of its page that show them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ricorda.pages import Axis, Chart, Series, compared, fixed, in_bits, line_chart, short
from ricorda.pages.numbers import clock
from ricorda.runs import RunFolder, read_rows

FIRST_SHARE = 0.05  # of the steps, in which training loss falls so fast that it hides the rest

PLACES = 60  # at which compared curves are read out
SKIPPED = 0.1  # of the axis, in which compared losses fall so fast that they hide the rest

Row = dict[str, Any]


@dataclass(frozen=True)
class History:
    """The rows of metrics.jsonl and samples.jsonl, by kind, in order of steps."""

    training: Sequence[Row]
    evaluations: Sequence[Row]
    samples: Sequence[Row]

    @property
    def rows(self) -> list[Row]:
        """Training and evaluation rows, by step; at one step the training row comes first."""
        return sorted([*self.training, *self.evaluations], key=lambda row: int(row["step"]))

    @property
    def last_step(self) -> int:
        """The last step that has a row; 0 without rows."""
        return max((row["step"] for row in self.rows), default=0)

    def curve(self, name: str) -> list[tuple[float, float]]:
        """List the steps of the rows and the seconds or characters_seen that each came after."""
        return [(row["step"], row[name]) for row in self.rows if row.get(name) is not None]

    def at(self, step: float, name: str) -> float:
        """Say how many seconds or characters_seen a step came after, between rows in proportion."""
        steps, values = zip((0, 0.0), *self.curve(name), strict=True)
        return float(np.interp(step, steps, values))

    def evaluation_at(self, step: int | None) -> Row | None:
        """The evaluation of a step, if it has a finite figure."""
        for row in self.evaluations:
            if row["step"] == step and math.isfinite(number(row, "nats_per_character")):
                return row
        return None

    def training_before(self, step: int) -> Row:
        """The last training row up to a step; empty if there is none."""
        return next((row for row in reversed(self.training) if row["step"] <= step), {})


def read_history(folder: RunFolder) -> History:
    """Read a run's rows; files that are not there yet have none."""
    rows = list(read_rows(folder.metrics))
    return History(
        training=[row for row in rows if row.get("event") == "training"],
        evaluations=[row for row in rows if row.get("event") == "evaluation"],
        samples=list(read_rows(folder.samples)),
    )


def history_columns(history: History) -> dict[str, list[Any]]:
    """Return the training and evaluation rows by column, in step order; None where one has none."""
    rows = [
        row | {"bits_per_character": in_bits(row["nats_per_character"])}
        if "nats_per_character" in row
        else row
        for row in history.rows
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def number(row: Row, name: str) -> float:
    """A row's figure; NaN where it has none."""
    value = row.get(name)
    return math.nan if value is None else float(value)


def points(rows: Sequence[Row], name: str) -> list[tuple[float, float]]:
    """A figure over steps."""
    return [(row["step"], number(row, name)) for row in rows]


def losses(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """The loss over steps, in bits per character."""
    return [(step, nats / math.log(2)) for step, nats in points(rows, "nats_per_character")]


def loss_chart(history: History, best_step: int | None) -> Chart:
    """Describe training and validation loss over steps, time and characters."""
    training = Series("training", losses(history.training), rough=True)
    validation = Series("validation", losses(history.evaluations), kind="dotted")
    best = history.evaluation_at(best_step)
    mark = None
    if best is not None:
        bits = number(best, "nats_per_character") / math.log(2)
        mark = (float(best["step"]), bits, f"best: {fixed(bits, 3)} at step {best['step']:,}")
    has_losses = any(math.isfinite(y) for _, y in validation.points)
    return Chart(
        unit="bits per character",
        series=[training, validation] if has_losses else [training],
        axes=[
            Axis("steps", "count"),
            Axis("time", "clock", history.curve("seconds")),
            Axis("read", "short", history.curve("characters_seen")),
        ],
        readings=[(row["step"], _loss_reading(history, row)) for row in history.rows],
        top=_top(history),
        mark=mark,
    )


def compared_chart(
    runs: Mapping[str, Sequence[History]], measured: Literal["seconds", "characters_seen"]
) -> str:
    """Validation losses of several settings over time or characters read.

    runs: the rows of each setting's runs, of which the mean is shown where all have evaluations.
    """
    curves = {
        name: curve for name, each in runs.items() if len(curve := _mean_curve(each, measured)) > 1
    }
    end = max((curve[-1][0] for curve in curves.values()), default=0.0)
    axis = Axis("time", "clock") if measured == "seconds" else Axis("read", "short")
    later = [y for curve in curves.values() for x, y in curve if x >= SKIPPED * end]
    return line_chart(
        Chart(
            unit="validation loss, bits per character",
            series=[
                Series(name, curve, kind=compared(number))
                for number, (name, curve) in enumerate(curves.items())
            ],
            axes=[axis],
            readings=[(x, _compared_reading(curves, x, axis.text(x))) for x in _places(end)],
            top=max(later, default=None),
        )
    )


def _mean_curve(histories: Sequence[History], measured: str) -> list[tuple[float, float]]:
    """The mean loss in bits over the runs, at places between their evaluations."""
    curves = []
    for history in histories:
        rows = [row for row in history.evaluations if math.isfinite(_nats(row))]
        if rows:
            curves.append(([row[measured] for row in rows], [_nats(row) for row in rows]))
    if not curves:
        return []
    first, last = max(xs[0] for xs, _ in curves), min(xs[-1] for xs, _ in curves)
    if first >= last:
        return []
    places = np.linspace(first, last, PLACES)
    losses = np.mean([np.interp(places, xs, ys) for xs, ys in curves], axis=0) / math.log(2)
    return list(zip(places.tolist(), losses.tolist(), strict=True))


def _nats(row: Row) -> float:
    return number(row, "nats_per_character")


def _places(end: float) -> list[float]:
    """The places at which the cursor reads the curves out."""
    return [end * place / PLACES for place in range(1, PLACES + 1)]


def _compared_reading(
    curves: Mapping[str, Sequence[tuple[float, float]]], x: float, place: str
) -> str:
    """The losses of all curves that reach a place."""
    found = [
        f"{name} {np.interp(x, [point[0] for point in curve], [point[1] for point in curve]):.3f}"
        for name, curve in curves.items()
        if curve[0][0] <= x <= curve[-1][0] + 1e-9
    ]
    return " · ".join([place, *found])


def learning_charts(history: History) -> list[tuple[str, str]]:
    """Small curves of what the optimizer did and how fast, each with its heading."""
    figures = (
        ("Learning rate", "step size", "learning_rate"),
        ("Gradient norm", "length, before clipping", "gradient_norm"),
        ("Speed", "characters per second", "characters_per_second"),
    )
    return [(heading, _small_chart(history, unit, name)) for heading, unit, name in figures]


def _small_chart(history: History, unit: str, name: str) -> str:
    return line_chart(
        Chart(
            unit=unit,
            series=[Series(unit, points(history.training, name))],
            axes=[Axis("steps", "count")],
            readings=[
                (row["step"], f"step {row['step']:,}: {short(number(row, name))}")
                for row in history.training
            ],
            from_zero=True,
            size="low",
        )
    )


def _loss_reading(history: History, row: Row) -> str:
    """Everything about one step in one line."""
    parts = [
        f"step {row['step']:,}",
        clock(row["seconds"]),
        f"{short(row['characters_seen'])} characters",
    ]
    training = number(history.training_before(row["step"]), "nats_per_character")
    parts.append(f"training {fixed(in_bits(training), 3)}")
    if row.get("event") == "evaluation" and row.get("nats_per_character") is not None:
        nats = number(row, "nats_per_character")
        parts.append(f"validation {fixed(in_bits(nats), 3)} bits ({fixed(nats, 3)} nats)")
        if row.get("averaged_nats_per_character") is not None:
            names = ("raw", "averaged")
            both = (in_bits(number(row, f"{name}_nats_per_character")) for name in names)
            parts.append("raw weights {}, averaged {}".format(*(fixed(each, 3) for each in both)))
    return " · ".join(parts)


def _top(history: History) -> float | None:
    """The highest loss after the first steps, whose fall would flatten everything else."""
    begin = FIRST_SHARE * history.last_step
    later = [y for x, y in losses(history.rows) if x >= begin]
    return max(filter(math.isfinite, later), default=None)
