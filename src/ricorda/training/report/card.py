"""A run as a notebook shows it: its figures, its loss curve, what to do next."""

import os
from pathlib import Path
from typing import Any

from ricorda.errors import RunError
from ricorda.pages import (
    drawing,
    escape,
    figures,
    fixed,
    fragment,
    head,
    in_bits,
    percent,
    plural,
    short,
)
from ricorda.pages.numbers import clock
from ricorda.runs import RunFolder
from ricorda.training.checkpoint.record import read_record
from ricorda.training.report.charts import History, loss_chart, number, read_history

CHART = 190  # pixels

ENDINGS = {
    "minutes": "ended when its minutes were used up",
    "epochs": "ended after its epochs",
    "steps": "ended after its steps",
    "patience": "ended when the validation loss no longer improved",
    "interrupted": "interrupted",
}


def run_words(folder: Path, metrics: dict[str, Any]) -> str:
    """Describe a run in a line."""
    validation = metrics["validation"]
    bits = "" if validation is None else f"{fixed(validation['bits_per_character'], 3)} bits, "
    return (
        f"{os.fspath(folder)}: {bits}{plural(metrics['steps'], 'step')} in "
        f"{clock(metrics['train_seconds'])}, {ENDINGS[metrics['stopped_because']]}"
    )


def run_card(folder: Path, metrics: dict[str, Any]) -> str:
    """Show a run. Its folder may be gone; then there is no curve."""
    try:
        history = read_history(RunFolder(folder))
        chart = drawing(loss_chart(history, metrics["best_step"]), CHART)
    except (OSError, RunError, ArithmeticError, LookupError, TypeError, ValueError):
        history, chart = History((), (), ()), ""
    facts = f"{_network(folder)}{ENDINGS[metrics['stopped_because']]}"
    return fragment(
        head(escape(folder.resolve().name), facts)
        + figures(_tiles(history, metrics))
        + chart
        + f'<div class="lines">{_note(metrics)}{_next(folder, metrics)}</div>'
    )


def _network(folder: Path) -> str:
    """The network's shape, as far as the folder is still there."""
    try:
        model = read_record(RunFolder(folder)).training.model
    except (OSError, RunError):
        return ""
    return f"{model.cell.upper()}, {model.num_layers} x {model.hidden_size} units, "


def _tiles(history: History, metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures: those of the best model, of an interrupted run those so far."""
    validation, tiles = metrics["validation"], []
    if validation is not None:
        tiles = [
            ("bits per character", fixed(validation["bits_per_character"], 3)),
            ("perplexity", fixed(validation["perplexity"], 2)),
        ]
        if "classification" in validation:
            overall = validation["classification"].get("accuracy")
            tiles += [("labels right", percent(overall))] if overall is not None else []
    elif (best := history.evaluation_at(metrics["best_step"])) is not None:
        bits = in_bits(number(best, "nats_per_character"))
        tiles = [("bits per character so far", fixed(bits, 3))]
    return [
        *tiles,
        ("parameters", short(metrics["parameters"])),
        ("steps", f"{metrics['steps']:,}"),
        ("training time", clock(metrics["train_seconds"])),
    ]


def _note(metrics: dict[str, Any]) -> str:
    """Comparison figures, and why the figures may mean little."""
    simple, warning = metrics.get("baselines"), metrics.get("validation_warning")
    compared = (
        f'<div class="muted">For comparison, in bits per character: 5-grams '
        f"{fixed(simple['five_grams'], 3)}, xz {fixed(simple['xz'], 3)}.</div>"
        if simple is not None
        else ""
    )
    return compared + (f'<div class="muted">Note: {escape(warning)}.</div>' if warning else "")


def _next(folder: Path, metrics: dict[str, Any]) -> str:
    """What to call next."""
    if metrics["stopped_because"] == "interrupted":
        call = f"ricorda.resume({os.fspath(folder)!r})"
        return f"<div>Continue with <code>{escape(call)}</code></div>"
    return '<div class="muted">The best model is <code>run.model</code>.</div>'
