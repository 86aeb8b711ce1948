"""`ricorda units`: what each unit of a model tracks in a text."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ricorda.cli.models import load_model
from ricorda.cli.options import PathName, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.progress import progress_bar
from ricorda.cli.tables import print_paragraph, print_table
from ricorda.cli.texts import GivenReading, UnitType, read_known, reading_options
from ricorda.insight import Health, Tracked, Unit, track_units, unit_activity, unit_health
from ricorda.insight.tracking import SHIFTS, SHORTEST, SYMBOLS
from ricorda.pages import fixed

TOP = 20
MOST_SHIFTS = 1_000_000


@click.command()
@click.argument("model", type=PathName())
@click.argument("text")
@click.option(
    "--unit",
    "units",
    type=UnitType(),
    multiple=True,
    help="Show all results for this unit: 17 is a unit of layer 0, 1:17 one of layer 1. May be "
    "repeated.",
)
@click.option("--feature", help="Show the units most closely associated with this feature.")
@click.option(
    "--top",
    type=whole_number(at_least=1),
    default=TOP,
    help=f"Number of units to show.  [default: {TOP}]",
)
@click.option(
    "--symbols",
    type=whole_number(at_least=SHORTEST),
    default=SYMBOLS,
    help=f"Maximum number of symbols to read.  [default: {SYMBOLS}]",
)
@click.option(
    "--shifts",
    type=whole_number(at_least=1, at_most=MOST_SHIFTS),
    default=SHIFTS,
    help=f"Number of controls with shifted features.  [default: {SHIFTS}]",
)
@click.option(
    "--seed",
    type=whole_number(at_least=0),
    default=0,
    help="Random seed of the shifts.  [default: 0]",
)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path,
    text: str,
    units: tuple[Unit, ...],
    feature: str | None,
    top: int,
    symbols: int,
    shifts: int,
    seed: int,
    reading: GivenReading,
    as_json: bool,
) -> None:
    """Show what each unit of MODEL tracks in TEXT, and which units are dead or saturated.

    The feature of each unit is chosen on the first half of TEXT, and the effect is measured on the
    second half. An effect of 1 means that the unit marks the feature exactly, 0 that the two are
    unrelated. The control column shows the effect by chance: it is measured with the positions of
    the feature shifted along the text.

    \b
    ricorda units runs/my my.txt
    ricorda units runs/my my.txt --unit 17
    ricorda units runs/my my.txt --feature inside_quotes
    """
    trained = load_model(model)
    for unit in units:
        unit.checked(trained.configuration)
    known = read_known(trained, text, reading, symbols)
    with progress_bar("comparing units with features") as progress:
        tracked = track_units(
            trained, known, symbols=None, shifts=shifts, seed=seed, progress=progress
        )
    health = unit_health(trained, known)
    if as_json:
        found = _as_json(tracked, health, units, top)
        if feature is not None:
            chosen = tracked.units_for(feature, top)
            found["feature"] = feature
            found["units_for_feature"] = [{"unit": str(u), "effect": size} for u, size in chosen]
        found["unseen"] = [gap.as_json() for gap in known.gaps]
        activity = unit_activity(trained, known, units)
        for number, unit in enumerate(units):
            found["units"][str(unit)]["activity"] = activity[:, number].tolist()
        print_json(found)
    elif units:
        for unit in units:
            _print_unit(tracked, health, unit, top)
    elif feature is not None:
        rows = tracked.units_for(feature, top)
        print_table(["unit", ">effect"], [[str(unit), fixed(size, 3)] for unit, size in rows])
    else:
        _print_ranking(tracked, health, top)


def _print_ranking(tracked: Tracked, health: Health, top: int) -> None:
    """A line per unit, the largest effect first."""
    opposite = {True: "not ", False: "fewer "}
    rows = [
        [
            str(entry.unit),
            opposite[entry.feature.is_binary] * (entry.direction < 0) + entry.feature.description,
            fixed(entry.effect, 3),
            fixed(entry.fitted_effect, 3),
            fixed(entry.control, 3),
            fixed(entry.p_value, 3),
            health.state_of(entry.unit),
        ]
        for entry in tracked.ranking[:top]
    ]
    columns = ["unit", "tracks", ">effect", ">first half", ">control", ">p", "state"]
    print_table(columns, rows, spare=(">first half", ">control", "state", ">p"))
    best = sorted(tracked.control_best)
    say()
    print_paragraph(
        f"{tracked.symbols:,} symbols, {len(tracked.features)} features. By chance the best unit "
        f"reaches {best[len(best) // 2]:.3f} (median of {tracked.shifts} controls; at most "
        f"{best[-1]:.3f})."
    )
    print_paragraph(
        f"{len(health.dead)} dead and {len(health.saturated)} saturated of {health.mean.size:,} "
        "units."
    )


def _print_unit(tracked: Tracked, health: Health, unit: Unit, top: int) -> None:
    """All about one unit: its range, its gates, every feature."""
    say(f"unit {unit}: {health.state_of(unit)}")
    print_paragraph(
        f"output from {health.smallest[unit]:.3f} to {health.largest[unit]:.3f}, mean "
        f"{health.mean[unit]:.3f}, standard deviation {health.deviation[unit]:.3f}"
    )
    for name, shut in health.shut.items():
        say(
            f"{name.replace('_', ' ')}: closed {shut[unit]:.0%}, open {health.open[name][unit]:.0%}"
        )
    effects = tracked.effects[:, unit.layer, unit.number].tolist()
    fitted = tracked.fitted_effects[:, unit.layer, unit.number].tolist()
    found = sorted(
        zip(tracked.features, effects, fitted, strict=True), key=lambda each: -abs(each[2])
    )
    print_table(
        ["name", "feature", ">effect", ">first half"],
        [
            [feature.key, feature.description, fixed(effect, 3), fixed(first, 3)]
            for feature, effect, first in found[:top]
        ],
        spare=(">first half", "feature"),
    )


def _as_json(tracked: Tracked, health: Health, units: tuple[Unit, ...], top: int) -> dict[str, Any]:
    """What the tables say; of the units that were asked for, everything."""
    return {
        "symbols": tracked.symbols,
        "shifts": tracked.shifts,
        "features": {each.key: each.description for each in tracked.features},
        "ranking": [
            {
                **asdict(entry),
                "unit": str(entry.unit),
                "feature": entry.feature.key,
                "state": health.state_of(entry.unit),
            }
            for entry in tracked.ranking[:top]
        ],
        "control_best": list(tracked.control_best),
        "dead": [str(unit) for unit in health.dead],
        "saturated": [str(unit) for unit in health.saturated],
        "units": {str(unit): _unit_as_json(tracked, health, unit) for unit in units},
    }


def _unit_as_json(tracked: Tracked, health: Health, unit: Unit) -> dict[str, Any]:
    """One unit's range, gates and effects."""
    effects = tracked.effects[:, unit.layer, unit.number].tolist()
    return {
        "state": health.state_of(unit),
        **{
            name: float(getattr(health, name)[unit])
            for name in ("mean", "deviation", "smallest", "largest")
        },
        "shut": {name: float(share[unit]) for name, share in health.shut.items()},
        "open": {name: float(share[unit]) for name, share in health.open.items()},
        "effects": dict(zip([each.key for each in tracked.features], effects, strict=True)),
    }
