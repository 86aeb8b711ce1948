"""Command-line options made from the fields of a settings class, their docstrings the help."""

from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types
import click
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

Command = TypeVar("Command", bound=Callable[..., Any])


def options_from(settings: type[Any], names: Iterable[str]) -> Callable[[Command], Command]:
    """Give a command one option for each named field of a pydantic dataclass.

    An option that is not given is absent from the command's keyword arguments as None (empty for
    a repeatable one), so that the settings' own defaults hold.
    """
    TypeAdapter(settings)  # sees that the fields are complete
    fields: dict[str, FieldInfo] = settings.__pydantic_fields__

    def decorate(command: Command) -> Command:
        for name in reversed(list(names)):
            command = _option(name, fields[name])(command)
        return command

    return decorate


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    """One field as one option."""
    flag = f"--{name.replace('_', '-')}"
    kinds, limits = _kinds(field.annotation), list(field.metadata)
    for kind in list(kinds):
        if get_origin(kind) is Annotated:
            limits += _limits(kind)
            kinds[kinds.index(kind)] = get_args(kind)[0]
    help_text = _help(field)
    if kinds == [bool]:
        return click.option(flag, is_flag=True, default=None, help=help_text)
    if get_origin(kinds[0]) is tuple:
        return click.option(flag, multiple=True, metavar="TEXT", help=help_text)
    return click.option(
        flag,
        type=_click_type(kinds, limits),
        metavar=_metavar(kinds),
        default=None,
        help=help_text,
    )


def _metavar(kinds: list[Any]) -> str | None:
    """N for a whole number, X for another, with the words that may stand instead."""
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    number = "N" if int in kinds else "X" if float in kinds else None
    return "|".join([number, *words]) if number else None


def _kinds(annotation: Any) -> list[Any]:
    """The members of a union, without None."""
    if get_origin(annotation) in (Union, UnionType):
        return [kind for kind in get_args(annotation) if kind is not NoneType]
    return [annotation]


def _limits(annotation: Any) -> list[Any]:
    """The constraints that stand in an Annotated."""
    found: list[Any] = []
    for extra in get_args(annotation)[1:]:
        found += extra.metadata if isinstance(extra, FieldInfo) else [extra]
    return found


def _help(field: FieldInfo) -> str:
    """The field's docstring and, where there is one, its default."""
    text = " ".join((field.description or "").split())
    default = field.default
    if default is None or field.is_required() or isinstance(default, bool | tuple):
        return text
    return f"{text}  [default: {default}]"


def _click_type(kinds: list[Any], limits: list[Any]) -> click.ParamType[Any]:
    """The parser for a field's type: choices, a bounded number, a path or text."""
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if int in kinds:
        number: click.ParamType[Any] = click.IntRange(**_range(limits))
        return _NumberOrWord(number, words) if words else number
    if float in kinds:
        return click.FloatRange(**_range(limits))
    if words:
        return click.Choice(words)
    return click.Path(path_type=Path) if Path in kinds else click.STRING


def _range(limits: list[Any]) -> dict[str, Any]:
    """click's words for pydantic's bounds."""
    bounds: dict[str, Any] = {}
    for limit in limits:
        match limit:
            case annotated_types.Ge(value):
                bounds["min"] = value
            case annotated_types.Gt(value):
                bounds.update(min=value, min_open=True)
            case annotated_types.Le(value):
                bounds["max"] = value
            case annotated_types.Lt(value):
                bounds.update(max=value, max_open=True)
    return bounds


class _NumberOrWord(click.ParamType[Any]):
    """A number, or one of a few words."""

    def __init__(self, number: click.ParamType[Any], words: list[str]) -> None:
        self.number, self.words = number, words
        self.name = f"integer|{'|'.join(words)}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in self.words:
            return value
        try:
            return self.number.convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"expected a whole number or {' or '.join(self.words)}, got {value!r}", param)
