"""How a plan is printed."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ricorda.cli.output import print_json, say

if TYPE_CHECKING:
    from ricorda.training.plan.forecast import Forecast


def print_forecast(forecast: "Forecast", *, as_json: bool) -> None:
    """Print a plan to standard output: one JSON object, or a line for each setting."""
    if as_json:
        print_json(forecast.as_json())
    else:
        say("\n".join(_lines(forecast)))


def _lines(forecast: "Forecast") -> list[str]:
    from ricorda.training.report.progress import clock

    configuration = forecast.configuration
    learning = asdict(configuration) | {"budget": str(configuration.budget)}
    network = learning.pop("model")
    groups: dict[str, dict[str, Any]] = {
        "text": {
            "to learn": forecast.training_characters,
            "to judge by": forecast.validation_characters,
            "different symbols": forecast.vocabulary_size,
        },
        "network": {**network, "parameters": configuration.model.parameters},
        "learning": learning,
        "expected": {
            "steps": f"{forecast.steps:,}, {forecast.steps_per_second:,.1f} a second",
            "characters read": f"{forecast.characters:,}, {forecast.passes:,.3g} times the text",
            "memory": f"about {forecast.memory_bytes / 1e6:,.0f} MB",
            "time": clock(forecast.seconds),
        },
    }
    lines = []
    for heading, facts in groups.items():
        lines += [heading, *(f"  {name:<20} {_value(fact)}" for name, fact in facts.items())]
    return lines


def _value(fact: Any) -> str:
    """A setting as a person reads it."""
    if fact is None:
        return "none"
    if isinstance(fact, float):
        return f"{fact:g}"
    return f"{fact:,}" if isinstance(fact, int) else str(fact)
