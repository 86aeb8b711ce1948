"""The options of the public functions: the same for type checkers, help and the command line."""

import importlib
import inspect
import pydoc
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click
import pytest

import ricorda
from ricorda.engine import GenerationSettings, Model, SamplingSettings
from ricorda.errors import ConfigurationError
from ricorda.experiments.comparison import ComparisonOptions
from ricorda.experiments.tuning import TuningOptions
from ricorda.signatures import names_of
from ricorda.training import TrainingOptions
from tests.keyword_files import FILES, SOURCE, content


@pytest.mark.parametrize("file", FILES)
def test_type_checkers_know_the_fields_of_the_settings(file: str) -> None:
    written = (SOURCE / file).read_text("utf-8")
    assert written == content(file), "run: python -m tests.keyword_files"


WRITTEN = {"length", "seed", "stop", "label", "on_unknown"}

FUNCTIONS: dict[str, tuple[Callable[..., Any], type[Any], set[str]]] = {
    "train": (ricorda.train, TrainingOptions, {"reporter", "quiet"}),
    "resume": (ricorda.resume, TrainingOptions, {"reporter", "quiet", "text"}),
    "generate": (Model.generate, SamplingSettings, {*WRITTEN, "count"}),
    "stream": (Model.stream, SamplingSettings, WRITTEN),
    "distribution": (Model.distribution, SamplingSettings, {"label", "on_unknown"}),
    "generate_many": (Model.generate_many, GenerationSettings, {"count"}),
    "begin_many": (Model.begin_many, GenerationSettings, {"count"}),
    "begin": (Model.begin, GenerationSettings, set()),
    "compare": (
        ricorda.compare,
        TrainingOptions,
        {"reporter", "quiet", "cells", "vary", *names_of(ComparisonOptions)},
    ),
    "tune": (
        ricorda.tune,
        TrainingOptions,
        {"reporter", "quiet", "cells", *names_of(TuningOptions)},
    ),
}
"""Functions, the class whose fields they take, and the keywords of their own."""


def of_the_command(name: str) -> set[str]:
    """The options of a command, as its function receives them."""
    command: click.Command = importlib.import_module(f"ricorda.cli.{name}").command
    return {each.name for each in command.params if isinstance(each, click.Option) and each.name}


def keywords(function: Callable[..., Any]) -> dict[str, Any]:
    """What completion offers by name, each with its default."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


@pytest.mark.parametrize(
    "name, not_shared",
    [
        ("train", {"config", "dry_run", "as_json", "quiet", "reporter"}),
        ("resume", {"as_json", "quiet", "reporter"}),
        ("compare", {"as_json", "quiet", "reporter", "cell"}),
        ("tune", {"as_json", "quiet", "reporter"}),
    ],
)
def test_the_options_are_those_of_the_command_line(name: str, not_shared: set[str]) -> None:
    function, _, _ = FUNCTIONS[name]
    assert of_the_command(name) - not_shared == set(keywords(function)) - not_shared


def test_each_option_of_sample_that_sets_sampling_is_one_of_generate() -> None:
    options = of_the_command("sample") & {each.name for each in fields(GenerationSettings)}
    assert len(options) > 10
    assert options <= set(keywords(Model.generate))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_completion_offers_every_option_with_its_default(name: str) -> None:
    function, settings, own = FUNCTIONS[name]
    found = keywords(function)
    defaults = {each.name: each.default for each in fields(settings)}
    assert MISSING not in defaults.values()
    assert len(found) > 10
    for option in found.keys() - own:
        assert found[option] == defaults[option], option


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_is_short_at_the_top_and_describes_each_option(name: str) -> None:
    function, _, own = FUNCTIONS[name]
    text = pydoc.plain(pydoc.render_doc(function))
    signature = next(line for line in text.splitlines() if line.startswith(f"{name}("))
    assert "**options)" in signature
    assert len(signature) < 200
    assert "Unpack" not in text
    for option in keywords(function).keys() - own:
        assert f"\n        {option}: " in text


def test_help_names_options_as_python_does() -> None:
    text = inspect.getdoc(ricorda.train) or ""
    assert "instead of minutes." in " ".join(text.split())
    assert "--minutes" not in text


def test_help_has_types_and_defaults() -> None:
    text = inspect.getdoc(ricorda.train) or ""
    for line in (
        "    minutes: float",
        "    out: str | PathLike[str]",
        '    vocabulary: str = "characters"',
        '    newlines: Literal["auto", "normalise", "keep"] = "auto"',
        "    keep: int = 2",
    ):
        assert f"\n{line}\n" in text
    assert text.index("Options: most used") < text.index("Options: text") < text.index("min_count:")


def test_dir_shows_what_a_person_may_use_before_it_is_imported() -> None:
    program = "import ricorda; print(*dir(ricorda))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    names = set(done.stdout.split())
    public = {"train", "resume", "load", "evaluate", "Model", "Run", "Scores", "Trace"}
    assert public <= names
    assert not {"TYPE_CHECKING", "lazy_names", "ModuleType"} & names


@pytest.mark.parametrize("name", ricorda.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ricorda, name) is not None


def test_a_misspelt_option_is_an_error_to_the_type_checker_and_at_run_time(tmp_path: Path) -> None:
    """`make lint` fails where one of these comments is not needed: the options are typed."""
    text = tmp_path / "my.txt"
    text.write_text("abc\n" * 50)
    with pytest.raises(ConfigurationError, match="did you mean minutes"):
        ricorda.train(text, minuts=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="hidden_size"):
        ricorda.train(text, hidden_size="64")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="leave it out"):
        ricorda.resume(tmp_path, hidden_size=64)  # type: ignore[call-arg]
