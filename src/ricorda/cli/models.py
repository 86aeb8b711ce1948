"""The MODEL argument, a model file or a run's folder, and the --prompt that it continues."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ricorda.cli.options import Command
from ricorda.cli.prompts import LARGEST_PROMPT
from ricorda.errors import ModelFileError, TextError
from ricorda.runs import list_runs
from ricorda.text.decoding import StrictDecoder
from ricorda.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from ricorda.engine import Model


def model_path(given: Path | None) -> Path:
    """The model that was named, else the newest run's. Raises ModelFileError if there is none."""
    if given is not None:
        return given
    for run in list_runs():
        if run.model.is_file():
            return run.path
    raise ModelFileError(
        "no model given and no run with one found under runs/: name a model file, "
        "or train one with `ricorda train my.txt`"
    )


def load_model(given: Path | None, **options: Any) -> "Model":
    """Load the model that was named, else the newest run's."""
    from ricorda.engine import load

    return load(model_path(given), **options)


def prompt_option(command: Command) -> Command:
    """Give a command the option --prompt."""
    decorate: Callable[[Any], Any] = click.option(
        "--prompt",
        default="",
        help="Text to continue, or - to read it from standard input. Without a prompt, the text "
        "starts with a new document or a new line.",
    )
    return decorate(command)  # type: ignore[no-any-return]


def read_prompt(given: str, model: "Model") -> str:
    """Return the prompt as the model's training would have read it.

    Raises TextError for standard input that is closed, too large or not UTF-8.
    """
    text = _standard_input() if given == STANDARD_INPUT else given
    return model.read_prompt(text)


def _standard_input() -> str:
    """Read UTF-8 text without its last line end, which `echo` and editors add."""
    buffer = getattr(sys.stdin, "buffer", None)
    if buffer is None:
        raise TextError("standard input is closed: give the prompt's text in place of -")
    data = buffer.read(LARGEST_PROMPT + 1)
    if len(data) > LARGEST_PROMPT:
        raise TextError(f"expected a prompt of at most {LARGEST_PROMPT:,} bytes on standard input")
    text = StrictDecoder("standard input", "utf-8").decode(data, final=True)
    return text.removesuffix("\n").removesuffix("\r")
