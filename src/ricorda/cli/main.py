"""`ricorda`: finds the command, runs it, and turns errors into one line and an exit code.

0 done; 1 failed; 2 wrong usage or input; 128 + N ended by signal N, with the run saved
or what was unfinished removed.
"""

import difflib
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import click

import ricorda
from ricorda.cli.output import warnings_in_lines
from ricorda.errors import InputError, ProcessLost, RicordaError
from ricorda.interrupts import Interrupted, as_a_command


class _Entry(NamedTuple):
    module: str
    summary: str


COMMANDS = {
    "demo": _Entry("ricorda.cli.demo", "Train the tutorial's networks and print the results."),
    "train": _Entry("ricorda.cli.train", "Train a network on a text."),
    "resume": _Entry("ricorda.cli.resume", "Continue a run from its last checkpoint."),
    "compare": _Entry("ricorda.cli.compare", "Train cells or other settings beside each other."),
    "tune": _Entry("ricorda.cli.tune", "Search for the settings that predict a text best."),
    "sample": _Entry("ricorda.cli.sample", "Write texts, or continue prompts."),
    "evaluate": _Entry("ricorda.cli.evaluate", "Measure how well a model predicts a text."),
    "score": _Entry("ricorda.cli.score", "Print how surprising a text or its documents are."),
    "classify": _Entry("ricorda.cli.classify", "Predict the labels of documents."),
    "embed": _Entry("ricorda.cli.embed", "Compute a vector for each text."),
    "compress": _Entry("ricorda.cli.compress", "Compress a file by predicting it."),
    "decompress": _Entry("ricorda.cli.decompress", "Restore a file that was compressed."),
    "export": _Entry("ricorda.cli.export", "Write a model for another runtime."),
    "import": _Entry("ricorda.cli.import_model", "Read a model that another tool trained."),
    "serve": _Entry("ricorda.cli.serve", "Serve models over HTTP."),
    "units": _Entry("ricorda.cli.units", "Show what each unit of a model tracks in a text."),
    "step": _Entry("ricorda.cli.step", "Show the arithmetic of one step of one unit."),
    "influence": _Entry(
        "ricorda.cli.influence", "Measure how past characters affect a prediction."
    ),
    "clamp": _Entry("ricorda.cli.clamp", "Write with some units fixed or switched off."),
    "memorised": _Entry("ricorda.cli.memorised", "Find passages copied from the training text."),
    "info": _Entry("ricorda.cli.info", "Describe a model and the run that made it."),
    "runs": _Entry("ricorda.cli.runs", "List, compare, annotate and delete runs."),
    "export-run": _Entry("ricorda.cli.export_run", "Write the figures of a run as a table."),
    "baselines": _Entry(
        "ricorda.cli.baselines", "Measure simple methods on a text for comparison."
    ),
    "studio": _Entry("ricorda.cli.studio", "Open a web page to watch a network learn."),
    "bench": _Entry("ricorda.cli.bench", "Measure how fast this machine trains and samples."),
    "doctor": _Entry("ricorda.cli.doctor", "Check this machine and the installed packages."),
}
"""Every command, in the order of the help; its module is imported when it is called."""


EPILOG = """\b
`ricorda COMMAND --help` explains a command.
To complete commands with Tab, add one of these lines to your shell's startup file.
  bash, ~/.bashrc:  eval "$(_RICORDA_COMPLETE=bash_source ricorda)"
  zsh, ~/.zshrc:    eval "$(_RICORDA_COMPLETE=zsh_source ricorda)"
  fish, ~/.config/fish/completions/ricorda.fish:
    _RICORDA_COMPLETE=fish_source ricorda | source
"""


class _Commands(click.Group):
    """Imports a command only when it is called, so that the help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"expected a command, got {cmd_name!r}{hint}", ctx)
        command = importlib.import_module(COMMANDS[cmd_name].module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
@click.version_option(ricorda.__version__, message="ricorda %(version)s")
def ricorda_command() -> None:
    """Learn a text symbol by symbol with a recurrent neural network and continue it.

    \b
    ricorda train my.txt --minutes 3
    ricorda sample --prompt "Once"
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    _prepare_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with as_a_command(), warnings_in_lines():
            result = ricorda_command.main(
                given or ["--help"], prog_name="ricorda", standalone_mode=False
            )
            sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort) as error:
        signalled = error.__cause__ if isinstance(error, click.Abort) else error
        return signalled.exit_code if isinstance(signalled, Interrupted) else 130
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (click.ClickException, RicordaError, OSError, MemoryError) as error:
        if not getattr(error, "reported_elsewhere", False):
            print(f"ricorda: {_in_a_line(_message(error, given))}", file=sys.stderr)
        if isinstance(error, ProcessLost):
            sys.stderr.flush()
            os._exit(1)  # PyTorch's threads that wait for the lost process cannot be ended
        return 2 if isinstance(error, click.UsageError | InputError) else 1
    return result if isinstance(result, int) else 0


def _prepare_streams() -> None:
    """Ensure that printing does not fail if a stream or a character is missing."""
    if sys.stdout is None:  # the caller closed it
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no error


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _in_a_line(message: str) -> str:
    """Put a message on one line, with escapes for what a terminal would execute."""
    from ricorda.text.file_names import displayed

    # repr writes a byte of an argument that is not UTF-8 as the surrogate that stands for it.
    message = _SURROGATE.sub(lambda found: chr(int(found[1], 16)), message.strip())
    return displayed(re.sub(r"\s*\n\s*", " ", message))


_SURROGATE = re.compile(r"(?<!\\)\\u(dc[89a-f][0-9a-f])")


def _message(error: Exception, given: Sequence[str]) -> str:
    """Say what is wrong with the arguments that were given, and what to do."""
    name = given[0] if given and given[0] in COMMANDS else ""
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else f"ricorda {name}".strip()
        return f"{error.format_message().rstrip('.')}; see `{command} --help`"
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}): close other programs, or choose smaller sizes"
    if isinstance(error, OSError):
        subject = f"cannot use {error.filename}" if error.filename else "the system reported"
        return f"{subject}: {error.strerror or error}"
    return _with_options(str(error), name)


def _with_options(message: str, command: str) -> str:
    """Write options as the command line does if a message begins with several.

    A single option that is wrong is reported by its own parser, or comes from a file of options,
    where it is named as in the file.
    """
    if not command:
        return message
    parameters = importlib.import_module(COMMANDS[command].module).command.params
    options = {each.name: each.opts[0] for each in parameters if isinstance(each, click.Option)}
    begin = re.match(r"[a-z_]+((, | and )[a-z_]+)+ must ", message)
    names = set(re.findall(r"[a-z_]+", begin[0])) - {"and", "must"} if begin else set()
    if not names or not names <= options.keys():
        return message
    pattern = rf"(?<![\w'\"-])({'|'.join(names)})(?![\w'\"])"
    return re.sub(pattern, lambda name: options[name[0]], message)
