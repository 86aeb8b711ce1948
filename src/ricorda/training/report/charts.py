"""The charts of a run's page."""

import math

from ricorda.pages import Axis, Chart, Series, fixed, in_bits, line_chart, short
from ricorda.training.report.history import History, Row, number, points
from ricorda.training.report.progress import clock

FIRST_SHARE = 0.05  # of the steps, in which training loss falls so fast that it hides the rest


def loss_chart(history: History, best_step: int | None) -> str:
    """Training and validation loss over steps, with time and characters beside the steps."""
    training = Series("training", points(history.training, "nats_per_character"))
    validation = Series(
        "validation", points(history.evaluations, "nats_per_character"), kind="dotted"
    )
    best = history.evaluation_at(best_step)
    mark = None
    if best is not None:
        nats = number(best, "nats_per_character")
        mark = (float(best["step"]), nats, f"best: {fixed(nats, 3)} at step {best['step']:,}")
    judged = any(math.isfinite(y) for _, y in validation.points)
    return line_chart(
        Chart(
            unit="nats per character",
            series=[training, validation] if judged else [training],
            axes=[
                Axis("steps", _count),
                Axis("time", lambda step: clock(history.at(step, "seconds"))),
                Axis("read", lambda step: short(history.at(step, "characters_seen"))),
            ],
            readings=[(row["step"], _loss_reading(history, row)) for row in history.rows],
            top=_top(history),
            mark=mark,
        )
    )


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
            axes=[Axis("steps", _count)],
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
    parts.append(f"training {fixed(training, 3)}")
    if row.get("event") == "evaluation" and row.get("nats_per_character") is not None:
        nats = number(row, "nats_per_character")
        parts.append(f"validation {fixed(nats, 3)} nats ({fixed(in_bits(nats), 2)} bits)")
        if row.get("averaged_nats_per_character") is not None:
            both = (number(row, f"{name}_nats_per_character") for name in ("raw", "averaged"))
            parts.append("raw weights {}, averaged {}".format(*(fixed(each, 3) for each in both)))
    return " · ".join(parts)


def _top(history: History) -> float | None:
    """The highest loss after the first steps, whose fall would flatten everything else."""
    begin = FIRST_SHARE * history.last_step
    later = [y for x, y in points(history.rows, "nats_per_character") if x >= begin]
    return max(filter(math.isfinite, later), default=None)


def _count(value: float) -> str:
    """A number of steps."""
    return short(value) if value >= 100_000 else f"{value:,g}"
