"""`ricorda clamp`: what a model writes with units held at a value or switched off."""

from pathlib import Path
from typing import Any

import click

from ricorda.cli.models import model_path, prompt_option, read_prompt
from ricorda.cli.options import PathName, length_option, options_from
from ricorda.cli.output import print_json, say
from ricorda.engine import load_file, open_model
from ricorda.engine.generation import GenerationSettings
from ricorda.errors import ConfigurationError
from ricorda.insight import Unit, clamped

SETTINGS = ["temperature", "top_k", "top_p", "min_p", "greedy", "stop", "seed"]


@click.command()
@click.argument("model", type=PathName())
@click.argument("units", metavar="UNIT[=VALUE]...", nargs=-1, required=True)
@prompt_option
@length_option()
@options_from(GenerationSettings, SETTINGS)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path, units: tuple[str, ...], prompt: str, as_json: bool, **options: Any
) -> None:
    """Write a sample twice: with MODEL unchanged, and with units fixed at a value.

    Both samples use the same seed. The default value is 0, which switches a unit off.

    \b
    ricorda clamp runs/my 17                  switch unit 17 off
    ricorda clamp runs/my 17=1 1:3=-0.5       fix two units, one of layer 1
    """
    held = _parsed(units)
    file = load_file(model_path(model))
    given = {name: value for name, value in options.items() if value not in (None, ())}
    undisturbed = open_model(file)
    prompt = read_prompt(prompt, undisturbed)
    first = undisturbed.begin(prompt, **given)
    given["seed"] = first.seed
    other = open_model(clamped(file, held)).begin(prompt, **given)
    texts = first.text(), other.text()
    if as_json:
        print_json(
            {
                "prompt": prompt,
                "seed": first.seed,
                "units": {str(unit): value for unit, value in held.items()},
                "undisturbed": texts[0],
                "clamped": texts[1],
            }
        )
        return
    shown = prompt if first.start is None else ""
    say(f"--- unchanged (seed {first.seed}) ---\n{shown}{texts[0]}")
    names = ", ".join(f"{unit} held at {value:g}" for unit, value in held.items())
    say(f"--- {names} ---\n{shown}{texts[1]}")


def _parsed(units: tuple[str, ...]) -> dict[Unit, float]:
    """Read `17`, `17=0.5`, `1:17=-1`, each unit once. Raises ConfigurationError for all else."""
    found: dict[Unit, float] = {}
    for word in units:
        name, sign, number = word.partition("=")
        try:
            value = float(number) if sign else 0.0
        except ValueError:
            raise ConfigurationError(
                f"expected a unit and a number, such as 17=0.5, got {word!r}"
            ) from None
        unit = Unit.parse(name)
        if unit in found:
            raise ConfigurationError(f"unit {unit} is named twice: give it one value")
        found[unit] = value
    return found
