"""How commands print figures."""

import json
import sys
from typing import Any

import click


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
