"""`ricorda train`: learn a text."""

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

import ricorda
from ricorda.cli.options import options_from
from ricorda.errors import ConfigurationError
from ricorda.training.options import TrainingOptions


@click.command()
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@options_from(TrainingOptions, [field.name for field in fields(TrainingOptions)])
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Read options from a TOML or JSON file, or from a run's config.json; "
    "those on the command line win.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    texts: tuple[str, ...], config: Path | None, as_json: bool, quiet: bool, **options: Any
) -> int:
    """Learn a text: files, folders, patterns, or - for standard input.

    Only the text is needed: what is not given is chosen from its size and the budget, three
    minutes unless said otherwise, and printed. The run's folder holds the model, its figures and
    a report.

    \b
    ricorda train my.txt
    ricorda train poems/ --minutes 10 --out runs/poems
    """
    given = read_options(config) if config else {}
    given |= {name: value for name, value in options.items() if value is not None}
    return report_run(ricorda.train(*texts, quiet=quiet, **given), as_json=as_json)


def report_run(run: "ricorda.Run", *, as_json: bool) -> int:
    """Print what a run came to; the exit code tells if a signal ended it."""
    if as_json:
        click.echo(json.dumps(run.metrics))
    return 0 if run.signal_number is None else 128 + run.signal_number


def read_options(path: Path) -> dict[str, Any]:
    """Options from a file, named as on the command line.

    Raises ConfigurationError if the file cannot be read or parsed.
    """
    try:
        text = path.read_text("utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error}") from error
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise ConfigurationError(f"{path} is not {kind}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"expected options by name in {path}, got a {type(values).__name__}"
        )
    if "training" in values and "made_with" in values:
        values = _options_of_run(values)
    return {name.replace("-", "_"): value for name, value in values.items()}


def _options_of_run(record: dict[str, Any]) -> dict[str, Any]:
    """The options that repeat a run on another text, from its config.json."""
    training = record["training"]
    settled = {**training, **training["model"], **training["budget"], **record["text"]}
    left_to_the_text = {"validation", "validation_fraction"}
    names = {field.name for field in fields(TrainingOptions)} - left_to_the_text
    if settled["cell"] != "rnn":
        names.remove("nonlinearity")
    return {name: settled[name] for name in names & set(settled) if settled[name] is not None}
