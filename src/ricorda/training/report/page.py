"""report.html: one self-contained page that shows a run.

The final figures, the loss and how learning went, what the model wrote as it learned, how to go
on, and every setting.
"""

import math
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ricorda.durable import write_atomically
from ricorda.errors import RunError
from ricorda.model.configuration import ModelConfiguration
from ricorda.pages import (
    chart_script,
    document,
    escape,
    figures,
    fixed,
    in_bits,
    line_chart,
    plural,
    resource,
    short,
)
from ricorda.pages.numbers import clock, shown_setting
from ricorda.runs import RunFolder, read_rows
from ricorda.shell import command_line
from ricorda.training.checkpoint.record import RunRecord, read_record
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.report.card import ENDINGS
from ricorda.training.report.charts import (
    History,
    Row,
    learning_charts,
    loss_chart,
    number,
    read_history,
)
from ricorda.validation import description_of

NOT_ENDED = "not ended"
"""The reason for stopping in the figures of a run that has not ended."""

_ENDINGS = {reason: f"It {words}." for reason, words in ENDINGS.items()} | {
    "interrupted": "It was interrupted and can be resumed.",
    NOT_ENDED: "It has not ended: these are its results so far.",
}

_WITHOUT_FIGURES = {
    "interrupted": "the run was interrupted before its end",
    NOT_ENDED: "the run has not ended",
}


def write_report(folder: RunFolder, record: RunRecord, metrics: dict[str, Any]) -> None:
    """Write the run's page, whole or not at all.

    `metrics` is what `ricorda train --json` prints. Raises OSError if the disk refuses.
    """
    write_atomically(folder.report, _page(folder, read_history(folder), record, metrics).encode())


def report_of(folder: RunFolder) -> str:
    """Make the page of a run, ended or not, from its rows; report.html is not read.

    The rows, which may be a stranger's, enter the page only as escaped text. Raises
    RunError if they are damaged.
    """
    record = read_record(folder)
    try:
        history = read_history(folder)
        metrics = _last_figures(folder) or _figures_so_far(folder, history, record)
        return _page(folder, history, record, metrics)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RunError(f"the rows of the run {folder.path} are damaged: {error}") from error


def _last_figures(folder: RunFolder) -> dict[str, Any] | None:
    """The figures of the row that ends a run; None if there is no such row at the end."""
    last = deque(read_rows(folder.metrics), maxlen=1)
    if not last or last[0].get("event") != "ended":
        return None
    return {**last[0], "run": str(folder.path)}


def _figures_so_far(folder: RunFolder, history: History, record: RunRecord) -> dict[str, Any]:
    """Return the figures of `ricorda train --json` for a run that has not ended."""
    last = history.rows[-1] if history.rows else {"step": 0, "characters_seen": 0, "seconds": 0.0}
    finite = [row for row in history.evaluations if history.evaluation_at(row["step"])]
    best = min(finite, key=lambda row: number(row, "nats_per_character"), default=None)
    return {
        "run": str(folder.path),
        "parameters": record.training.model.parameters,
        "characters_seen": last["characters_seen"],
        "steps": last["step"],
        "train_seconds": last["seconds"],
        "validation": None,
        "validation_warning": None,
        "best_step": None if best is None else best["step"],
        "stopped_because": NOT_ENDED,
    }


def _page(folder: RunFolder, history: History, record: RunRecord, metrics: dict[str, Any]) -> str:
    """The whole document."""
    name = folder.path.resolve().name
    return document(
        f"{name}: a run of ricorda",
        _body(name, history, record, metrics),
        style=resource(__package__, "report.css"),
        script=chart_script(__package__, "report.js"),
    )


def _body(name: str, history: History, record: RunRecord, metrics: dict[str, Any]) -> str:
    sections = (
        _heading(name, record, metrics),
        _loss(history, metrics),
        _learning(history),
        _samples(history),
        _going_on(record, metrics),
        _settings(record),
    )
    return f"<main>\n{chr(10).join(sections)}\n</main>"


def _heading(name: str, record: RunRecord, metrics: dict[str, Any]) -> str:
    """What was learned, by what, and how well."""
    model = record.training.model
    return (
        f'<header><p class="eyebrow">A run of ricorda</p><h1>{escape(name)}</h1>'
        f'<p class="summary">{model.cell.upper()} of {plural(model.num_layers, "layer")} with '
        f"{plural(model.hidden_size, 'unit')}, {plural(metrics['parameters'], 'parameter')}. "
        f"{_origin(record)}"
        f"It read {plural(metrics['characters_seen'], 'character')} in "
        f"{plural(metrics['steps'], 'step')}, "
        f"which took {clock(metrics['train_seconds'])}. {_ENDINGS[metrics['stopped_because']]}</p>"
        f"{_figures(record.text.vocabulary, metrics)}</header>"
    )


def _origin(record: RunRecord) -> str:
    """The model that the run started from and the run of which it is a branch, as sentences."""
    found = ""
    if record.start is not None:
        found += f"It started from {escape(record.start.name)}. "
    if record.branch is not None:
        step = f"{record.branch.step:,}"
        found += f"It is a branch of {escape(record.branch.name)} at step {step}. "
    return found


def _figures(symbols: str, metrics: dict[str, Any]) -> str:
    """The four figures on the validation text, or why there are none."""
    validation = metrics["validation"]
    if validation is None:
        reason = _WITHOUT_FIGURES.get(
            metrics["stopped_because"], "no part of the text was held back for validation"
        )
        return f'<p class="muted">There are no validation figures: {reason}.</p>'
    tiles = [
        (name.replace("_", " "), fixed(validation[name], digits))
        for name, digits in (
            *(("bits_per_character", 3), ("nats_per_character", 3)),
            *(("bits_per_byte", 3), ("perplexity", 2)),
        )
    ]
    return (
        f"{figures(tiles)}{_compared(metrics)}{_warning(metrics)}"
        '<p class="muted small">Of the best model, from step '
        f"{fixed(metrics['best_step'], 0)}, on {metrics['validation_characters']:,} {symbols} of "
        "validation text that it was not trained on. Perplexity: the number of equally likely "
        f"{symbols} that are as hard to predict.{_test(symbols, metrics)}</p>"
    )


def _test(symbols: str, metrics: dict[str, Any]) -> str:
    """The figures of the test, which no choice depends on, if there was one."""
    test = metrics.get("test")
    if test is None:
        return ""
    return (
        f" On the {metrics['test_characters']:,} {symbols} of the test part, which was not used "
        f"to choose anything: {fixed(test['nats_per_character'], 3)} nats and "
        f"{fixed(test['bits_per_character'], 3)} bits per character."
    )


def _compared(metrics: dict[str, Any]) -> str:
    """The figures of simple methods on the same validation text, if they were measured."""
    simple = metrics.get("baselines")
    if simple is None:
        return ""
    better = simple["five_grams"] < metrics["validation"]["bits_per_character"]
    verdict = "The 5-grams predict this text better." if better else ""
    return (
        f"<p>For comparison, in bits per character: 5-grams {fixed(simple['five_grams'], 3)}, the "
        f"compressor xz {fixed(simple['xz'], 3)}, symbol frequencies alone "
        f"{fixed(simple['frequencies'], 3)}. {verdict}</p>"
    )


def _warning(metrics: dict[str, Any]) -> str:
    """A note on why the figures may mean little."""
    warning = metrics.get("validation_warning")
    return "" if warning is None else f"<p><strong>Note:</strong> {escape(warning)}.</p>"


def _loss(history: History, metrics: dict[str, Any]) -> str:
    """The loss curve, and the same figures as a table."""
    has_losses = any(
        math.isfinite(number(row, "nats_per_character")) for row in history.evaluations
    )
    quick = (
        " The validation curve is measured on a part of the validation text." if has_losses else ""
    )
    return (
        '<section class="card"><h2>Loss</h2><p class="muted">The mean surprise of the next '
        f"character to the model: the lower, the better the model predicts the text.{quick}</p>"
        f"{line_chart(loss_chart(history, metrics['best_step']))}"
        "<details><summary>The figures as a table</summary>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Figures">'
        f"{_table(history)}</div></details></section>"
    )


def _table(history: History) -> str:
    """One row for each evaluation; without any, some of the training rows."""
    rows = history.evaluations or history.training[:: max(1, len(history.training) // 20)]
    head = "".join(
        f'<th scope="col" class="number">{name}</th>'
        for name in (
            "step", "time", "characters", "training, bits", "validation, bits", "validation, nats",
            "learning rate", "gradient norm", "characters/s",
        )
    )  # fmt: skip
    return (
        f"<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(_table_row(history, row) for row in rows)}</tbody></table>"
    )


def _table_row(history: History, row: Row) -> str:
    training = history.training_before(row["step"])
    validation = number(row, "nats_per_character") if row.get("event") == "evaluation" else math.nan
    cells = (
        clock(row["seconds"]),
        f"{row['characters_seen']:,}",
        fixed(in_bits(number(training, "nats_per_character")), 3),
        fixed(in_bits(validation), 3),
        fixed(validation, 3),
        short(number(training, "learning_rate")),
        short(number(training, "gradient_norm")),
        fixed(number(training, "characters_per_second"), 0),
    )
    return (
        f'<tr><th scope="row" class="number">{row["step"]:,}</th>'
        + "".join(f'<td class="number">{cell}</td>' for cell in cells)
        + "</tr>"
    )


def _learning(history: History) -> str:
    """The small curves."""
    charts = "".join(
        f'<section class="card"><h3>{name}</h3>{chart}</section>'
        for name, chart in learning_charts(history)
    )
    return f'<section><h2>How it learned</h2><div class="three">{charts}</div></section>'


def _samples(history: History) -> str:
    """What the model wrote, newest first; report.js shows one at a time."""
    if not history.samples:
        return ""
    articles = "".join(_sample(history, row) for row in reversed(history.samples))
    steps = [row["step"] for row in history.samples]
    return (
        '<section id="samples"><h2>Samples</h2><p class="muted">A sample with the same seed at '
        "each evaluation, so that the samples can be compared.</p>"
        '<div class="choose" hidden><label for="moment">Earlier samples</label>'
        f'<input type="range" id="moment" min="0" max="{len(steps) - 1}" value="{len(steps) - 1}">'
        '<label class="all"><input type="checkbox" id="all"> all of them</label></div>'
        f"{articles}</section>"
    )


def _sample(history: History, row: Row) -> str:
    evaluation = history.evaluation_at(row["step"])
    facts = [f"after {clock(history.at(row['step'], 'seconds'))}"]
    if evaluation is not None:
        nats = number(evaluation, "nats_per_character")
        facts.append(f"validation {fixed(in_bits(nats), 3)} bits ({fixed(nats, 3)} nats)")
    return (
        f'<article class="sample card"><h3>Step {row["step"]:,}</h3>'
        f'<p class="muted small">{", ".join(facts)}</p>'
        f'<pre dir="auto">\n{escape(row["text"])}</pre></article>'
    )


def _going_on(record: RunRecord, metrics: dict[str, Any]) -> str:
    """The commands to type next."""
    run = command_line([Path(metrics["run"])])
    text = command_line([Path(Path(record.text.texts[0]).name)])
    commands = [
        ("Write a text", f'ricorda sample {run} --prompt "..." --length 500 --temperature 0.8'),
        ("Measure how well it predicts a text", f"ricorda evaluate {run} {text}"),
        ("Show which characters surprise it", f"ricorda score {run} {text} --html score.html"),
    ]
    if metrics["stopped_because"] == "interrupted":
        commands.insert(0, ("Resume the training", f"ricorda resume {run}"))
    items = "".join(
        f'<h3>{name}</h3><pre class="command"><code>{escape(command)}</code></pre>'
        for name, command in commands
    )
    return f'<section class="going-on"><h2>Next steps</h2>{items}</section>'


def _settings(record: RunRecord) -> str:
    """Every setting of config.json, with what it means."""
    text = asdict(record.text)
    text["texts"] = ", ".join(Path(name).name for name in record.text.texts)
    if record.text.validation is not None:
        text["validation"] = Path(record.text.validation).name
    learning = {
        name: value for name, value in asdict(record.training).items() if name != "model"
    } | {"budget": str(record.training.budget)}
    groups: tuple[tuple[str, dict[str, Any], dict[str, str]], ...] = (
        ("Text", text, {}),
        ("Network", asdict(record.training.model), _meanings(ModelConfiguration)),
        ("Made with", record.made_with, {}),
        ("Learning", learning, _meanings(TrainingConfiguration)),
    )
    tables = "".join(
        f'<section class="card"><h3>{name}</h3>{_settings_table(name, values.items(), meanings)}'
        "</section>"
        for name, values, meanings in groups
    )
    return f'<section><h2>All settings</h2><div class="two">{tables}</div></section>'


def _settings_table(group: str, values: Iterable[tuple[str, Any]], meanings: dict[str, str]) -> str:
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(name)}</code>'
        f'<span class="meaning">{meanings.get(name, "")}</span></th>'
        f"<td>{escape(shown_setting(value))}</td></tr>"
        for name, value in values
    )
    return (
        f'<table><caption class="unseen">{group}</caption><thead class="unseen"><tr>'
        f'<th scope="col">setting</th><th scope="col">value</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _meanings(settings: Any) -> dict[str, str]:
    """What each field's documentation says, as HTML."""
    return {
        each.name: re.sub(
            "`([^`]+)`", r"<code>\1</code>", escape(description_of(settings, each.name))
        )
        for each in fields(settings)
    }
