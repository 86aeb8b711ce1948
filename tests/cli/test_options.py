"""Options made from settings: what they accept, what they say, how they are explained."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.cli.options import options_from, whole_number


@dataclass(frozen=True, config=ConfigDict(use_attribute_docstrings=True))
class Base:
    amount: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """How much."""


@dataclass(frozen=True, config=ConfigDict(use_attribute_docstrings=True))
class Settings(Base):
    count: Annotated[int, Field(gt=2, le=9)] | None = None
    """How many."""

    size: Annotated[int, Field(ge=1)] | Literal["none", "all"] | None = None
    """How large."""

    name: str = ""
    """What it is called."""

    words: tuple[str, ...] = ()
    """Several."""

    loud: bool = False
    """Shout."""


def run(*arguments: str) -> tuple[int, str]:
    @click.command()
    @options_from(Settings, ["amount", "count", "size", "name", "words", "loud"])
    def command(**options: object) -> None:
        click.echo(repr(options))

    result = CliRunner().invoke(command, arguments)
    return result.exit_code, result.output


def test_what_is_not_given_is_absent() -> None:
    assert run() == (
        0,
        "{'amount': None, 'count': None, 'size': None, 'name': None, 'words': (), 'loud': None}\n",
    )


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--amount", "0"], "'amount': 0.0"),
        (["--amount", "9e-1"], "'amount': 0.9"),
        (["--count", "3"], "'count': 3"),
        (["--size", "all"], "'size': 'all'"),
        (["--size", "12"], "'size': 12"),
        (["--words", "a", "--words", "b"], "'words': ('a', 'b')"),
        (["--loud"], "'loud': True"),
    ],
    ids=str,
)
def test_what_fits_is_taken(arguments: list[str], expected: str) -> None:
    code, output = run(*arguments)
    assert code == 0
    assert expected in output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--amount", "1"], "expected a number, at least 0 and below 1, got '1'"),
        (["--amount", "-0.1"], "expected a number, at least 0 and below 1, got '-0.1'"),
        (["--amount", "nan"], "expected a number, at least 0 and below 1, got 'nan'"),
        (["--amount", "-inf"], "expected a number, at least 0 and below 1, got '-inf'"),
        (["--amount", "half"], "expected a number, at least 0 and below 1, got 'half'"),
        (["--count", "2"], "expected a whole number, above 2 and at most 9, got '2'"),
        (["--count", "10"], "expected a whole number, above 2 and at most 9, got '10'"),
        (["--count", "4.0"], "expected a whole number, above 2 and at most 9, got '4.0'"),
        (["--count", "1" * 400], "expected a whole number, above 2 and at most 9, got '111"),
        (["--count", "1" * 5000], "expected a whole number, above 2 and at most 9, got '111"),
        (["--size", "big"], "expected a whole number, at least 1, or none, or all, got 'big'"),
        (["--size", "0"], "expected a whole number, at least 1, or none, or all, got '0'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_does_not_fit_is_reported_with_what_would(arguments: list[str], message: str) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert message in output


def test_the_help_tells_the_docstrings_the_bounds_and_the_defaults() -> None:
    _, output = run("--help")
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "--amount X How much. [at least 0 and below 1; default: 0.5]" in lines
    assert "--count N How many." in lines
    assert "--size N|none|all How large." in lines
    assert "--name TEXT What it is called." in lines


def test_a_number_without_settings() -> None:
    assert whole_number(at_least=2).convert("2", None, None) == 2
    with pytest.raises(click.BadParameter, match="expected a whole number, at least 2, got '1'"):
        whole_number(at_least=2).convert("1", None, None)


def test_numbers_are_written_as_a_person_would() -> None:
    @dataclass(frozen=True, config=ConfigDict(use_attribute_docstrings=True))
    class Waiting:
        seconds: Annotated[float, Field(gt=0, le=1e6)] = 120.0
        """How long."""

        names: tuple[str, ...] = ()
        """Who."""

    @click.command()
    @options_from(Waiting, ["seconds", "names"])
    def command(**options: object) -> None: ...

    explained = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "How long. [default: 120]" in explained  # a limit that nobody meets is not listed
    assert "Who. May be repeated." in explained


def test_every_command_explains_itself_in_whole_words() -> None:
    from ricorda.cli.main import ricorda_command

    for line in helps(ricorda_command, "ricorda"):
        assert not re.search(r"INTEGER|FLOAT|^  \w+  .*\.\.\.$", line), line


def helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    """The lines of a command's help, and of all its commands'."""
    context = click.Context(command, info_name=name, parent=parent)
    yield from command.get_help(context).splitlines()
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            yield from helps(below, each, context)
