"""`ricorda`: finds the command, runs it, and turns errors into one line and an exit code.

0 done; 1 failed; 2 wrong usage or input; 128 + N ended by signal N, with the run saved.
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

import ricorda
from ricorda.errors import InputError, RicordaError


class _Entry(NamedTuple):
    module: str
    summary: str


COMMANDS = {
    "demo": _Entry("ricorda.cli.demo", "The tutorial's pattern, end to end."),
    "train": _Entry("ricorda.cli.train", "Learn a text."),
    "resume": _Entry("ricorda.cli.resume", "Go on with a run where it stopped."),
    "sample": _Entry("ricorda.cli.sample", "Continue a prompt."),
    "evaluate": _Entry("ricorda.cli.evaluate", "Say how well a model predicts a text."),
    "score": _Entry("ricorda.cli.score", "Say how surprising each character of a text is."),
    "info": _Entry("ricorda.cli.info", "Say what a model is and where it came from."),
    "runs": _Entry("ricorda.cli.runs", "List all runs with their figures."),
    "doctor": _Entry("ricorda.cli.doctor", "Show versions, cores and what is missing."),
}
"""Every command, in the order of the help; its module is imported when it is called."""


class _Commands(click.Group):
    """Imports a command only when it is called, so that the help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name].module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`ricorda COMMAND --help` explains a command.",
)
@click.version_option(ricorda.__version__, message="ricorda %(version)s")
def ricorda_command() -> None:
    """Learn a text symbol by symbol with a recurrent neural network and continue it.

    \b
    ricorda train my.txt --minutes 3
    ricorda sample --prompt "Once"
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and hand back its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no error
    try:
        result = ricorda_command.main(arguments, prog_name="ricorda", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _failed(_usage_message(error), error.exit_code)
    except RicordaError as error:
        return _failed(str(error), 2 if isinstance(error, InputError) else 1)
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        return _failed(f"the system refused{place}: {error.strerror or error}", 1)
    return result if isinstance(result, int) else 0


def _usage_message(error: click.ClickException) -> str:
    """What was wrong with the arguments, and where to read more."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "ricorda"
    return f"{message}; see `{path} --help`"


def _failed(message: str, code: int) -> int:
    """One line on standard error."""
    line = " ".join(message.split())
    print(f"ricorda: {line}", file=sys.stderr)
    return code
