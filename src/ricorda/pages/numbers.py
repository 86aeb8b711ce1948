"""Numbers as a person reads them; what is missing or not finite is a dash."""

import math
from typing import Any

NOTHING = "–"


def fixed(value: float | None, digits: int) -> str:
    """A number with so many decimals: "1.540", "12,000"; the very large and small as "1.2e+12"."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if abs(value) >= 1e9 or 0 < abs(value) < 10**-digits / 2:
        return f"{value:.3g}"
    return f"{value:,.{digits}f}"


def short(value: float | None) -> str:
    """A number of any size in three digits: "0.0042", "950", "12.3 k", "1.2 M"."""
    if value is None or not math.isfinite(value):
        return NOTHING
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            return f"{value / size:.3g} {letter}" if abs(value) < 1e12 else f"{value:.3g}"
    return f"{value:.3g}"


def in_bits(nats: float | None) -> float | None:
    """Nats, the unit of natural logarithms, in bits."""
    return None if nats is None else nats / math.log(2)


def plural(count: int, name: str) -> str:
    """A count and what is counted: "1 step", "1,200 steps"."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def percent(probability: float) -> str:
    """A probability in two or three digits, and never 0 % or 100 % of what is not: "72 %"."""
    if probability < 0.001:
        return "< 0.1 %"
    if probability > 0.999:
        return "> 99.9 %"
    return f"{100 * probability:.{0 if 0.1 <= probability <= 0.99 else 1}f} %"


def clock(seconds: float) -> str:
    """A duration as a person reads it: "45 s", "3:20", "2:05:00"."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, seconds_part = divmod(whole, 60)
    hours, minutes_part = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes_part:02}:{seconds_part:02}"
    return f"{minutes}:{seconds_part:02}"


def shown_setting(value: Any) -> str:
    """Write a setting's value as a person reads it."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
