"""Print text without control sequences for terminals, and figures as JSON."""

import json
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from ricorda.errors import NothingLearnedWarning, UnseenCharactersWarning

# Control characters but tab and line end, and the marks that turn the direction of text around.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def say(message: str = "", *, err: bool = False) -> None:
    """Print a line to standard output or standard error, for a terminal as `for_stream` says."""
    click.echo(for_stream(message, sys.stderr if err else sys.stdout), err=err)


def for_stream(text: str, stream: TextIO) -> str:
    r"""Escape control characters for a terminal, as `\x1b`; files and pipes get the exact text.

    Texts, vocabularies and names may come from anybody.
    """
    return _OBEYED.sub(_spelled_out, text) if stream.isatty() else text


def emphasized(text: str, stream: TextIO) -> str:
    """Set text in bold on a terminal that has styles, with control characters escaped."""
    shown = for_stream(text, stream)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    if not text or plain or not stream.isatty():
        return shown
    return f"\x1b[1m{shown}\x1b[0m"


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on a line of standard output.

    Control characters that a terminal would execute are escaped. If the output's encoding lacks a
    character, all characters beyond ASCII are escaped rather than replaced, so that the object
    stays the same.
    """
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    line = _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(value, allow_nan=False)
    click.echo(line)


OWN_WARNINGS = (UnseenCharactersWarning, NothingLearnedWarning)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Print each distinct warning of ricorda as one line on standard error."""
    shown: set[str] = set()
    with warnings.catch_warnings():
        for own in OWN_WARNINGS:
            warnings.simplefilter("always", own)
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, OWN_WARNINGS):
                others(message, category, filename, lineno, file, line)
            elif str(message) not in shown:
                shown.add(str(message))
                say(str(message), err=True)

        warnings.showwarning = show
        yield


def _spelled_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
