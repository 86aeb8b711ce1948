"""What training prints: on terminals of each width, in colour, and without a terminal."""

import os
import pty
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from rich.cells import cell_len

from ricorda.cli.main import main
from ricorda.pages.numbers import clock
from ricorda.training.report.progress import (
    Bar,
    Lines,
    Silent,
    in_bits_and_nats,
    reporter_for,
    shortened,
)

Call = Callable[..., tuple[int, str, str]]

WORDS = ["train", "my.txt", "--steps", "40", "--hidden-size", "8", "--threads", "1"]
COLOUR = re.compile(r"\x1b\[[\d;]*(3[0-7]|38|9[0-7])[\d;]*m")
ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


class Terminal:
    """Inside its `with`, standard error is a terminal; `text` is all that it was sent."""

    def __init__(self, width: int, **environment: str) -> None:
        self._environment = {"COLUMNS": str(width), "TERM": "xterm-256color", **environment}
        self._patch = pytest.MonkeyPatch()
        self.text = ""

    def __enter__(self) -> Self:
        self._screen, its_end = pty.openpty()
        self._stream = os.fdopen(its_end, "w", encoding="utf-8")
        self._patch.setattr(sys, "stderr", self._stream)
        for name, value in self._environment.items():
            self._patch.setenv(name, value)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()
        self._stream.close()
        self._reader.join()
        os.close(self._screen)

    def _read(self) -> None:
        content = b""
        while True:
            try:
                data = os.read(self._screen, 4096)
            except OSError:  # the other end was closed
                break
            content += data
        self.text = content.decode()

    @property
    def lines(self) -> list[str]:
        """What stood on a line at some time, without colours and movements."""
        return [line for line in re.split(r"[\r\n]+", ESCAPE.sub("", self.text)) if line.strip()]


def learn(width: int, *more: str, **environment: str) -> Terminal:
    """Train in a terminal."""
    with Terminal(width, **environment) as terminal:
        assert main([*WORDS, *more]) == 0
    return terminal


@pytest.mark.parametrize("width", [120, 80])
def test_a_bar_with_speed_loss_and_time_left(here: Path, width: int) -> None:
    terminal = learn(width)
    bars = [line for line in terminal.lines if "━" in line]
    assert bars
    figures = re.compile(
        r"━.* +\d+% \d\.\d\d bits per character( \(\d\.\d+ nats\))?, [\d,]+ characters/s, "
        r"(\d+ s|\d+:\d\d) left"
    )
    assert figures.search(bars[-1])
    assert max(map(cell_len, bars)) <= width - 2  # a terminal echoes ^C there
    assert COLOUR.search(terminal.text)


@pytest.mark.parametrize("width", [40, 30])
def test_a_narrow_terminal_has_a_short_bar(here: Path, width: int) -> None:
    terminal = learn(width)
    bars = [line for line in terminal.lines if "━" in line]
    assert re.search(r"━.* +\d+% \d\.\d\d bits(, (\d+ s|\d+:\d\d) left)?", bars[-1])
    assert max(map(cell_len, terminal.lines)) <= width
    words = {word for line in terminal.lines for word in line.split()}
    assert not words & {"bi", "bit", "charac", "le", "lef"}  # none is cut


def test_messages_break_between_words_and_leave_a_path_whole(here: Path) -> None:
    path = "runs/" + "long-name-" * 5
    terminal = learn(30, "--out", path)
    assert f"run: {path}" not in terminal.lines  # longer than a line
    assert any(line.endswith(path) for line in terminal.lines)
    assert "continue a text with:" in " ".join(terminal.lines)


@pytest.mark.parametrize(
    "text, width, shown",
    [
        ("one two three", 13, "one two three"),
        ("one two three", 12, "one two…"),
        ("one two three", 8, "one two…"),
        ("one two three", 7, "one…"),
        ("three", 3, "th…"),
        ("汉字 漢字", 8, "汉字…"),
    ],
)
def test_a_line_is_cut_after_a_word(text: str, width: int, shown: str) -> None:
    assert shortened(text, width) == shown
    assert cell_len(shown) <= width


def test_a_tiny_terminal_is_no_error(here: Path) -> None:
    for width in (1, 7):
        learn(width)


def test_what_it_writes_stands_on_one_line_each(here: Path) -> None:
    terminal = learn(60)
    assert terminal.lines.count("validation  sample") == 1
    samples = [line for line in terminal.lines if re.match(r"\d\.\d{3} bits  ", line)]
    assert len(samples) == 20
    assert all(cell_len(line) <= 60 and line.endswith("…") for line in samples)


def test_a_terminal_gets_no_control_sequence_of_what_it_writes() -> None:
    with Terminal(80) as terminal:
        Bar().evaluated(1, 1.5, "a\x1b]0;obey\x07b\nc")
    assert "\x1b]" not in terminal.text
    assert r"2.164 bits  a\x1b]0;obey\x07b c" in terminal.lines


def test_nothing_of_the_bar_is_left_at_the_end(here: Path) -> None:
    terminal = learn(80)
    after = terminal.text[terminal.text.rindex("━") :]
    assert "\x1b[2K" in after  # the line is erased
    assert "validation: " in after


def test_the_evaluation_of_the_model_is_shown_after_the_bar_and_not_left(here: Path) -> None:
    terminal = learn(40)
    evaluation = terminal.text.rindex("evaluating the model")
    assert terminal.text.rindex("━") < evaluation
    assert "\x1b[2K" in terminal.text[evaluation:]  # the line is erased
    assert any("evaluating the model 0:00:0" in line for line in terminal.lines)
    assert max(map(cell_len, terminal.lines)) <= 40


def test_no_color_is_honoured(here: Path) -> None:
    terminal = learn(80, NO_COLOR="1")
    assert "━" in terminal.text
    assert not COLOUR.search(terminal.text)


def test_a_dumb_terminal_gets_no_bar(here: Path) -> None:
    terminal = learn(80, TERM="dumb")
    assert "\x1b" not in terminal.text


def test_quiet(here: Path) -> None:
    assert learn(80, "--quiet").text == ""


def test_lines_where_there_is_no_terminal(here: Path, call: Call) -> None:
    _, _, err = call(*WORDS)
    assert "\x1b" not in err
    assert re.search(
        r"^step 40: validation \d\.\d\d bits per character \(\d\.\d{3} nats\)$",
        err,
        re.MULTILINE,
    )


def test_the_reporter_suits_where_standard_error_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(reporter_for(quiet=True), Silent)
    assert isinstance(reporter_for(quiet=False), Lines)
    with Terminal(80):
        assert isinstance(reporter_for(quiet=False), Bar)
    monkeypatch.setattr(sys, "stderr", None)
    assert type(reporter_for(quiet=False)) is Silent


def test_durations_and_figures_as_a_person_reads_them() -> None:
    assert [clock(seconds) for seconds in (0, 45, 59.1, 60, 200, 7500)] == [
        *("0 s", "45 s", "1:00", "1:00", "3:20", "2:05:00")
    ]
    assert in_bits_and_nats(1.54) == "2.22 bits per character (1.540 nats)"


def test_the_table_of_runs_is_plain_where_there_is_no_terminal(here: Path, call: Call) -> None:
    assert "\x1b" not in call("runs")[1]


def test_quiet_shows_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    report = reporter_for(quiet=True)
    report.say("step 1")
    report.warn("a file called a\nb is broken\x1b[2J")
    assert capsys.readouterr() == ("", "a file called a\nb is broken\\x1b[2J\n")


@pytest.mark.parametrize("kind", [Silent, Lines])
def test_elsewhere_a_warning_is_a_message(kind: type[Silent]) -> None:
    said: list[str] = []

    class Kept(kind):  # type: ignore[misc, valid-type]
        def say(self, message: str) -> None:
            said.append(message)

    Kept().warn("careful")
    assert said == ["careful"]
