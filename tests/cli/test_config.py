"""`ricorda train --config`: options from a file or a run; the command line's win."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.cli.train import with_options_of

Call = Callable[..., tuple[int, str, str]]

FILES = {
    "options.toml": 'cell = "gru"\nhidden-size = 6\nsteps = 2\nthreads = 1\ndropout = 0.1\n',
    "options.json": json.dumps(
        {"cell": "gru", "hidden_size": 6, "steps": 2, "threads": 1, "dropout": 0.1}
    ),
    "options": "cell = 'gru'\nhidden_size = 6\nsteps = 2\nthreads = 1\ndropout = 0.1\n",
}


def model_of(folder: str) -> dict[str, Any]:
    training = json.loads(Path(folder, "config.json").read_text())["training"]
    return {**training, **training["model"], **training["budget"]}


@pytest.mark.parametrize("name", FILES)
def test_options_come_from_a_file(here: Path, call: Call, name: str) -> None:
    Path(name).write_text(FILES[name])
    assert call("train", "my.txt", "--config", name, "--quiet") == (0, "", "")
    found = model_of("runs/my")
    assert (found["cell"], found["hidden_size"], found["steps"]) == ("gru", 6, 2)
    assert found["dropout"] == 0.1


@pytest.mark.parametrize("name", FILES)
def test_the_command_line_wins(here: Path, call: Call, name: str) -> None:
    Path(name).write_text(FILES[name])
    words = ["--config", name, "--hidden-size", "5", "--cell", "rnn", "--steps", "1"]
    assert call("train", "my.txt", *words, "--quiet") == (0, "", "")
    found = model_of("runs/my")
    assert (found["cell"], found["hidden_size"], found["steps"]) == ("rnn", 5, 1)
    assert found["dropout"] == 0.1


@pytest.mark.parametrize("name", ["options.toml", "options.json", "OPTIONS.JSON"])
def test_a_byte_order_mark_and_capital_letters_do_not_matter(
    here: Path, call: Call, name: str
) -> None:
    Path(name).write_text(FILES[name.lower()], encoding="utf-8-sig")
    assert call("train", "my.txt", "--config", name, "--quiet") == (0, "", "")
    assert model_of("runs/my")["hidden_size"] == 6


def test_the_configuration_of_a_run_may_have_a_byte_order_mark(here: Path, call: Call) -> None:
    config = Path("runs/tiny/config.json")
    config.write_text(config.read_text(), encoding="utf-8-sig")
    assert call("train", "my.txt", "--config", config, "--steps", "1", "--quiet") == (0, "", "")
    assert call("resume", "runs/tiny", "--steps", "41", "--quiet") == (0, "", "")


@pytest.mark.parametrize("config", ["runs/tiny/config.json", "runs/tiny", "kept.json"])
def test_a_run_is_repeated_on_its_text(
    here: Path, call: Call, tiny: ricorda.Run, config: str
) -> None:
    Path("kept.json").write_bytes(Path("runs/tiny/config.json").read_bytes())
    assert call("train", "my.txt", "--config", config, "--quiet") == (0, "", "")
    made, first = (Path(run, "model.safetensors") for run in ("runs/my", tiny.folder))
    assert made.read_bytes() == first.read_bytes()


def test_a_run_is_repeated_on_another_text_with_another_budget(here: Path, call: Call) -> None:
    Path("other.txt").write_text("once upon a time\n" * 30)
    words = ["--config", "runs/tiny", "--epochs", "1"]
    assert call("train", "other.txt", *words, "--quiet") == (0, "", "")
    found = model_of("runs/other")
    assert (found["hidden_size"], found["epochs"], found["steps"]) == (12, 1.0, None)


@pytest.mark.parametrize(
    "found, given, expected",
    [
        ({"minutes": 3}, {"steps": 2}, {"steps": 2}),
        ({"epochs": 3, "seed": 4}, {"minutes": 0.1}, {"minutes": 0.1, "seed": 4}),
        (
            {"validation_fraction": 0.2},
            {"validation": Path("a")},
            {"validation": Path("a")},
        ),
        (
            {"cell": "rnn", "nonlinearity": "relu", "window": 9},
            {"cell": "lstm"},
            {"cell": "lstm", "window": 9},
        ),
        ({"nonlinearity": "relu"}, {"cell": "rnn"}, {"cell": "rnn", "nonlinearity": "relu"}),
        (
            {"cell": "rnn", "nonlinearity": "relu"},
            {"cell": "rnn"},
            {"cell": "rnn", "nonlinearity": "relu"},
        ),
        ({"cell": "lstm", "precision": "bfloat16"}, {"cell": "gru"}, {"cell": "gru"}),
        ({"forget_bias": 0.5}, {"cell": "gru"}, {"cell": "gru"}),
        ({"forget_bias": 0.5}, {"cell": "lstm"}, {"cell": "lstm", "forget_bias": 0.5}),
        ({"input_dropout": 0.1}, {"embedding_size": "onehot"}, {"embedding_size": "onehot"}),
        (
            {"input_dropout": 0.1, "averaging": 0.9},
            {"embedding_size": 3},
            {"embedding_size": 3, "input_dropout": 0.1, "averaging": 0.9},
        ),
    ],
    ids=str,
)
def test_what_the_command_line_leaves_no_room_for_goes(
    tmp_path: Path, found: dict[str, Any], given: dict[str, Any], expected: dict[str, Any]
) -> None:
    config = tmp_path / "options.json"
    config.write_text(json.dumps(found))
    options = with_options_of(config, given)
    assert {name: value for name, value in options.items() if value is not None} == expected


WRONG: dict[str, tuple[str, str]] = {
    "missing.toml": ("", "cannot read the configuration missing.toml: No such file"),
    "broken.toml": ("steps = ", "broken.toml is not TOML"),
    "broken.json": ("{", "broken.json is not JSON"),
    "binary.toml": (
        "\udcff\udcfe",
        "binary.toml is not TOML: expected UTF-8 text, but byte 0 (0xff) is not valid: "
        "save it as UTF-8",
    ),
    "deep.json": ("[" * 100_000, "deep.json is not JSON"),
    "list.json": ("[1]", "expected options by name in list.json, got a list"),
    "unknown.toml": ("hidden_siz = 3", "unknown option hidden_siz: did you mean hidden_size?"),
    "nested.toml": ("[model]\nhidden_size = 3", "unknown option model"),
    "json.toml": ("json = true", "unknown option json"),
    "quiet.json": ('{"quiet": true}', "unknown option quiet"),
    "reporter.json": ('{"reporter": 1}', "unknown option reporter"),
    "texts.json": ('{"texts": ["a"]}', "unknown option texts"),
    "type.toml": ('hidden_size = "big"', "hidden_size must be a whole number, got 'big'"),
    "range.toml": ("dropout = 1.5", "dropout must be at most 0.99, got 1.5"),
    "half.toml": ("window = 1.5", "window must be a whole number, got 1.5"),
    "nan.json": ('{"minutes": NaN}', "nan.json is not JSON: NaN is not a number"),
    "infinite.json": ('{"learning_rate": 1e999}', "learning_rate must be at most 10, got inf"),
    "null.json": ('{"vocabulary": null}', "vocabulary must be text, got None"),
    "two.toml": ("minutes = 1\nepochs = 2", "expected one budget, got --minutes and --epochs"),
    "zero.toml": ('out = "a\\u0000b"', "cannot make the run's folder"),
    "run.json": ('{"training": 5, "made_with": {}}', "run.json is wrong: format must be given"),
    "run2.json": (
        '{"training": {}, "made_with": {}, "text": {}}',
        "run2.json is wrong: format must be given",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_reported(here: Path, call: Call, name: str) -> None:
    content, message = WRONG[name]
    if content:
        Path(name).write_bytes(content.encode("utf-8", "surrogateescape"))
    code, out, err = call("train", "my.txt", "--config", name)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert [entry.name for entry in Path("runs").iterdir()] == ["tiny"]


def test_the_file_is_named_where_its_options_are_wrong(here: Path, call: Call) -> None:
    Path("range.toml").write_text("dropout = 1.5")
    assert "range.toml" in call("train", "my.txt", "--config", "range.toml")[2]


def test_a_folder_that_is_no_run(here: Path, call: Call) -> None:
    code, _, err = call("train", "my.txt", "--config", "runs")
    assert code == 2
    assert "runs/config.json" in err


@pytest.mark.parametrize(
    "name, content",
    [
        ("options.JSON", '{"hidden_size": 7}'),
        ("options.json", '\ufeff{"hidden_size": 7}'),
        ("options.toml", "\ufeffhidden_size = 7"),
        ("options.TOML", "hidden_size = 7"),
    ],
)
def test_a_byte_order_mark_and_a_capital_suffix_are_read(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    assert with_options_of(tmp_path / name, {}) == {"hidden_size": 7}
