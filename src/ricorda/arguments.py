"""Check the arguments of public functions against the functions' annotations."""

import collections.abc
import functools
import inspect
import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from ricorda.errors import ConfigurationError
from ricorda.validation import shown

Function = TypeVar("Function", bound=Callable[..., Any])

WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    bytes: "bytes",
    Path: "a path",
    os.PathLike: "a path",
    type(None): "None",
    list: "a list",
    tuple: "a tuple",
    dict: "a dict",
    collections.abc.Sequence: "a list",
    collections.abc.Iterable: "a list or another iterable",
    collections.abc.Mapping: "a dict",
    collections.abc.Callable: "a function",
}
"""What an error message calls each type."""

ARRAYS = {"iu": "an array of whole numbers", "f": "an array of numbers", "b": "a mask"}
"""What an error message calls arrays, by NumPy's kinds of numbers."""


class _Unfit(Exception):
    """A value does not have the expected type; `element` names a part of the argument."""

    def __init__(self, element: str = "", expected: str = "", value: object = None) -> None:
        self.element, self.expected, self.value = element, expected, value


def unfit(name: str, expected: str, value: object) -> ConfigurationError:
    """Return the error for an argument: what it must be, and what it is."""
    return ConfigurationError(f"{name} must be {expected}, got {shown(value)}")


def checked(function: Function) -> Function:
    """Check a function's arguments against its annotations before it runs.

    Whole numbers may be of any integer type, NumPy's included, and reach the function as an int.
    True and False are not numbers. Elements of lists are checked, elements of iterators are not.
    Raises ConfigurationError, naming the argument, or TypeError for a missing or unknown one.
    """
    signature = inspect.signature(function)
    kinds = {name: each.kind for name, each in signature.parameters.items()}
    places = [name for name, kind in kinds.items() if kind is _BY_PLACE]
    names = {name for name, kind in kinds.items() if kind in (_BY_PLACE, _BY_NAME)}
    required = {name for name in names if signature.parameters[name].default is _NO_DEFAULT}
    takes_more = inspect.Parameter.VAR_POSITIONAL in kinds.values()
    takes_others = inspect.Parameter.VAR_KEYWORD in kinds.values()

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        by_place = places[: len(arguments)]
        given = {*by_place, *keywords}
        twice = len(given) < len(by_place) + len(keywords)
        more = len(arguments) > len(by_place) and not takes_more
        if twice or more or required - given or not (takes_others or given <= names):
            _refuse(function, signature, arguments, keywords)
        hints = _hints(function)
        fitting = list(arguments)
        for place, name in enumerate(by_place):
            if name in hints:
                fitting[place] = fitted(name, arguments[place], hints[name])
        for name in keywords.keys() & names & hints.keys():
            keywords[name] = fitted(name, keywords[name], hints[name])
        return function(*fitting, **keywords)

    return call  # type: ignore[return-value]


_BY_PLACE = inspect.Parameter.POSITIONAL_OR_KEYWORD
_BY_NAME = inspect.Parameter.KEYWORD_ONLY
_NO_DEFAULT = inspect.Parameter.empty


def _refuse(
    function: Callable[..., Any],
    signature: inspect.Signature,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
) -> NoReturn:
    """Raise TypeError for arguments that are missing, unknown or given twice.

    `bind` has the words for what is wrong; it is too slow for calls in which nothing is.
    """
    try:
        signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise TypeError(f"{function.__qualname__}: {error}") from None
    raise AssertionError("expected arguments that do not fit")


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)


def fitted(name: str, value: Any, hint: Any) -> Any:
    """Return a value converted to its type. Raises ConfigurationError for another type."""
    if type(value) is hint:  # most often
        return value
    try:
        return _fit(value, hint)
    except _Unfit as fault:
        if fault.element:
            raise unfit(name + fault.element, fault.expected, fault.value) from None
        raise unfit(name, _words(hint), value) from None


def flag(name: str, value: object) -> bool:
    """Return True or False. Raises ConfigurationError for anything else."""
    return bool(fitted(name, value, bool))


def path(name: str, value: object) -> Path:
    """Return text, bytes or a path-like object as a path. Raises ConfigurationError."""
    if not isinstance(value, str | bytes | os.PathLike) or not os.fspath(value):
        raise unfit(name, "a path", value)
    return Path(os.fsdecode(value))


def text_names(name: str, value: object) -> list[str]:
    """Return the names in a text's name or in a list of names. Raises ConfigurationError."""
    expected = "a path, a pattern, or a list of them"
    if isinstance(value, str):
        return [value]
    if isinstance(value, bytes | os.PathLike):
        return [str(path(name, value))]
    if not isinstance(value, collections.abc.Iterable) or isinstance(value, dict):
        raise unfit(name, expected, value)
    names = list(value)
    if wrong := [each for each in names if not isinstance(each, str | bytes | os.PathLike)]:
        raise unfit(name, expected, wrong[0])
    return [os.fsdecode(each) for each in names]


def _fit(value: Any, hint: Any) -> Any:
    """Return a value converted to its type. Raises _Unfit; unknown types accept everything."""
    fit = _FITS.get(get_origin(hint) or hint, _fit_instance)
    return fit(value, hint)


def _require(value: Any, fits: bool) -> Any:
    if not fits:
        raise _Unfit
    return value


def _fit_instance(value: Any, hint: Any) -> Any:
    kind = get_origin(hint) or hint
    is_protocol = getattr(kind, "_is_protocol", False)
    is_opaque = is_protocol and not getattr(kind, "_is_runtime_protocol", False)
    if not isinstance(kind, type) or is_opaque:
        return value  # whether it is one cannot be known
    return _require(value, isinstance(value, kind))


def _fit_one_of(value: Any, union: Any) -> Any:
    """Convert to the first type of a union that fits; prefer an error that names an element."""
    hints = get_args(union)
    if type(value) in hints:
        return value
    nearest = _Unfit()
    for hint in hints:
        try:
            return _fit(value, hint)
        except _Unfit as fault:
            nearest = fault if fault.element else nearest
    raise nearest


def _fit_number(value: Any, kind: type) -> Any:
    if getattr(value, "ndim", None) == 0:  # a scalar of NumPy or PyTorch
        value = value.item()
    allowed = (int, float) if kind is float else kind
    is_truth = isinstance(value, bool)
    return _require(value, isinstance(value, allowed) and is_truth is (kind is bool))


def _array_kinds(hint: Any) -> str:
    """The kinds of numbers, as NumPy names them, that an array's type allows."""
    _, number = get_args(hint)
    scalar = (get_args(number) or (np.generic,))[0]
    scalar = get_origin(scalar) or scalar
    if not isinstance(scalar, type):
        return "iufb"
    if issubclass(scalar, np.integer):
        return "iu"
    return "b" if issubclass(scalar, np.bool_) else "f"


def _fit_array(value: Any, hint: Any) -> Any:
    kinds = _array_kinds(hint)
    return _require(value, isinstance(value, np.ndarray) and value.dtype.kind in kinds)


def _fit_list(value: Any, hint: Any) -> Any:
    origin, hints = get_origin(hint) or hint, get_args(hint)
    if isinstance(value, np.ndarray) and value.ndim == 1 and origin is collections.abc.Sequence:
        value = value.tolist()
    _require(value, isinstance(value, origin) and not isinstance(value, str | bytes | np.ndarray))
    if not isinstance(value, list | tuple) or not hints:
        return value
    return [_fit_element(f"[{place}]", each, hints[0]) for place, each in enumerate(value)]


def _fit_mapping(value: Any, hint: Any) -> Any:
    hints = get_args(hint)
    _require(value, isinstance(value, collections.abc.Mapping))
    if not hints or not isinstance(value, dict):
        return value
    return {
        _fit_element(" keys", key, hints[0]): _fit_element(f"[{shown(key)}]", each, hints[1])
        for key, each in value.items()
    }


def _fit_element(place: str, value: Any, hint: Any) -> Any:
    try:
        return _fit(value, hint)
    except _Unfit as fault:
        if fault.element:
            raise _Unfit(place + fault.element, fault.expected, fault.value) from None
        raise _Unfit(place, _words(hint), value) from None


_FITS: dict[Any, Callable[[Any, Any], Any]] = {
    Any: lambda value, hint: value,
    Union: _fit_one_of,
    types.UnionType: _fit_one_of,
    Annotated: lambda value, hint: _fit(value, get_args(hint)[0]),
    Literal: lambda value, hint: _require(value, type(value) is str and value in get_args(hint)),
    bool: _fit_number,
    int: _fit_number,
    float: _fit_number,
    np.ndarray: _fit_array,
    Path: lambda value, hint: Path(_require(value, isinstance(value, str | os.PathLike))),
    list: _fit_list,
    collections.abc.Sequence: _fit_list,
    collections.abc.Iterable: _fit_list,
    collections.abc.Mapping: _fit_mapping,
}
"""How a value of each type is checked; for other types, by `isinstance`."""


def _words(hint: Any) -> str:
    """What a type is called in an error message."""
    origin = get_origin(hint) or hint
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_words, get_args(hint))))
    if origin is Annotated:
        kind, *metadata = get_args(hint)
        return next((each for each in metadata if isinstance(each, str)), _words(kind))
    if origin is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if origin is np.ndarray:
        return ARRAYS.get(_array_kinds(hint), "an array")
    return WORDS.get(origin) or f"of type {getattr(origin, '__name__', origin)}"
