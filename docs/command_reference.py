"""The reference of the commands, generated from what click knows of them."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from ricorda.cli.main import COMMANDS

INTRODUCTION = """\
# Commands

Generated from `ricorda COMMAND --help`. Results go to standard output, progress and messages to
standard error. Exit codes: 0 done; 1 failed; 2 wrong usage or input; 130, 143 and 129 interrupted,
with the run saved.
"""


UNWRAPPED = "\b"  # begins a paragraph that click does not wrap


def write(path: Path) -> None:
    """Write the reference of all commands, if it changed."""
    text = INTRODUCTION + "".join(_page(name) for name in COMMANDS)
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def _page(name: str) -> str:
    command: click.Command = importlib.import_module(COMMANDS[name].module).command
    context = click.Context(command, info_name=f"ricorda {name}")
    usage = _code(command.get_usage(context).removeprefix("Usage: "))
    options = "\n".join(_options(command, context))
    return f"\n## {name}\n\n{usage}\n\n{_help(command)}\n\n{options}\n"


def _help(command: click.Command) -> str:
    """Return the help as Markdown: click's paragraphs that are not wrapped are code."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        _code(text) if text.startswith(UNWRAPPED) else _escaped(text) for text in paragraphs
    )


def _code(text: str) -> str:
    return f"```text\n{text.removeprefix(UNWRAPPED).strip()}\n```"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and isinstance(parameter, click.Option):
            option, help_text = record
            yield f"`{option}`\n: {_escaped(' '.join(help_text.split()))}\n"


def _escaped(text: str) -> str:
    """Escape what Markdown would read as markup, except code between backticks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*_<>\[\]#|])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
