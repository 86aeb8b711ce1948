"""Control sequences are escaped on a terminal, whoever wrote them; a pipe gets the exact text."""

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ricorda
import ricorda.cli
from ricorda.cli.main import main

Call = Callable[..., tuple[int, str, str]]
EVIL = "\x1b]0;obey\x07"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
COLOURS = re.compile(r"\x1b\[[\d;]*m|\x1b\[\?25[lh]|\x1b\[\d?[AK]|\r(?=\x1b|$)")


class Screen(io.StringIO):
    """Takes what is printed, and says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Always."""
        return True


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a stranger: its name, its text's and the text itself hold what terminals obey."""
    folder = tmp_path_factory.mktemp("strange")
    text = folder / f"my{EVIL}.txt"
    text.write_text(f"a{EVIL}b\x9b31m\u202ec\n" * 40, newline="")
    out = folder / "runs" / f"run{EVIL}"
    ricorda.train(text, out=out, steps=1, hidden_size=4, threads=1, quiet=True)
    return out


def on_screen(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What a command shows on a terminal, without rich's colours."""
    monkeypatch.setenv("TERM", "xterm")
    with monkeypatch.context() as patched:
        streams = Screen(), Screen()
        patched.setattr(sys, "stdout", streams[0])
        patched.setattr(sys, "stderr", streams[1])
        assert main(words) == 0, streams[1].getvalue()
    return COLOURS.sub("", streams[0].getvalue() + streams[1].getvalue())


COMMANDS = ["sample", "info", "score", "runs", "memorised", "clamp", "units", "evaluate"]


@pytest.mark.parametrize("command", [*COMMANDS, "sample --json", "info --json", "runs --json"])
def test_a_terminal_gets_no_control_sequence_of_a_stranger(
    monkeypatch: pytest.MonkeyPatch, run: Path, command: str
) -> None:
    name, *options = command.split()
    text = str(next(run.parent.parent.glob("my*.txt")))
    prompt = ["--prompt", EVIL, "--length", "60"]
    more = {
        "sample": [str(run), *prompt],
        "info": [str(run)],
        "score": [str(run), text],
        "runs": [str(run.parent)],
        "memorised": [str(run), text, "--length", "60"],
        "clamp": [str(run), "0:1=1", *prompt],
        "units": [str(run), text],
        "evaluate": [str(run), text],
    }[name]
    shown = on_screen(monkeypatch, name, *more, *options)
    assert shown.strip()
    assert OBEYED.findall(shown) == []
    if options:
        json.loads(shown.splitlines()[0])  # messages follow


def test_a_pipe_gets_the_exact_text(call: Call, run: Path) -> None:
    words = ("sample", str(run), "--prompt", EVIL, "--length", "40", "--seed", "1")
    written = ricorda.load(run).generate(EVIL, length=40, seed=1)
    code, out, _ = call(*words)
    assert (code, out) == (0, f"{EVIL}{written}\n")


def test_commands_print_by_one_function_alone() -> None:
    folder = Path(ricorda.cli.__file__).parent
    raw = re.compile(r"click\.echo\(|click\.secho\(")
    found = [path.name for path in folder.glob("*.py") if raw.search(path.read_text("utf-8"))]
    assert found == ["output.py"]


def test_a_prompt_is_bold_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", str(run), "--prompt", "ab", "--length", "3"]
    for name, value, begin in (
        ("TERM", "xterm", "\x1b[1mab\x1b[0m"),
        ("TERM", "dumb", "ab"),
        ("NO_COLOR", "1", "ab"),
    ):
        with monkeypatch.context() as patched:
            screen = Screen()
            patched.delenv("NO_COLOR", raising=False)
            patched.setenv("TERM", "xterm")
            patched.setenv(name, value)
            patched.setattr(sys, "stdout", screen)
            assert main(words) == 0
        assert screen.getvalue().startswith(begin)
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("ab")
