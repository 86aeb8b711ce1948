"""What `help`, completion and the documentation show of functions that take a class's options.

A function takes the fields of a settings class as `**options: Unpack[SomeKeywords]`, which type
checkers read. At run time the same fields, with their defaults and descriptions, are shown.
"""

import inspect
import os
import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from ricorda.option_groups import Group, group_of
from ricorda.validation import description_of

Function = TypeVar("Function", bound=Callable[..., Any])

WIDTH = 88  # columns of a description


class OptionParameter(inspect.Parameter):
    """A field of a settings class among the parameters of a function."""


class _Signature(inspect.Signature):
    """A signature with all options for completion, and `**options` where it is printed."""

    def __str__(self) -> str:
        return str(self._short())

    def format(self, **layout: Any) -> str:
        """Format as `inspect.Signature` does, from Python 3.13 on."""
        short: Any = self._short()
        text: str = short.format(**layout)
        return text

    def _short(self) -> inspect.Signature:
        kept = [
            each.replace(annotation=each.empty)
            for each in self.parameters.values()
            if not isinstance(each, OptionParameter)
        ]
        options = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)
        return inspect.Signature([*kept, options], return_annotation=self.return_annotation)


def names_of(settings: type[Any]) -> list[str]:
    """Return the names of the fields of a settings class."""
    return list(settings.__pydantic_fields__)


def shows_options(settings: type[Any], names: Iterable[str]) -> Callable[[Function], Function]:
    """Show these fields of a settings class where a function has `**options`.

    The docstring gets the types, defaults and descriptions, under the headings of their groups.
    Parameters that the function names itself are left out.
    """

    def decorate(function: Function) -> Function:
        own = inspect.signature(function)
        parameters = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
        shown = [name for name in names if name not in own.parameters]
        fields: dict[str, FieldInfo] = settings.__pydantic_fields__
        parameters += [_parameter(name, fields[name]) for name in shown]
        described = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = f"{described}\n\n{_described(settings, shown)}"
        function.__signature__ = _Signature(  # type: ignore[attr-defined]
            parameters, return_annotation=own.return_annotation
        )
        return function

    return decorate


def _parameter(name: str, field: FieldInfo) -> OptionParameter:
    return OptionParameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=keyword_type(field)
    )


def keyword_type(field: FieldInfo) -> Any:
    """Return the type of the values that a person may give for a field."""
    if any(isinstance(each, BeforeValidator) for each in field.metadata):  # a single text, too
        return str | Iterable[str]
    return _given(field.annotation)


def _given(kind: Any) -> Any:
    """Return a field's type without its limits; a path may be text, a tuple any iterable."""
    origin, members = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _given(members[0])
    if origin in (Union, UnionType):
        return Union[tuple(map(_given, members))]  # noqa: UP007
    if origin is tuple and members[-1] is Ellipsis:
        return Iterable[_given(members[0])]  # type: ignore[misc]
    if origin is tuple:
        return tuple[tuple(map(_given, members))]  # type: ignore[misc]
    return Union[str, os.PathLike[str]] if kind is Path else kind  # noqa: UP007


def type_text(kind: Any) -> str:
    """Write a type as source code does."""
    origin, members = get_origin(kind), get_args(kind)
    if kind is NoneType:
        return "None"
    if origin is Literal:
        return f"Literal[{', '.join(f'{each!r}' for each in members)}]".replace("'", '"')
    if origin in (Union, UnionType):
        return " | ".join(map(type_text, members))
    name = getattr(kind, "__name__", str(kind))
    return f"{name}[{', '.join(map(type_text, members))}]" if members else name


def _described(settings: type[Any], names: Iterable[str]) -> str:
    """Describe fields under the headings of their groups, in the order of the groups."""
    by_group: dict[Group | None, list[str]] = {}
    for name in names:
        by_group.setdefault(group_of(settings, name), []).append(name)
    sections = []
    for group in (*Group, None):
        if group not in by_group:
            continue
        heading = (
            "Options" if group is None else f"Options: {group.value[0].lower()}{group.value[1:]}"
        )
        entries = [_entry(settings, name) for name in by_group[group]]
        sections.append(f"{heading}\n\n{textwrap.indent(chr(10).join(entries), '    ')}")
    return "\n\n".join(sections)


def _entry(settings: type[Any], name: str) -> str:
    """One option as an entry of a definition list: its name, type and default, and what it does."""
    field: FieldInfo = settings.__pydantic_fields__[name]
    kinds = type_text(keyword_type(field)).removesuffix(" | None")
    default = "" if field.default is None else f" = {field.default!r}".replace("'", '"')
    description = textwrap.fill(
        _in_python(description_of(settings, name), settings),
        WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{name}: {kinds}{default}\n{textwrap.indent(description, '    ')}"


def _in_python(description: str, settings: type[Any]) -> str:
    """Name the options of a description as Python does: `--top-k` is `top_k`."""

    def named(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return name if name in names_of(settings) else found[0]

    return re.sub(r"--([a-z][a-z-]*)", named, description)
