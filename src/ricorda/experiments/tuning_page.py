"""The page of a search, and its best settings as a file of options."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ricorda.experiments.page import card, command_block, experiment_page, heading, table
from ricorda.experiments.searching import SearchPlan, setting_text
from ricorda.experiments.trial_result import TrialResult
from ricorda.experiments.tuning import Tuning
from ricorda.pages import escape, fixed, in_bits, percent, plural
from ricorda.pages.svg import Coordinate, parallel_coordinates
from ricorda.pages.svg import Path as Line
from ricorda.shell import command_line
from ricorda.text.file_names import is_utf8


def best_file(tuning: Tuning, search_plan: SearchPlan) -> str:
    """Make the TOML file that `ricorda train --config` reads: the options of the best trial."""
    best = tuning.best
    assert best is not None
    options = {
        **search_plan.options,
        **best.options,
        **search_plan.budget,
        "seed": search_plan.seed,
    }
    beside = _not_for_toml(options)
    names = [Path(Path(text).name) for text in search_plan.texts]
    command = _command(names, Path(tuning.folder.name), beside).replace("\n", " ")
    lines = [
        f"# Trial {best.number} of `ricorda tune`: {fixed(best.nats_per_character, 4)} nats per "
        "character on the validation part.",
        f"# {command}",
        *(
            f"{name} = {_toml(value)}"
            for name, value in sorted(options.items())
            if name not in beside
        ),
    ]
    return "\n".join(lines) + "\n"


def _not_for_toml(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the options that TOML cannot represent: file names that are not UTF-8."""
    texts = {name: value for name, value in options.items() if isinstance(value, str)}
    return {name: value for name, value in texts.items() if not is_utf8(value)}


def _toml(value: Any) -> str:
    """A number, a truth value or text in TOML, whose texts are escaped as in JSON."""
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def tuning_page(tuning: Tuning, search_plan: SearchPlan) -> str:
    """Make the whole page."""
    names = ", ".join(Path(text).name for text in search_plan.texts)
    rows = tuning.table()
    sections = [
        heading("A search of ricorda", f"Settings for {names}", _summary(tuning, search_plan)),
        card("Trials", table(tuning.columns, rows, 0 if tuning.best else None), TRIALS),
        card("Settings and losses", _coordinates(tuning), COORDINATES),
    ]
    if tuning.importances:
        sections.append(card("Importance", _importances(tuning.importances), IMPORTANCE))
    if tuning.best is not None:
        sections.append(card("Train with the best settings", _next_steps(tuning, search_plan)))
    return experiment_page(f"Settings for {names}: a search of ricorda", sections)


TRIALS = (
    "Validation loss at the end of the budget, or where a trial was stopped; these figures compare "
    "only with those after the same share of the budget."
)
COORDINATES = (
    "A line is a trial: thick the best one, dashed those that were stopped. The last axis is its "
    "loss in bits per character."
)
IMPORTANCE = (
    "How much each setting matters for being in the best third at the first rung (PED-ANOVA); the "
    "shares sum to 100 %. With few trials they are rough."
)


def _summary(tuning: Tuning, search_plan: SearchPlan) -> str:
    ended = [each for each in tuning.trials if each.state in ("complete", "stopped", "failed")]
    ((name, amount),) = search_plan.budget.items()
    text = (
        f"{len(ended)} of {plural(search_plan.trials, 'trial')} have ended, "
        f"{sum(each.state == 'complete' for each in ended)} of them after their whole budget of "
        f"{amount:.3g} {name}. "
    )
    best, planned = tuning.best, next((each for each in ended if each.is_planned), None)
    if best is None:
        return text
    text += f"The best reached {_bits(best)} bits per character"
    if planned is None or planned is best:
        return f"{text}; it has the planner's own settings."
    return f"{text}, the planner's own settings {_bits(planned)}."


def _bits(trial: TrialResult) -> str:
    return fixed(in_bits(trial.nats_per_character), 3)


def _coordinates(tuning: Tuning) -> str:
    """The settings of each trial on parallel axes, and its loss on the last one."""
    known = [each for each in tuning.trials if each.nats_per_character is not None]
    if not known:
        return '<p class="muted">No trial was evaluated yet.</p>'
    losses = {each.number: in_bits(each.nats_per_character) or 0.0 for each in known}
    low, high = min(losses.values()), max(losses.values())
    room = (high - low) or 1.0
    axes = [Coordinate(each.name.replace("_", " "), each.ticks()) for each in tuning.space]
    ends = [(0.0, fixed(low, 3)), (1.0, fixed(high, 3))][: 1 + (high > low)]
    lines = [
        Line(
            [
                *(each.place(trial.options[each.name]) for each in tuning.space),
                (losses[trial.number] - low) / room,
            ],
            _kind(trial, tuning.best),
            f"trial {trial.number}: {_bits(trial)} bits, {_settings(trial)}",
        )
        for trial in known
    ]
    words = f"{plural(len(known), 'trial')} with losses from {low:.3f} to {high:.3f} bits"
    return parallel_coordinates(words, [*axes, Coordinate("loss", ends)], lines)


def _kind(trial: TrialResult, best: TrialResult | None) -> Any:
    if best is not None and trial.number == best.number:
        return "best"
    return "complete" if trial.state == "complete" else "stopped"


def _settings(trial: TrialResult) -> str:
    return ", ".join(f"{name} {setting_text(value)}" for name, value in trial.options.items())


def _importances(shares: dict[str, float]) -> str:
    """A bar for each setting, the longest first."""
    rows = sorted(shares.items(), key=lambda each: -each[1])
    largest = max(shares.values()) or 1.0
    items = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt>"
        '<dd><svg class="drawing" viewBox="0 0 100 8" preserveAspectRatio="none" width="100%" '
        f'height="10" aria-hidden="true"><rect class="mean" width="{100 * share / largest:.1f}" '
        f'height="8"/></svg></dd><dd class="number">{percent(share)}</dd>'
        for name, share in rows
    )
    return f'<dl class="importance">{items}</dl>'


def _next_steps(tuning: Tuning, search_plan: SearchPlan) -> str:
    texts = map(Path, search_plan.texts)
    command = _command(texts, tuning.folder, _not_for_toml(search_plan.options))
    return (
        f"{command_block(command)}<p>The file has the budget of a trial; --minutes takes another "
        "one.</p>"
    )


def _command(texts: Iterable[Path], folder: Path, options: Mapping[str, str]) -> str:
    """The command that trains with the best settings, and further options."""
    more = [
        word
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", Path(value))
    ]
    return command_line(["ricorda", "train", *texts, "--config", folder / "best.toml", *more])
