"""What holds for every command: help, exit codes, streams that are closed, full or not UTF-8."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import ricorda
from ricorda.cli import main as command_line
from ricorda.cli.main import COMMANDS
from ricorda.errors import MissingExtra, RunError, TrainingError

Call = Callable[..., tuple[int, str, str]]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]], ids=" ".join)
def test_the_help_lists_every_command(call: Call, words: list[str]) -> None:
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    for name, entry in COMMANDS.items():
        assert f"  {name} " in out
        assert entry.summary in out


def test_the_version(call: Call) -> None:
    assert call("--version") == (0, f"ricorda {ricorda.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_each_of_its_options_is_explained(call: Call, name: str) -> None:
    code, out, err = call(name, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: ricorda {name}" in out
    command = command_line.ricorda_command.get_command(click.Context(click.Command("x")), name)
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.parametrize(
    "words, message",
    [
        (["tarin"], "expected a command, got 'tarin': did you mean train?; see `ricorda --help`"),
        (["xyz"], "expected a command, got 'xyz'; see `ricorda --help`"),
        (["sample", "--lenght", "3"], "No such option"),
        (["--nonsense"], "No such option"),
        (["info", "a", "b"], "Got unexpected extra argument (b); see `ricorda info --help`"),
        (
            ["train", "my.txt", "--minutes"],
            "Option '--minutes' requires an argument; see `ricorda train --help`",
        ),
        (["evaluate"], "Missing argument 'MODEL'; see `ricorda evaluate --help`"),
    ],
    ids=str,
)
def test_wrong_usage_is_one_line(call: Call, words: list[str], message: str) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert err.startswith("ricorda: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "error, code, message",
    [
        (RunError("expected a,\n  got b"), 2, "expected a, got b"),
        (TrainingError("no longer a number"), 1, "no longer a number"),
        (MissingExtra("pip install"), 1, "pip install"),
        (OSError(28, "No space left on device", "x.bin"), 1, "No space left on device"),
        (MemoryError("3 GB"), 1, "not enough memory (3 GB)"),
        (KeyboardInterrupt(), 130, "\n"),
    ],
    ids=str,
)
def test_errors_become_exit_codes(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(path: Path | None) -> Path:
        raise error

    monkeypatch.setattr("ricorda.cli.info.model_path", fail)
    got, out, err = call("info")
    assert (got, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_mistake_of_ours_is_not_hidden(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path | None) -> Path:
        raise ZeroDivisionError

    monkeypatch.setattr("ricorda.cli.info.model_path", fail)
    with pytest.raises(ZeroDivisionError):
        call("info")


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "--length", "200000"],
        ["score", "runs/tiny", "my.txt"],
        ["info", "--json"],
        ["train", "--help"],
    ],
    ids=" ".join,
)
def test_a_reader_that_goes_away_ends_it_quietly(
    here: Path, start: Start, words: list[str]
) -> None:
    process = start(*words)
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(process.stdout.read(5)) == 5
    process.stdout.close()
    messages = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() in (0, 1)
    assert re.fullmatch(r"(No prompt: starting on a new line\nseed \d+\n)?", messages)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_closed_streams_are_no_error(here: Path, stream: str) -> None:
    close = {"stdout": ">&-", "stderr": "2>&-"}[stream]
    command = f'exec "$0" -m ricorda sample --length 5 --seed 1 {close}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        check=False,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert len(done.stdout) == (0 if stream == "stdout" else 6)


def test_a_full_disk_is_reported(here: Path, start: Start) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("info", stdout=full)
        _, messages = process.communicate()
    assert process.returncode == 1
    assert messages == b"ricorda: the system reported: No space left on device\n"


def test_output_that_cannot_show_a_character_replaces_it(here: Path, start: Start) -> None:
    process = start(
        "sample", "--prompt", "5 é", "--length", "3", environment={"PYTHONIOENCODING": "ascii"}
    )
    out, messages = process.communicate()
    assert process.returncode == 0
    assert out.startswith(b"5 ?")
    assert messages.startswith(b"left out 1 character of the prompt that the model never saw: ")


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}], ids=str)
def test_json_is_the_same_in_every_encoding(
    here: Path, start: Start, environment: dict[str, str]
) -> None:
    process = start("sample", "--prompt", "5 é世", "--json", environment=environment)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert json.loads(out)["prompt"] == "5 é世"


def test_json_holds_bytes_that_are_no_text(here: Path, call: Call) -> None:
    code, out, _ = call("sample", "--prompt", "5 \udcff", "--json")
    assert code == 0
    assert json.loads(out)["prompt"] == "5 \udcff"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_that_the_help_documents(
    call: Call, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    assert f"_RICORDA_COMPLETE={shell}_source ricorda" in call("--help")[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "_RICORDA_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "ricorda runs --so",
        "COMP_CWORD": "--so" if shell == "fish" else "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "ricorda"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--sort" in done.stdout
