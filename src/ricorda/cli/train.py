"""`ricorda train`: learn a text."""

import os
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

import ricorda
from ricorda.cli.options import (
    FLAGS,
    GroupedCommand,
    GroupedOption,
    PathName,
    options_from,
    output_options,
)
from ricorda.cli.output import print_json, say
from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELLS
from ricorda.option_groups import Group
from ricorda.runs import RunFolder
from ricorda.training.options import INITIAL, NETWORK, TRAINED, TrainingOptions
from ricorda.validation import parse_json, validated

DECIDED_BY_MODEL = {*NETWORK, *INITIAL, "vocabulary"}
"""Options of a file that --from leaves no room for."""

LARGEST_FILE = 16 * 1024 * 1024  # bytes; a run's config.json may name many texts

RIVALS = [
    {"minutes", "epochs", "steps"},
    {"validation", "validation_fraction"},
    {"validation", "split"},
]
"""Options of which one at most may be given."""

CHANGES_NO_STEP = {
    *("out", "cache", "keep", "log", "max_restarts", "collective_timeout", "validation"),
}
"""Options that keep a run's schedule; whether the validation file is the run's is checked."""


@click.command(cls=GroupedCommand)
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@options_from(TrainingOptions, TRAINED)
@click.option(
    "--config",
    cls=GroupedOption,
    group=Group.ESSENTIAL,
    type=PathName(),
    help="Read options from a TOML or JSON file, or from an earlier run. Options on the command "
    "line take precedence.",
)
@click.option(
    "--dry-run",
    cls=GroupedOption,
    group=Group.ESSENTIAL,
    is_flag=True,
    help="Print all settings and the expected steps, memory and time, without training.",
)
@output_options
def command(
    texts: tuple[str, ...],
    config: Path | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Train a network on TEXT: files, folders, patterns, or - for standard input.

    Options that are not set are chosen for the size of the text and the budget, by default three
    minutes, and are printed. The run's folder holds the model, its metrics and a report.

    \b
    ricorda train my.txt
    ricorda train poems/ --minutes 10 --out runs/poems
    ricorda train my.txt --minutes 10 --dry-run
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if config is not None:
        given = with_options_of(config, given)
    if dry_run:
        from ricorda.training.plan.forecast import forecast, forecast_lines

        plan = forecast(*texts, quiet=quiet, **given)
        print_json(plan.as_json()) if as_json else say("\n".join(forecast_lines(plan)))
        return 0
    from ricorda.training.run import new_run

    return report_run(new_run(*texts, quiet=quiet, **given), as_json=as_json)


def report_run(run: "ricorda.Run", *, as_json: bool) -> int:
    """Print the results of a run; the exit code shows if a signal ended it."""
    if as_json and run.rank == 0:
        try:
            print_json(run.metrics)
        except BrokenPipeError:  # the reader of the output has gone; the run is complete
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if run.signal_number is None else 128 + run.signal_number


def with_options_of(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The options of a file or of a run; those given on the command line take precedence.

    Raises ConfigurationError if the file cannot be read or parsed, or an option is wrong.
    """
    found = read_options(RunFolder(path).config if path.is_dir() else path)
    if not given.keys() <= CHANGES_NO_STEP:
        found.pop("schedule", None)
    options = _without_rivals(found, given) | given
    try:
        validated(TrainingOptions, **options)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (options of {path} and the command line)") from error
    return options


def read_options(path: Path) -> dict[str, Any]:
    """The options of a file, named as in Python."""
    values = _parsed(path)
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"expected options by name in {path}, got a {type(values).__name__}"
        )
    if "training" in values and "made_with" in values:
        return _options_of_run(path)
    fields = {flag.removeprefix("--"): name for name, flag in FLAGS.items()}
    return {fields.get(name, name.replace("-", "_")): value for name, value in values.items()}


def _parsed(path: Path) -> Any:
    """What a JSON or TOML file holds."""
    kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ConfigurationError(
                f"{path} is not a configuration: it has over {LARGEST_FILE} bytes"
            )
        text = content.decode("utf-8-sig")  # some editors begin a file with a byte order mark
        if kind == "JSON":
            return parse_json(text, longest=LARGEST_FILE)
        return tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the configuration {path}: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not {kind}: expected UTF-8 text, but byte {error.start} "
            f"(0x{error.object[error.start]:02x}) is not valid: save it as UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not {kind}: {error}") from error


def _options_of_run(path: Path) -> dict[str, Any]:
    """Read from config.json the options that repeat a run, or train on another text as it did.

    On the same text the run's schedule is repeated too, whatever this machine's speed.
    """
    from ricorda.training.checkpoint.record import read_record_file

    record = read_record_file(path)
    training = record.training
    settled: dict[str, Any] = {}
    for part in (training, training.model, training.budget, record.text):
        settled |= asdict(part)
    names = set(TRAINED) - {"validation"}  # that file belongs to the run's text
    names -= CELLS[training.model.cell].other_options
    if record.start is not None:
        names -= DECIDED_BY_MODEL
        settled["from_model"] = record.start.model
    found = {name: settled[name] for name in names & set(settled) if settled[name] is not None}
    schedule = record.schedule or training.schedule
    if schedule is None or record.branch is not None:  # which began with other settings
        return found
    return found | {"schedule": asdict(schedule)}


def _without_rivals(found: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A file's options without those that the command line's options exclude."""
    dropped = {name for rivals in RIVALS if rivals & set(given) for name in rivals}
    cell, cell_of_file = given.get("cell"), found.get("cell")
    if cell is not None:
        dropped |= CELLS[cell].other_options
    if given.get("embedding_size") == "onehot":
        dropped.add("input_dropout")
    if "from_model" in given:
        dropped |= DECIDED_BY_MODEL
    if None not in (cell, cell_of_file) and cell != cell_of_file:
        dropped.add("precision")  # not every cell has it
    return {name: value for name, value in found.items() if name not in dropped}
