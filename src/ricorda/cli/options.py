"""Command-line options made from the fields of a settings class, their docstrings the help.

In the options of `ESCAPED_OPTIONS`, `\\n` stands for a line end, and so on.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import annotated_types
import click
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from ricorda.option_groups import Group, group_of
from ricorda.validation import description_of

if TYPE_CHECKING:
    ParameterType = click.ParamType[Any]
else:
    ParameterType = click.ParamType  # older versions of click have no `[]`

Command = TypeVar("Command", bound=Callable[..., Any])


class Bound(NamedTuple):
    """One end of the numbers that are allowed."""

    words: str
    holds: Callable[[Any, Any], bool]
    limit: float


BOUNDS = {
    annotated_types.Ge: ("at least", operator.ge),
    annotated_types.Gt: ("above", operator.gt),
    annotated_types.Le: ("at most", operator.le),
    annotated_types.Lt: ("below", operator.lt),
}
"""What a person calls each of pydantic's bounds, and what it means."""


class Number(ParameterType):
    """A finite number within bounds, or one of a few words."""

    def __init__(
        self, kind: type[int] | type[float], bounds: list[Bound], words: list[str]
    ) -> None:
        self.kind, self.bounds, self.words = kind, bounds, words
        self.name = "number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """N for a whole number, X for another, and the words that may stand instead."""
        return "|".join(["N" if self.kind is int else "X", *self.words])

    @property
    def range(self) -> str:
        """The bounds in words: "at least 0 and below 1"."""
        return " and ".join(f"{bound.words} {_plain(bound.limit)}" for bound in self.bounds)

    @property
    def is_narrow(self) -> bool:
        """Whether both ends are limits that a person might meet, such as 0 and 0.99."""
        limits = [abs(bound.limit) for bound in self.bounds]
        return len(limits) == 2 and all(limit == 0 or 0.001 <= limit <= 1000 for limit in limits)

    @property
    def span(self) -> str:
        """Both ends as the help writes them: "0 to 0.99"."""
        if all(bound.words in ("at least", "at most") for bound in self.bounds):
            return " to ".join(_plain(bound.limit) for bound in self.bounds)
        return self.range

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse what was typed. The error for a wrong value says what is allowed."""
        if value in self.words:
            return value
        try:
            number = self.kind(value)
        except ValueError:
            number = math.nan
        finite = -math.inf < number < math.inf  # math.isfinite fails on the largest of integers
        if not finite or not all(bound.holds(number, bound.limit) for bound in self.bounds):
            noun = "a whole number" if self.kind is int else "a number"
            expected = [", ".join(filter(None, [noun, self.range])), *self.words]
            self.fail(f"expected {', or '.join(expected)}, got {value!r}", param)
        return number


class GroupedOption(click.Option):
    """An option that names the heading of the help under which it is listed."""

    def __init__(self, *arguments: Any, group: Group | None = None, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help lists the options by their groups, and the others after them."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group that has options."""
        for group in (*Group, None):
            rows = [
                row
                for each in self.get_params(ctx)
                if isinstance(each, click.Option)
                and getattr(each, "group", None) is group
                and (row := each.get_help_record(ctx)) is not None
            ]
            if rows:
                with formatter.section("Other" if group is None else group.value):
                    formatter.write_dl(rows)


class PathName(click.Path):
    """The name of a file or a folder. An empty one is refused, which would mean this folder."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A path, where there is a name."""
        if value == "":
            self.fail("expected the name of a file or a folder, got an empty one", param, ctx)
        return super().convert(value, param, ctx)


FLAGS = {"from_model": "--from"}
"""Options that are not named as their field, since Python has the name as a keyword."""

ESCAPED_OPTIONS = ("stop", "allowed", "banned", "banned_word")
"""The options in which escapes are understood."""

_CHARACTERS = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:([ntr\\])|u([0-9a-fA-F]{4})|(.?))", re.DOTALL)


class EscapedText(ParameterType):
    r"""Text in which `\n`, `\t`, `\r`, `\\` and `\uXXXX` stand for characters."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Replace the escapes; any other backslash and an empty text are refused."""
        if value == "":
            self.fail("expected at least one character, got an empty text", param, ctx)

        def replaced(found: re.Match[str]) -> str:
            letter, code, other = found.groups()
            if other is not None:
                self.fail(
                    f"expected \\n, \\t, \\r, \\\\ or \\u and four hexadecimal digits, got "
                    f"{found[0]!s}; write \\\\ for a backslash",
                    param,
                    ctx,
                )
            return _CHARACTERS[letter] if letter else chr(int(code, 16))

        text = _ESCAPE.sub(replaced, str(value))
        # A character beyond U+FFFF may be written as its two surrogates, as in JSON.
        return re.sub(
            "[\ud800-\udbff][\udc00-\udfff]",
            lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"),
            text,
        )


def whole_number(at_least: int, at_most: int | None = None) -> Number:
    """The type of an option that no settings class describes."""
    above = [] if at_most is None else [annotated_types.Le(at_most)]
    return Number(int, _bounds([annotated_types.Ge(at_least), *above]), [])


def number(*limits: annotated_types.BaseMetadata) -> Number:
    """The same for a number within limits."""
    return Number(float, _bounds(limits), [])


def length_option(*words: str) -> Callable[[Command], Command]:
    """Give a command the option --length, which may also be one of some words."""
    length = Number(int, _bounds([annotated_types.Ge(0), annotated_types.Le(10**12)]), [*words])
    endless = ", or inf for no limit" if words else ""
    return click.option(
        "--length",
        type=length,
        help=f"Maximum number of symbols to write{endless}.  [default: 200; for a document up to "
        "its end, at most 4000]",
    )


def options_from(
    settings: type[Any], names: Iterable[str], *, unset: str | None = None
) -> Callable[[Command], Command]:
    """Give a command one option for each named field of a pydantic dataclass.

    An option that is not given is absent from the command's keyword arguments as None (empty for
    a repeatable one), so that the settings' own defaults hold. `unset` says in --help what holds
    instead, where a command takes what is not given from elsewhere.
    """
    TypeAdapter(settings)  # sees that the fields are complete
    fields: dict[str, FieldInfo] = settings.__pydantic_fields__

    def decorate(command: Command) -> Command:
        for name in reversed(list(names)):
            description = description_of(settings, name)
            group = group_of(settings, name)
            command = _option(name, fields[name], description, unset, group)(command)
        return command

    return decorate


def _option(
    name: str, field: FieldInfo, description: str, unset: str | None, group: Group | None
) -> Callable[[Command], Command]:
    """One field as one option."""
    shared: dict[str, Any] = {"cls": GroupedOption, "group": group}
    names = [FLAGS[name], name] if name in FLAGS else [f"--{name.replace('_', '-')}"]
    kinds, bounds = _kinds(field.annotation), _bounds(field.metadata)
    for kind in list(kinds):
        if get_origin(kind) is Annotated:
            bounds += _bounds(get_args(kind)[1:])
            kinds[kinds.index(kind)] = get_args(kind)[0]
    parameter = _parameter_type(kinds, bounds)
    help_text = _help(description, field, parameter, unset)
    if kinds == [bool]:
        return click.option(*names, is_flag=True, default=None, help=help_text, **shared)
    if get_origin(kinds[0]) is tuple:
        repeatable = help_text if "repeat" in help_text else f"{help_text} May be repeated."
        part = get_args(kinds[0])[0]
        if get_origin(part) is Literal:
            words = click.Choice(get_args(part))
            return click.option(*names, type=words, multiple=True, help=repeatable, **shared)
        kind = EscapedText() if name in ESCAPED_OPTIONS else click.STRING
        return click.option(
            *names, type=kind, multiple=True, metavar="TEXT", help=repeatable, **shared
        )
    if name in ESCAPED_OPTIONS:
        parameter = EscapedText()
    return click.option(*names, type=parameter, default=None, help=help_text, **shared)


def _kinds(annotation: Any) -> list[Any]:
    """The members of a union, without None."""
    if get_origin(annotation) in (Union, UnionType):
        return [kind for kind in get_args(annotation) if kind is not NoneType]
    return [annotation]


def _bounds(metadata: Iterable[Any]) -> list[Bound]:
    """The bounds of a number among what stands in an Annotated."""
    found: list[Any] = []
    for extra in metadata:
        found += extra.metadata if isinstance(extra, FieldInfo) else [extra]
    return [
        Bound(*BOUNDS[type(each)], getattr(each, type(each).__name__.lower()))
        for each in found
        if type(each) in BOUNDS
    ]


def _help(description: str, field: FieldInfo, parameter: ParameterType, unset: str | None) -> str:
    """The docstring and, where they add something, the bounds and the default."""
    facts = []
    if isinstance(parameter, Number) and parameter.kind is float and parameter.is_narrow:
        facts.append(parameter.span)
    default = field.default
    if not (default in (None, "") or field.is_required() or isinstance(default, bool | tuple)):
        facts.append(f"default: {unset or _plain(default)}")
    return f"{description}  [{'; '.join(facts)}]" if facts else description


def _plain(value: Any) -> str:
    """A default or a limit as a person would type it: 120 rather than 120.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _parameter_type(kinds: list[Any], bounds: list[Any]) -> ParameterType:
    """The parser for a field's type: choices, a bounded number, a path or text."""
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if int in kinds or float in kinds:
        return Number(int if int in kinds else float, bounds, words)
    if words:
        return click.Choice(words)
    return PathName() if Path in kinds else click.STRING


adaptive_option = click.option(
    "--adaptive", is_flag=True, help="Let the reader learn from the text while it reads."
)


def output_options(command: Command) -> Command:
    """Add what the commands that train share: --json and --quiet."""
    for words, help_text in (
        (("--quiet",), "Show no progress."),
        (("--json", "as_json"), "Print one JSON object at the end."),
    ):
        shared: dict[str, Any] = {"cls": GroupedOption, "group": Group.OUTPUT}
        command = click.option(*words, is_flag=True, help=help_text, **shared)(command)
    return command


def archive_options(command: Command) -> Command:
    """Add what `compress` and `decompress` share."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--force", is_flag=True, help="Replace a file that exists."),
        click.option(
            "--threads",
            type=whole_number(at_least=1),
            default=2,
            help="CPU threads. The result is the same with any number.  [default: 2]",
        ),
    ):
        command = option(command)
    return command
