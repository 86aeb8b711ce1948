"""Hints with a command in them can be pasted into a shell."""

import io
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ricorda.cli.main import _in_a_line
from tests.cli.conftest import Ran

Call = Callable[..., Ran]
SHORT = ("--steps", "2", "--hidden-size", "4", "--threads", "1")
ODD = ["c d", "it's", "two  spaces", "-dash", "a$HOME", "così"]


def command_in(message: str, word: str) -> list[str]:
    """The command of a hint, as a shell reads it."""
    found = re.search(rf"ricorda {word} [^`\n]*", message)
    assert found is not None, message
    return shlex.split(found[0])


@pytest.mark.parametrize("name", ODD)
def test_a_run_with_an_odd_name_can_be_continued_as_the_hints_say(
    here: Path, call: Call, name: str
) -> None:
    code, _, err = call("train", "my.txt", f"--out={name}", *SHORT)
    assert code == 0
    words = command_in(err, "sample")
    assert call(*words[1:], "--length", "3")[0] == 0
    code, _, err = call("train", "my.txt", f"--out={name}", *SHORT)
    assert code == 2
    *words, option, _ = command_in(err, "resume")
    assert option == "--minutes"
    assert Path(words[2]).resolve() == (here / name).resolve()
    assert call(*words[1:], "--steps", "3")[0] == 0


def test_a_message_keeps_the_spaces_of_a_path() -> None:
    assert _in_a_line("one\n  line: 'c  d'\n") == "one line: 'c  d'"


def test_piped_text_is_blamed_on_standard_input(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"perch\xe9 no\n")))
    code, _, err = call("train", "-", *SHORT)
    assert code == 2
    assert err.startswith("ricorda: standard input: expected UTF-8 text, but byte 5")


def test_piped_text_is_resumed_from_its_copy(
    here: Path, call: Call, bottles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = io.BytesIO(bottles.encode())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=data))
    assert call("train", "-", *SHORT, "--quiet")[0] == 0
    assert call("resume", "--steps", "3", "--quiet") == (0, "", "")


def test_many_files_of_a_folder_are_resumed_though_the_run_lies_among_them(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ricorda.training.start.MOST_NAMES", 3)
    for number in range(4):
        Path(f"{number}.txt").write_text(f"{number} bottles of beer\n" * 20)
    assert call("train", ".", *SHORT, "--quiet")[0] == 0
    assert call("resume", "--steps", "3", "--quiet") == (0, "", "")
    assert call("train", ".", *SHORT, "--quiet")[0] == 0
    first, second = (
        re.search('"digest": "(.*)"', config.read_text())
        for config in sorted(Path("runs").glob("*/config.json"))
    )
    assert first is not None
    assert second is not None
    assert first[1] == second[1]


def test_runs_in_a_folder_are_reported(tmp_path: Path, here: Path, call: Call) -> None:
    code, _, err = call("train", ".", *SHORT)
    assert code == 0
    assert "left out 1 file or folder: runs/tiny (a run of ricorda)\n" in err


def test_what_cannot_be_seen_in_a_text_is_reported(here: Path, call: Call, bottles: str) -> None:
    Path("odd.txt").write_text(f"\ufeff{bottles}so\u00adft, \u200b\n{bottles}")
    for more in ((), ("--dry-run",)):
        code, _, err = call("train", "odd.txt", *SHORT, *more)
        assert code == 0
        assert (
            "the text has invisible characters: U+200B (zero width space) once, "
            "U+00AD (soft hyphen) once\n"
        ) in err


@pytest.mark.parametrize("name", ["my.txt", "link.txt", "copy.txt"])
def test_a_validation_file_that_is_learned_too_is_reported(
    here: Path, call: Call, bottles: str, name: str
) -> None:
    Path("link.txt").symlink_to("my.txt")
    Path("copy.txt").write_text(bottles)
    Path("other.txt").write_text(bottles[: len(bottles) // 2])
    code, _, err = call("train", "my.txt", "--validation", name, *SHORT)
    assert code == 0
    assert f"--validation {name} is also trained on" in err
    _, _, err = call("train", "my.txt", "--validation", "other.txt", *SHORT)
    assert "is also trained on" not in err


def test_options_are_named_as_they_are_typed(here: Path, call: Call) -> None:
    code, _, err = call("sample", "--allowed", "\u017d", "--banned", "allowed")
    assert code == 2
    assert "--allowed, --banned and --banned-word must leave a symbol" in err
    assert err.endswith("got --allowed '\u017d', --banned 'allowed'\n")


@pytest.mark.parametrize("words", [["\udcff"], ["sample", "--length", "\udcff"]], ids=len)
def test_a_byte_that_is_not_utf_8_is_shown_as_one(call: Call, words: list[str]) -> None:
    code, _, err = call(*words)
    assert code == 2
    assert r"'\xff'" in err
