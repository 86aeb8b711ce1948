"""How commands print figures."""

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from ricorda.errors import UnseenCharactersWarning


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on a line of standard output.

    Characters stand for themselves where the output's encoding has them all. Where it has not,
    they are escaped rather than replaced, so that the object stays the same.
    """
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(value, allow_nan=False)
    click.echo(line)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Print each warning of ricorda's as one line on standard error, the same one once."""
    shown: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", UnseenCharactersWarning)
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, UnseenCharactersWarning):
                others(message, category, filename, lineno, file, line)
            elif str(message) not in shown:
                shown.add(str(message))
                click.echo(str(message), err=True)

        warnings.showwarning = show
        yield
