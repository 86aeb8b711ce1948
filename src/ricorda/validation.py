"""Options checked in one place: what pydantic finds wrong becomes one line naming the option."""

import difflib
import json
import math
import reprlib
from operator import methodcaller
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ricorda.errors import ConfigurationError

T = TypeVar("T")

MOST_FAULTS = 8
"""How many options one message names."""

DEEPEST_JSON = 32
"""How many levels of lists and objects JSON may have."""

MOST_ELEMENTS = 200_000
"""How many elements all its lists and objects may have together, unless a caller takes more."""

_OPENED = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS_AND_QUOTES = bytes(byte for byte in range(256) if byte not in b'[]{}"')

REQUIREMENTS = {
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "string_too_short": "at least {min_length} long",
    "string_type": "text",
    "string_unicode": "text that UTF-8 can encode",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list",
    "too_long": "of at most {max_length} elements",
    "dict_type": "an object",
    "dataclass_type": "an object",
}
"""What may follow "must be", by pydantic's name of the error: each that our settings can raise."""


def validated(settings: type[T], **values: Any) -> T:
    """Make a pydantic dataclass from options; numbers may be NumPy's, and "2" or True are none.

    Raises ConfigurationError with one line for all that is wrong, such as
    "dropout must be less than 1, got 1.5; unknown option droput: did you mean dropout?"
    """
    fields = _fields(settings)
    given = {
        name: _plain(value, fields[name].annotation if name in fields else None)
        for name, value in values.items()
    }
    try:
        return settings(**given)
    except ValidationError as error:
        raise ConfigurationError(explain(error, settings)) from None


def plain_numbers(value: Any) -> Any:
    """Convert numbers and arrays of NumPy or PyTorch to Python's own numbers, in lists too."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [plain_numbers(each) for each in value] if isinstance(value, list | tuple) else value


def one_or_several(value: object) -> object:
    """Accept a single string as a list of one."""
    return (value,) if isinstance(value, str) else value


def description_of(settings: type[Any], name: str) -> str:
    """Return the docstring of a settings class's field, which may be that of a class it extends."""
    for owner in settings.__mro__:
        field = getattr(owner, "__pydantic_fields__", {}).get(name)
        if field is not None and field.description:
            return " ".join(field.description.split())
    return ""


class _Unfit:
    """A value of another type, which pydantic would convert: True to 1, "2" to 2."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


def _plain(value: Any, annotation: Any = None) -> Any:
    """Convert numbers of NumPy or PyTorch to Python's own, in lists too."""
    kinds = _kinds(annotation)
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, bool) and bool not in kinds:
        return _Unfit(value)
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    is_number = {int, float, bool} & {*kinds} and str not in kinds
    if isinstance(value, str) and is_number and value not in words:
        return _Unfit(value)
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _kinds(annotation: Any) -> list[Any]:
    """The members of a union, or the type itself, without what annotates them."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for each in get_args(annotation) for kind in _kinds(each)]
    return [annotation]


def explain(error: ValidationError, settings: type[Any]) -> str:
    """Say in one line which options of `settings` are wrong, and what each may be."""
    by_option: dict[str, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_option.setdefault(_option(detail, settings), []).append(detail)
    sentences = [_sentence(option, found, settings) for option, found in by_option.items()]
    more = len(sentences) - MOST_FAULTS
    return "; ".join(sentences[:MOST_FAULTS] + ([f"and {more} more"] if more > 0 else []))


def _option(detail: ErrorDetails, settings: Any) -> str:
    """The option's name as Python writes it, such as model.hidden_size or stop[1].

    Only fields and indices are part of it; other names identify the branch of a union.
    """
    name = ""
    for part in detail["loc"]:
        fields = _fields(settings)
        if isinstance(part, int):
            name += f"[{part}]"
        elif part in fields or not name:
            name += f".{part[:60]}" if name else part[:60]
            settings = fields[part].annotation if part in fields else None
        elif detail["type"] == "unexpected_keyword_argument" and fields:
            name += f".{part[:60]}"
    return name


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    """The fields of a settings class, or of the one among the members of a union."""
    for kind in _kinds(annotation):
        if is_pydantic_dataclass(kind):
            found: dict[str, FieldInfo] = kind.__pydantic_fields__
            return found
    return {}


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
    allowed = dict.fromkeys(requirement(detail) for detail in details)
    return f"{option or 'the value'} must be {' or '.join(allowed)}, got {shown(first['input'])}"


def shown(value: object) -> str:
    """Return any value as an error message shows it: on one short line."""
    try:
        return " ".join(reprlib.repr(value).split())
    except Exception:  # its own __repr__ fails, or it is an int of more digits than Python prints
        return f"a value of type {type(value).__name__}"


def requirement(detail: ErrorDetails) -> str:
    """Say what may follow "must be" for one of pydantic's errors, such as "at least 1"."""
    limits = {
        name: int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        for name, limit in detail.get("ctx", {}).items()
    }
    is_nan = isinstance(detail["input"], float) and math.isnan(detail["input"])
    fault = "finite_number" if is_nan else detail["type"]  # NaN is within no limits
    template = REQUIREMENTS.get(fault, "valid: {reason}")
    return template.format(**limits, reason=detail["msg"])


def _unknown(option: str, settings: Any) -> str:
    name = option
    while True:  # a name of its own may have dots
        first, _, rest = name.partition(".")
        field = _fields(settings).get(first)
        if field is None or not _fields(field.annotation):
            break
        settings, name = field.annotation, rest
    names = list(_fields(settings))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the options are {', '.join(names)}"
    return f"unknown option {option}: {hint}"


def parse_json(
    text: str | bytes, *, longest: int, most: int = MOST_ELEMENTS, finite: bool = True
) -> Any:
    """Parse untrusted JSON: of bounded length, count and depth, each key once.

    longest counts characters of a str, bytes of bytes, which are UTF-8. most counts the elements
    of all lists and objects together. Both and the depth are checked before any value is made. A
    number that is not finite is wrong, or None if `finite` is false. Raises ValueError, saying
    what is wrong.
    """
    if len(text) > longest:
        raise ValueError(f"it is {len(text)} long, more than {longest}")
    _check_structure(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text, most)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogatepass")
    return json.loads(
        text,
        object_pairs_hook=_each_once,
        parse_constant=_no_number if finite else _nothing,
        parse_float=float if finite else _finite,
    )


def _check_structure(text: bytes, most: int) -> None:
    """Count elements and levels without making values, by passes that take no Python loop.

    What stands in strings is cut out first. Of the brackets that are left, each pass removes the
    innermost ones. Without escapes in the text, this takes twice its memory besides it at most.
    """
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    too_many = f"it has more than {most} elements"
    if plain.count(b'"') > 4 * (most + 1):  # each element has at most a key and a value
        raise ValueError(too_many)
    commas = sum(map(methodcaller("count", b","), plain.split(b'"')[::2]))
    kept = plain.translate(_OPENED, _ALL_BUT_BRACKETS_AND_QUOTES).split(b'"')[::2]
    brackets = b"".join(kept)
    count = brackets.count(b"[") + commas
    brackets = brackets[: 2 * most]
    for _ in range(DEEPEST_JSON):
        brackets = brackets.replace(b"[]", b"")
    if b"[]" in brackets or brackets.count(b"[") > DEEPEST_JSON:
        raise ValueError(f"it has more than {DEEPEST_JSON} levels")
    if count > most:
        raise ValueError(too_many)


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
