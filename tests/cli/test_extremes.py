"""Every numeric option of every command, given extremes: refused in one line, or it works."""

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from ricorda.cli.main import ricorda_command
from ricorda.cli.options import Number
from ricorda.model import ModelConfiguration, ModelFile, write_model_file
from ricorda.text import CharacterVocabulary

Call = Callable[..., tuple[int, str, str]]

LONG = "9" * 400
EXTREMES = [
    *("0", "-0.0", "-1", "5e-324", "1e-320", "1e-45", "0.9999999999999999", "0.99999999"),
    *("nan", "inf", "-inf", "1e30", "3.4e38", "1e39", "1e300", "-1e300", "1e999"),
    *("2147483648", "18446744073709551616", LONG),
]

WORD = ["m.safetensors", "my.txt"]
COMMANDS: dict[str, list[str]] = {
    "train": ["my.txt", "--steps=2", "--hidden-size=4", "--threads=1", "--out=new", "--quiet"],
    "resume": ["no-run", "--quiet"],
    "sample": ["m.safetensors", "--length=2"],
    "evaluate": WORD,
    "classify": WORD,
    "compress": ["my.txt", "--force"],
    "decompress": ["my.txt.ricorda", "--force"],
    "serve": ["no-model"],
    "units": [*WORD, "--symbols=200", "--shifts=1"],
    "step": [*WORD, "--unit=0", "--position=3"],
    "influence": [*WORD, "--symbols=5", "--distance=2"],
    "clamp": ["m.safetensors", "--unit=0=0.5", "--length=2"],
    "memorised": [*WORD, "--length=50"],
    "baselines": ["my.txt"],
}
"""How each command runs in a moment. The others open a page or train for minutes; the options of
compare and tune are those of train."""

ELSEWHERE = {"compare", "demo", "studio", "tune"}

LONG_WORK = {"length", "count", "minutes", "epochs", "steps", "processes", "num_layers"}
"""Options of which a large number is in order and asks for long work, or for much memory."""


def numeric_options(
    command: click.Command, name: str = "", parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Each command, and each of its options that is a number."""
    context = click.Context(command, info_name=name, parent=parent)
    for parameter in command.params:
        if isinstance(parameter.type, Number):
            yield name, str(parameter.name)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            yield from numeric_options(below, f"{name} {each}".strip(), context)


OPTIONS = list(numeric_options(ricorda_command))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    configuration = ModelConfiguration(cell="lstm", vocabulary_size=6, hidden_size=4)
    random = np.random.default_rng(1)
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    vocabulary = CharacterVocabulary("\n abcd", "\n")
    write_model_file(tmp_path / WORD[0], ModelFile(configuration, vocabulary, tensors))
    (tmp_path / WORD[1]).write_text("abcd abba\n" * 60)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_is_tried() -> None:
    assert {command for command, _ in OPTIONS} == COMMANDS.keys() | ELSEWHERE


@pytest.mark.parametrize(
    "command, option", [each for each in OPTIONS if each[0] in COMMANDS], ids=str
)
def test_an_extreme_is_refused_in_one_line_or_works(
    here: Path, call: Call, command: str, option: str
) -> None:
    flag = f"--{option.replace('_', '-')}"
    rest = [word for word in COMMANDS[command] if not word.startswith(f"{flag}=")]
    if option in ("minutes", "epochs"):
        rest = [word for word in rest if not word.startswith("--steps=")]
    if option == "input_dropout":
        rest.append("--embedding-size=3")
    if command == "train":
        rest.append("--dry-run" if option in LONG_WORK else "--batch-size=2")
    before = sorted(here.iterdir())
    for extreme in EXTREMES:
        is_large = extreme in ("2147483648", "18446744073709551616", LONG)
        if is_large and option in LONG_WORK and command != "train":
            continue
        if (command, option, extreme) == ("sample", "length", "inf"):  # writes without end
            continue
        code, _, err = call(command, *rest, f"{flag}={extreme}")
        assert code in (0, 2), (extreme, err)
        assert "Traceback" not in err
        assert "Warning" not in err
        if code == 2:
            assert err.count("\n") == 1, (extreme, err)
            assert err.startswith("ricorda: ")
            assert sorted(here.iterdir()) == before, extreme
        elif command == "train" and "--dry-run" not in rest:
            (run,) = set(here.iterdir()) - set(before)
            run.rename(here.parent / f"{here.name} {EXTREMES.index(extreme)}")


LIMITS = {
    "learning_rate": ("1e-9", "10"),
    "weight_decay": ("0", "100"),
    "clip_norm": ("1e-6", "1e9"),
    "dropout": ("5e-324", "0.99"),
    "input_dropout": ("5e-324", "0.99"),
    "recurrent_dropout": ("5e-324", "0.99"),
    "averaging": ("5e-324", "0.999999"),
    "validation_fraction": ("0", "0.9"),
    "forget_bias": ("-100", "100"),
    "seed": ("0", str(2**63 - 1)),
    "softmax_candidates": ("0", str(10**9)),
    "patience": ("1", str(10**12)),
    "keep": ("1", str(10**6)),
}


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize("option", LIMITS)
def test_a_run_learns_at_both_ends_of_a_range(
    here: Path, call: Call, option: str, backend: str
) -> None:
    for limit in LIMITS[option]:
        words = [f"--{option.replace('_', '-')}={limit}", f"--backend={backend}", "--cell=lstm"]
        words += ["--embedding-size=3", f"--out=run{limit}"]
        rest = [word for word in COMMANDS["train"] if not word.startswith("--out")]
        code, _, err = call("train", *rest, *words)
        assert (code, err) == (0, "")


@pytest.mark.parametrize(
    "words, message",
    [
        (["--learning-rate=1e300"], "expected a number, at least 1e-09 and at most 10"),
        (["--clip-norm=1e-320"], "expected a number, at least 1e-06 and at most 1000000000"),
        (["--dropout=0.9999999999999999"], "expected a number, at least 0 and at most 0.99"),
        (["--learning-rate=10", "--weight-decay=100"], "must be at most 1"),
    ],
    ids=str,
)
def test_what_float32_cannot_hold_is_refused_before_anything_is_written(
    here: Path, call: Call, words: list[str], message: str
) -> None:
    code, out, err = call("train", *COMMANDS["train"], *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not Path("new").exists()
