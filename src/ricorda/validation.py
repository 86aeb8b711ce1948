"""Options checked in one place: what pydantic finds wrong becomes one line naming the option."""

import difflib
import json
import math
import reprlib
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import ErrorDetails

from ricorda.errors import ConfigurationError

T = TypeVar("T")

DEEPEST_JSON = 32
"""How far lists and objects may lie in each other."""

REQUIREMENTS = {
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "string_too_short": "at least {min_length} long",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
}
"""What may follow "must be", by pydantic's name of the error."""


def validated(settings: type[T], **values: Any) -> T:
    """Make a pydantic dataclass from options.

    Raises ConfigurationError with one line for all that is wrong, such as
    "dropout must be less than 1, got 1.5; unknown option droput: did you mean dropout?"
    """
    try:
        return settings(**values)
    except ValidationError as error:
        raise ConfigurationError(explain(error, settings)) from None


def explain(error: ValidationError, settings: type[Any]) -> str:
    """Say in one line which options of `settings` are wrong, and what each may be."""
    by_option: dict[str, list[ErrorDetails]] = {}
    for detail in error.errors():
        by_option.setdefault(_option(detail), []).append(detail)
    return "; ".join(_sentence(option, found, settings) for option, found in by_option.items())


def _option(detail: ErrorDetails) -> str:
    """The option's name as Python writes it; further names tell only the branch of a union."""
    location = detail["loc"]
    indices = "".join(f"[{part}]" for part in location[1:] if isinstance(part, int))
    return f"{location[0]}{indices}" if location else ""


def _sentence(option: str, details: list[ErrorDetails], settings: type[Any]) -> str:
    """One option's fault; where alternatives are allowed, all of them."""
    first = details[0]
    match first["type"]:
        case "value_error":  # raised by a validator of ours, which writes the whole sentence
            return str(first["ctx"]["error"])
        case "unexpected_keyword_argument":
            return _unknown(option, settings)
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{option} must be given"
    allowed = dict.fromkeys(_requirement(detail) for detail in details)
    return f"{option} must be {' or '.join(allowed)}, got {reprlib.repr(first['input'])}"


def _requirement(detail: ErrorDetails) -> str:
    limits = {
        name: int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        for name, limit in detail.get("ctx", {}).items()
    }
    template = REQUIREMENTS.get(detail["type"])
    return template.format(**limits) if template else detail["msg"].lower()


def _unknown(option: str, settings: type[Any]) -> str:
    assert is_pydantic_dataclass(settings)
    names = list(settings.__pydantic_fields__)
    near = difflib.get_close_matches(option, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the options are {', '.join(names)}"
    return f"unknown option {option}: {hint}"


def parse_json(text: str | bytes, *, longest: int, finite: bool = True) -> Any:
    """Parse JSON that may come from anybody: of bounded length and depth, each key once.

    longest counts characters of a str, bytes of bytes. A number that is not finite is wrong, or
    None if `finite` is false. Raises ValueError, saying what is wrong.
    """
    if len(text) > longest:
        raise ValueError(f"it is {len(text)} long, more than {longest}")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_each_once,
            parse_constant=_no_number if finite else _nothing,
            parse_float=float if finite else _finite,
        )
    except RecursionError:
        raise ValueError(f"it goes deeper than {DEEPEST_JSON} levels") from None
    _check_depth(value)
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _nothing(name: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    """A number; None where it is beyond a float, such as 1e999."""
    number = float(digits)
    return number if math.isfinite(number) else None


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST_JSON + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, list):
                below += each
        level = below
        if not level:
            return
    raise ValueError(f"it goes deeper than {DEEPEST_JSON} levels")
