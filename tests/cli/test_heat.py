"""`ricorda score` in a terminal: the text in colours, its mean, its worst places."""

import io
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ricorda
from ricorda.cli.main import main
from ricorda.engine import Scores
from ricorda.errors import UnseenCharactersWarning

Call = Callable[..., tuple[int, str, str]]
COLOURS = re.compile(r"\x1b\[[\d;]*m")
TEXT = "5 bottles of qeer\n4 bottles\n"


class Screen(io.StringIO):
    """Takes what is printed, and says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Always."""
        return True


@pytest.fixture
def shown(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What `score` shows on a terminal with 256 colours, with the colours."""

    def show(*words: str, **environment: str) -> str:
        Path("short.txt").write_text(TEXT, encoding="utf-8")
        screen = Screen()
        with monkeypatch.context() as patched:
            patched.delenv("NO_COLOR", raising=False)
            settings = {"TERM": "xterm-256color", "COLUMNS": "80", **environment}
            for name, value in settings.items():
                patched.setenv(name, value)
            patched.setattr(sys, "stdout", screen)
            assert main(["score", "runs/tiny", "short.txt", *words]) == 0
        return screen.getvalue()

    return show


def scored() -> Scores:
    """The same text, scored by the library."""
    with pytest.warns(UnseenCharactersWarning):
        return ricorda.load("runs/tiny").score(TEXT, 5, on_unknown="skip")


def test_the_text_stands_in_colours_by_its_surprisal(shown: Callable[..., str]) -> None:
    out = shown()
    lines = COLOURS.sub("", out).splitlines()
    assert lines[0].split() == ["bits:", "0+", "1+", "2+", "4+", "6+", "9+"]
    assert lines[1:3] == ["5 bottles of qeer↵", "4 bottles↵"]
    assert "\x1b[" in out.splitlines()[1]
    scores = scored()
    worst = max(nats for nats in scores.nats if not math.isnan(nats)) / math.log(2)
    assert f"mean: {scores.figures.bits_per_character:.3f} bits per character" in " ".join(lines)
    table = lines[lines.index("most surprising:") + 1 :]
    assert table[0].split()[:2] == ["bits", "line:column"]
    assert table[1].split()[0] == f"{worst:.2f}"
    assert len(table) == 6


def test_the_worst_place_is_found_by_line_and_column(shown: Callable[..., str]) -> None:
    lines = COLOURS.sub("", shown()).splitlines()
    scores = scored()
    known = [nats if not math.isnan(nats) else -1.0 for nats in scores.nats.tolist()]
    place = known.index(max(known))
    read = "".join(char for char in TEXT if not scores.vocabulary.unknown(char))
    line = read[:place].count("\n") + 1
    column = place - read[:place].rfind("\n")
    assert lines[lines.index("most surprising:") + 2].split()[1] == f"{line}:{column}"


def test_an_unseen_character_is_shown_and_named(shown: Callable[..., str]) -> None:
    plain = COLOURS.sub("", shown())
    assert "5 bottles of qeer↵" in plain
    assert "never seen in training, and not counted: 'q'" in plain


@pytest.mark.parametrize(
    "words, environment", [(["--table"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})]
)
def test_the_table_is_there_too(
    shown: Callable[..., str], words: list[str], environment: dict[str, str]
) -> None:
    out = COLOURS.sub("", shown(*words, **environment))
    assert out.splitlines()[0].split() == ["bits", "symbol", "expected"]


def test_a_pipe_gets_the_table(here: Path, call: Call) -> None:
    Path("short.txt").write_text("5 bottles\n")
    out = call("score", "runs/tiny", "short.txt")[1]
    assert out.splitlines()[0].split() == ["bits", "symbol", "expected"]
    assert "\x1b" not in out


def test_a_narrow_terminal_has_no_legend(shown: Callable[..., str]) -> None:
    lines = COLOURS.sub("", shown(COLUMNS="30")).splitlines()
    assert not any(line.startswith("bits: ") for line in lines)
    assert max(map(len, lines)) <= 30
